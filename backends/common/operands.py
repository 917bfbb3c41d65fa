"""Whether the operands of a composite fit together, so that a kernel may compute it."""

from typing import Any


def linear_fits(x: Any, weight: Any, bias: Any) -> bool:
    """x (..., in), weight (out, in) and bias (out), or None."""
    fits: bool = x.ndim > 1 and weight.ndim == 2 and x.shape[-1] == weight.shape[1]
    return fits and (bias is None or bias.shape == weight.shape[:1])


def conv_fits(x: Any, weight: Any, bias: Any, groups: int, transposed: bool = False) -> bool:
    """x (batch, in, *image), weight (out, in / groups, *size), or (in, out / groups, *size) if
    ``transposed``, and bias (out), not empty."""
    if x.ndim != weight.ndim or 0 in x.shape or 0 in weight.shape:
        return False
    down, up = weight.shape[0], weight.shape[1] * groups
    channels, filters = (down, up) if transposed else (up, down)
    fits: bool = down % groups == 0 and channels == x.shape[1]
    return fits and (bias is None or bias.shape == (filters,))


def is_last_axis(x: Any, dim: int) -> bool:
    """Whether ``dim`` is the last axis of x, which is not empty."""
    return x.size > 0 and x.ndim > 0 and dim in (-1, x.ndim - 1)
