"""Numbers that are none: whether a training step made any, and which operation did."""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any

import numpy as np

from tinyxp.backends.errors import AnomalyError
from tinyxp.core import Tensor
from tinyxp.debug.anomaly import detect_anomaly
from tinyxp.nn.module import Module
from tinyxp.ops.logic import isfinite
from tinyxp.optim.clip import get_total_norm


def all_finite(tensors: Sequence[Tensor]) -> bool:
    """Whether all elements are finite.

    >>> all_finite([tx.asarray([1.0, 1e30]), tx.asarray(2.0)]), all_finite([tx.asarray(tx.nan)])
    (True, False)
    """
    # the norm is fast, and finite only if they are; but the squares of large numbers are not
    with np.errstate(all="ignore"):
        if bool(isfinite(get_total_norm(tensors))):
            return True
    return all(bool(isfinite(x).all()) for x in tensors)


def not_finite(model: Module) -> str:
    """The names of parameters that hold a NaN or Inf: of three at most."""
    named = ((name, p.detach()) for name, p in model.named_parameters())
    return ", ".join(islice((name for name, p in named if not all_finite([p])), 3))


def why_not_finite(
    model: Module, loss: float, loss_of: Callable[[Any], Tensor], batches: Iterable[Any]
) -> str:
    """What made a loss or a gradient that is no number, found by computing it once more."""
    finite = float("-inf") < loss < float("inf")
    problem = "a gradient is no number" if finite else f"the loss is {loss}"
    if lost := not_finite(model):
        return (
            f"{problem}, because {lost} stopped being finite in the step before; lower the "
            "learning rate, or set grad_clip"
        )
    try:
        with detect_anomaly():
            for batch in batches:
                loss_of(batch).backward()
    except AnomalyError as error:
        return f"{problem}: {error}"
    return f"{problem}; lower the learning rate"
