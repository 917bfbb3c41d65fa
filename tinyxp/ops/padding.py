"""Padding, and the triangles of matrices."""

from tinyxp.core.primitive import primitive
from tinyxp.errors import ArgumentError, ShapeError
from tinyxp.ops.examples import normal

__all__ = ["pad", "tril", "triu"]


@primitive(promote=None)
def pad(xp, x, /, pad_width, mode="constant", *, constant_values=0):
    """x padded with a constant: ``pad_width`` is n, (before, after), or a pair for each axis.

    Raises ShapeError, and ArgumentError for another mode or a constant outside the dtype.

    >>> tx.pad(tx.asarray([1, 2]), (1, 2))
    tensor([0, 1, 2, 0, 0])
    """
    if mode != "constant":
        raise ArgumentError(f"pad knows the mode 'constant', got {mode!r}")
    pairs = _as_pairs(pad_width, len(x.shape))
    shape = tuple(n + before + after for n, (before, after) in zip(x.shape, pairs, strict=True))
    if constant_values != 0 and xp.isdtype(x.dtype, "integral"):
        span = xp.iinfo(x.dtype)
        if not span.min <= constant_values <= span.max:  # true for NaN too
            raise ArgumentError(
                f"{x.dtype} holds numbers from {span.min} to {span.max}, got {constant_values} "
                "to pad with"
            )
    y = xp.full(shape, constant_values, dtype=x.dtype, device=x.device)
    y[_interior(pairs, x.shape)] = x
    return y


pad.vjp(lambda xp, g, x_shape, pad_width: g[_interior(_as_pairs(pad_width, len(x_shape)), x_shape)])


def _as_pairs(pad_width, ndim):
    if isinstance(pad_width, int):
        return ((pad_width, pad_width),) * ndim
    if len(pad_width) == 2 and all(isinstance(n, int) for n in pad_width):
        return (tuple(pad_width),) * ndim
    if len(pad_width) != ndim:
        raise ShapeError(f"pad expects a pair for each of {ndim} axes, got {pad_width}")
    return tuple(map(tuple, pad_width))


def _interior(pairs, shape):
    return tuple(slice(b, b + n) for (b, _), n in zip(pairs, shape, strict=True))


pad.example(normal((2, 3), pad_width=((1, 0), (2, 1)), constant_values=1.5))


@primitive(promote=None)
def tril(xp, x, /, k=0):
    """The lower triangle of each matrix, up to the k-th diagonal; the rest is 0.

    >>> tx.tril(tx.ones((2, 2)))
    tensor([[1., 0.],
            [1., 1.]])
    """
    return xp.tril(x, k=k)


tril.vjp(lambda xp, g, k: xp.tril(g, k=k))


@primitive(promote=None)
def triu(xp, x, /, k=0):
    """The upper triangle of each matrix, from the k-th diagonal; the rest is 0.

    >>> tx.triu(tx.ones((2, 2)))
    tensor([[1., 1.],
            [0., 1.]])
    """
    return xp.triu(x, k=k)


triu.vjp(lambda xp, g, k: xp.triu(g, k=k))
for _op in (tril, triu):
    _op.example(normal((2, 3, 4), k=1))
