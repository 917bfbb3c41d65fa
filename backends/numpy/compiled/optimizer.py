"""A step of AdamW in one pass, compiled by numba."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tinyxp.backends.common.adamw import AdamWStep, Advance, Arrays
from tinyxp.backends.common.capture import capturing
from tinyxp.backends.numpy.compiled.functions import compiled, expect, f4, fits
from tinyxp.backends.numpy.memory import empty


@compiled
def _adamw(p, g, m, v, new, one_less_beta1, beta2, one_less_beta2, eps, numbers):  # type: ignore[no-untyped-def]
    expect(p.size == g.size == m.size == v.size == new.size and numbers.size == 3)
    root, size, shrink = numbers[0], numbers[1], numbers[2]
    for i in range(p.size):
        m[i] += f4(one_less_beta1) * (g[i] - m[i])
        v[i] = f4(beta2) * v[i] + f4(one_less_beta2) * (g[i] * g[i])
        new[i] = f4(shrink) * p[i] - f4(size) * (m[i] / (np.sqrt(v[i]) * f4(root) + f4(eps)))


def adamw(
    params: Arrays, grads: Arrays, m: Arrays, v: Arrays, step: AdamWStep, advance: Advance = None
) -> Any:
    """See ``AdamWStep``. A captured step changes the parameters in place, too."""
    if not fits(*params, *grads, *m, *v):
        return NotImplemented
    if advance is None:
        numbers = np.asarray(step.factors())
        news = [empty(p.shape, p.dtype, lasting=True) for p in params]
    else:
        capture = capturing()
        assert capture is not None
        numbers = capture.numbers(3, lambda: advance().factors())
        m, v, news = capture.state(m), capture.state(v), params
    for arrays in zip(params, grads, m, v, news, strict=True):
        flat = [x if x.ndim == 1 else x.reshape(-1) for x in arrays]
        _adamw(*flat, 1 - step.beta1, step.beta2, 1 - step.beta2, step.eps, numbers)
    return news


FUNCTIONS: dict[str, Callable[..., Any]] = {"adamw": adamw}
