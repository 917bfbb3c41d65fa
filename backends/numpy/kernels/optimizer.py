"""The functions of optimizers in NumPy: a step of AdamW, and sums of gradients."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tinyxp.backends.common.adamw import AdamWStep, Advance, Arrays
from tinyxp.backends.common.capture import capturing
from tinyxp.backends.numpy.kernels.dense import Array, blocks
from tinyxp.backends.numpy.memory import empty, empty_like


def adamw(
    params: Arrays, grads: Arrays, m: Arrays, v: Arrays, step: AdamWStep, advance: Advance = None
) -> Arrays:
    """See ``AdamWStep``. A captured step changes the parameters in place, too."""
    if advance is None:
        root, size, shrink = step.factors()
    else:
        capture = capturing()
        assert capture is not None
        numbers = capture.numbers(3, lambda: advance().factors())
        root, size, shrink = numbers.astype(params[0].dtype)
        m, v = capture.state(m), capture.state(v)
    news = [empty(p.shape, p.dtype, lasting=True) for p in params]
    changed = (2, 3) if advance is None else (0, 2, 3)  # m and v, and p
    for arrays in zip(params, grads, m, v, news, strict=True):
        flat = [x.reshape(-1) for x in arrays]
        for pb, gb, mb, vb, out in blocks(*flat):
            np.subtract(gb, mb, out=out)
            out *= 1 - step.beta1
            mb += out
            np.multiply(gb, gb, out=out)
            out *= 1 - step.beta2
            vb *= step.beta2
            vb += out
            np.sqrt(vb, out=out)
            out *= root
            out += step.eps
            np.divide(mb, out, out=out)
            out *= size
            new = out if advance is None else pb
            np.subtract(pb * shrink if step.weight_decay else pb, out, out=new)
        for i in changed:
            if not arrays[i].flags.c_contiguous:  # reshape made a copy, which was changed
                arrays[i][...] = flat[i].reshape(arrays[i].shape)
    return news if advance is None else params


def add_gradients(a: Array, b: Array) -> Array:
    """a + b, of one shape and dtype, in memory of the pool."""
    y: Array = np.add(a, b, out=empty_like(a))
    return y


FUNCTIONS: dict[str, Callable[..., Any]] = {"adamw": adamw, "add_gradients": add_gradients}
