"""The cross product, and the diagonals and traces of matrices."""

import numpy as np

from tinyxp.core.composite import composite
from tinyxp.core.primitive import primitive
from tinyxp.errors import ShapeError
from tinyxp.linalg.common import expect_matrices
from tinyxp.ops.examples import normal
from tinyxp.ops.linear import expect_common_axis
from tinyxp.ops.orders import roll
from tinyxp.ops.parts import _replace, _unslice
from tinyxp.ops.reductions import sum
from tinyxp.ops.shaping import reshape

__all__ = ["cross", "diagonal", "trace"]


@composite
def cross(x1, x2, /, *, axis=-1):
    """y_i = x₁_(i+1) x₂_(i+2) - x₁_(i+2) x₂_(i+1), indices modulo 3: orthogonal to both.

    ``axis``, a negative integer, has length 3 in both; the other axes are broadcast. Raises
    ShapeError, AxisError.

    >>> tx.linalg.cross(tx.asarray([1, 0, 0]), tx.asarray([0, 1, 0]))
    tensor([0, 0, 1])
    """
    expect_common_axis("cross", x1, x2, axis)
    if x1.shape[axis] != 3 or x2.shape[axis] != 3:
        raise ShapeError(
            f"cross expects length 3 at axis {axis}, got shapes {x1.shape} and {x2.shape}"
        )
    left = roll(x1, -1, axis=axis) * roll(x2, -2, axis=axis)
    return left - roll(x1, -2, axis=axis) * roll(x2, -1, axis=axis)


cross.example(normal((2, 3), (3,)))
cross.example(normal((3, 2), (2, 3, 1), axis=-2))


def _diagonal_slice(shape, offset):
    """The slice of the flattened matrix (m · n) that is its diagonal."""
    m, n = shape[-2:]
    start = offset if offset >= 0 else -offset * n
    count = min(m, n - offset) if offset >= 0 else min(m + offset, n)
    return slice(start, start + (count - 1) * (n + 1) + 1, n + 1) if count > 0 else slice(0, 0)


@primitive(promote=None, view=True)
def diagonal(xp, x, /, *, offset=0):
    """The diagonals x[..., i, i + offset]: (..., m, n) -> (..., k).

    >>> tx.linalg.diagonal(tx.asarray([[1, 2], [3, 4]]), offset=1)
    tensor([2])
    """
    expect_matrices("diagonal", x)
    *stack, m, n = x.shape
    return xp.reshape(x, (*stack, m * n))[..., _diagonal_slice(x.shape, offset)]


@diagonal.vjp
def _(xp, g, x_shape, offset):
    *stack, m, n = x_shape
    flat = _unslice.on(xp, g, shape=(*stack, m * n), key=(..., _diagonal_slice(x_shape, offset)))
    return xp.reshape(flat, x_shape)


@diagonal.put
def _(x, v, offset=0):
    *stack, m, n = x.shape
    flat = _replace(reshape(x, (*stack, m * n)), v, key=(..., _diagonal_slice(x.shape, offset)))
    return reshape(flat, x.shape)


diagonal.op.lens.layout = lambda a, key: np.diagonal(a, key.get("offset", 0), -2, -1)
diagonal.example(normal((2, 3, 4), offset=1))
diagonal.example(normal((3, 3), offset=-1))


@composite
def trace(x, /, *, offset=0, dtype=None):
    """y = Σ x[..., i, i + offset]: (..., m, n) -> (...). Small integers are summed as int64.

    >>> tx.linalg.trace(tx.asarray([[1, 2], [3, 4]]))
    tensor(5)
    """
    expect_matrices("trace", x)
    return sum(diagonal(x, offset=offset), axis=-1, dtype=dtype)


trace.example(normal((2, 3, 3)))
trace.example(normal((3, 4), offset=2))
