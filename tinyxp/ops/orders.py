"""The same elements reversed or shifted along an axis; the result is never a view."""

from tinyxp.core.primitive import primitive
from tinyxp.errors import DTypeError
from tinyxp.ops.examples import normal
from tinyxp.ops.shaping import expect_axes

__all__ = ["flip", "roll"]


@primitive(promote=None)
def flip(xp, x, /, axis=None):
    """x with its elements reversed along ``axis`` (one, several, or None for all).

    >>> tx.flip(tx.asarray([1, 2, 3]))
    tensor([3, 2, 1])
    """
    expect_axes(x, axis)
    return xp.flip(x, axis=axis)


flip.vjp(lambda xp, g, axis: xp.flip(g, axis=axis))
flip.example(normal((2, 3, 4), axis=(0, 2)))


@primitive(promote=None)
def roll(xp, x, /, shift, axis=None):
    """x with its elements shifted cyclically along ``axis``; None shifts the flattened x.

    Raises DTypeError unless shifts are integers.

    >>> tx.roll(tx.asarray([1, 2, 3]), 1)
    tensor([3, 1, 2])
    """
    shifts = shift if isinstance(shift, (tuple, list)) else (shift,)
    if not all(hasattr(s, "__index__") for s in shifts):
        raise DTypeError(f"roll expects integers as shift, got {shift!r}")
    return xp.roll(x, shift, axis=axis)


@roll.vjp
def _(xp, g, shift, axis):
    back = tuple(-s for s in shift) if isinstance(shift, (tuple, list)) else -shift
    return xp.roll(g, back, axis=axis)


roll.example(normal((3, 4), shift=(1, -2), axis=(0, 1)))
