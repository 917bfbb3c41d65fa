"""Numbers that are none: whether a training step made any, and which operation did."""

import math
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

import numpy as np

from tinyxp.core.tensor import Tensor
from tinyxp.core.tree import leaves_of
from tinyxp.debug.anomaly import detect_anomaly, state
from tinyxp.errors import AnomalyError
from tinyxp.nn.module import Module
from tinyxp.optim.finite import all_finite

HUGE = 1e4  # weights that have diverged are larger, and others hardly ever


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
    taken = list(batches)
    for i, batch in enumerate(taken, 1):
        if given := _given(batch):
            which = f" {i} of {len(taken)}" if len(taken) > 1 else ""
            return f"{problem}, because the batch{which} already holds {given}; mend the data"
    if lost := not_finite(model):
        return (
            f"{problem}, because {lost} stopped being finite in the step before; lower the "
            "learning rate, or set grad_clip"
        )
    largest, name = max(_sizes(model), default=(0.0, ""))
    if largest > HUGE:
        return (
            f"{problem}, because the loss diverged: {name} holds numbers as large as "
            f"{largest:.1e}; lower the learning rate, or set grad_clip"
        )
    try:
        with detect_anomaly():
            for batch in taken:
                loss_of(batch).backward()
    except AnomalyError as error:
        return f"{problem}: {error}"
    return f"{problem}; lower the learning rate"


def _sizes(model: Module) -> list[tuple[float, str]]:
    """The largest magnitude in each parameter, with its name."""
    named = ((name, p.detach()) for name, p in model.named_parameters() if p.size)
    return [(float(abs(p).max()), name) for name, p in named]


def _given(batch: Any) -> str:
    """The first NaN in a batch, or Inf, in words; -Inf may stand for what a mask leaves out."""
    for i, x in enumerate(leaves_of(batch), 1):
        nan, _, finite = state(x)
        if finite:
            continue
        found = _bools(x != x if nan else x == math.inf)
        if found.any():
            row = f", row {np.argwhere(found)[0][0]}" if found.ndim else ""
            return f"{'NaN' if nan else 'Inf'} (array {i}{row})"
    return ""


def _bools(x: Any) -> Any:
    return x.numpy() if isinstance(x, Tensor) else np.asarray(x)
