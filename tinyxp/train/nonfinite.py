"""NaN and Inf in training: which weights hold them, and what produced them."""

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
from tinyxp.nn.utils.clip_grad import all_finite

HUGE = 1e4  # weights beyond it have diverged


def not_finite(model: Module) -> str:
    """The names of up to three parameters that hold a NaN or Inf."""
    named = ((name, p.detach()) for name, p in model.named_parameters())
    return ", ".join(islice((name for name, p in named if not all_finite([p])), 3))


def why_not_finite(
    model: Module, loss: float, loss_of: Callable[[Any], Tensor], batches: Iterable[Any]
) -> str:
    """Explain a loss or gradient that is NaN or Inf; this computes it once more."""
    problem = "a gradient is NaN or Inf" if math.isfinite(loss) else f"the loss is {loss}"
    taken = list(batches)
    for i, batch in enumerate(taken, 1):
        if nonfinite := _nonfinite_in(batch):
            which = f" {i} of {len(taken)}" if len(taken) > 1 else ""
            return f"{problem}, because the batch{which} already holds {nonfinite}; fix the data"
    if names := not_finite(model):
        return (
            f"{problem}, because {names} became NaN or Inf in the step before; lower the "
            "learning rate, or set grad_clip"
        )
    sizes = ((float(abs(p.detach()).max()), n) for n, p in model.named_parameters() if p.size)
    largest, name = max(sizes, default=(0.0, ""))
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


def _nonfinite_in(batch: Any) -> str:
    """The first NaN or Inf in a batch, in words. -Inf may be a mask, so it is allowed."""
    for i, x in enumerate(leaves_of(batch), 1):
        nan, _, finite = state(x)
        if finite:
            continue
        found = x != x if nan else x == math.inf
        mask = found.numpy() if isinstance(found, Tensor) else np.asarray(found)
        if mask.any():
            row = f", row {np.argwhere(mask)[0][0]}" if mask.ndim else ""
            return f"{'NaN' if nan else 'Inf'} (array {i}{row})"
    return ""
