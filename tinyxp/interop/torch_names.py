"""Functions and methods that only PyTorch has, made of the Array API's functions.

With them a model's ``forward`` runs as it was written for PyTorch. Where both libraries use one
name for two things, see ``overloads``; for methods that change a tensor in place, ``inplace``.
"""

from tinyxp.core import dtypes
from tinyxp.core.foreign_errors import typed
from tinyxp.core.operation import expect_tensors
from tinyxp.core.views import is_contiguous
from tinyxp.errors import ArgumentError, DTypeError, ShapeError
from tinyxp.interop import overloads
from tinyxp.nn.functional import relu, sigmoid, softmax
from tinyxp.ops import arithmetic, bounds, linear, orders, reductions, scans, shaping
from tinyxp.ops.creation import astype, clone
from tinyxp.ops.methods import add_methods, takes_several
from tinyxp.ops.parts import split_at
from tinyxp.ops.searching import argsort
from tinyxp.ops.shaping import normalize_axis
from tinyxp.ops.sorting import topk

__all__ = [
    "amax", "amin", "bmm", "cat", "chunk", "clamp", "cumprod", "cumsum", "masked_fill", "mm",
    "relu", "sigmoid", "softmax", "split", "transpose", "unsqueeze",
]  # fmt: skip


@typed
def cat(tensors, dim=0):
    """Tensors joined along an existing axis: ``tx.concat``.

    >>> tx.cat([tx.asarray([[1]]), tx.asarray([[2]])], dim=1)
    tensor([[1, 2]])
    """
    return shaping.concat(tensors, axis=dim)


@typed
def cumsum(input, dim, dtype=None):
    """Running sums along an axis: ``tx.cumulative_sum``.

    >>> tx.cumsum(tx.asarray([1, 2, 3]), dim=0)
    tensor([1, 3, 6])
    """
    return scans.cumulative_sum(input, axis=dim, dtype=dtype)


@typed
def cumprod(input, dim, dtype=None):
    """Running products along an axis: ``tx.cumulative_prod``.

    >>> tx.cumprod(tx.asarray([1, 2, 3]), dim=0)
    tensor([1, 2, 6])
    """
    return scans.cumulative_prod(input, axis=dim, dtype=dtype)


@typed
def amax(input, dim=None, keepdim=False):
    """The largest along one axis, several or all, without its index: the Array API's ``max``.

    >>> tx.amax(tx.asarray([[1, 3], [2, 0]]), dim=1)
    tensor([3, 2])
    """
    return reductions.max(input, axis=None if dim == () else dim, keepdims=keepdim)


@typed
def amin(input, dim=None, keepdim=False):
    """The smallest along one axis, several or all, without its index: the Array API's ``min``.

    >>> tx.amin(tx.asarray([[1, 3], [2, 0]]), dim=1)
    tensor([1, 0])
    """
    return reductions.min(input, axis=None if dim == () else dim, keepdims=keepdim)


@typed
def clamp(input, min=None, max=None):
    """x limited to [min, max]: ``tx.clip``.

    >>> tx.clamp(tx.asarray([-1.0, 0.5, 2.0]), 0, 1)
    tensor([0. , 0.5, 1. ])
    """
    return bounds.clip(input, min, max)


@typed
def unsqueeze(input, dim):
    """A new axis of length 1: ``tx.expand_dims``.

    >>> tx.zeros(3).unsqueeze(-1).shape
    (3, 1)
    """
    return shaping.expand_dims(input, axis=dim)


@typed
def transpose(input, dim0, dim1):
    """Two axes exchanged.

    >>> tx.zeros((2, 3, 4)).transpose(0, 2).shape
    (4, 3, 2)
    """
    expect_tensors("transpose", input)
    a, b = (normalize_axis("transpose", dim, input.ndim) for dim in (dim0, dim1))
    order = list(range(input.ndim))
    order[a], order[b] = b, a
    return shaping.permute_dims(input, tuple(order))


@typed
def split(tensor, split_size_or_sections, dim=0):
    """Pieces along an axis, of one length (the last may be shorter) or of a list of lengths.

    Raises ArgumentError for a length below 1, ShapeError unless a list adds up to the axis.

    >>> tx.split(tx.arange(5), 2)
    (tensor([0, 1]), tensor([2, 3]), tensor([4]))
    """
    expect_tensors("split", tensor)
    axis = normalize_axis("split", dim, tensor.ndim)
    n, sizes = tensor.shape[axis], split_size_or_sections
    if isinstance(sizes, int):
        if sizes < 1:
            raise ArgumentError(f"split expects pieces of length 1 or more, got {sizes}")
        sizes = [min(sizes, n - start) for start in range(0, n, sizes)] or [0]
    if not isinstance(sizes, (tuple, list)) or not all(isinstance(k, int) for k in sizes):
        raise DTypeError(f"split expects a length or a list of lengths, got {sizes!r}")
    if sum(sizes) != n or min(sizes, default=0) < 0:
        raise ShapeError(f"split expects lengths that add up to {n}, got {list(sizes)}")
    return split_at(tensor, sizes, axis)


@typed
def chunk(input, chunks, dim=0):
    """At most ``chunks`` pieces of one length along an axis; the last may be shorter.

    >>> tx.chunk(tx.arange(5), 2)
    (tensor([0, 1, 2]), tensor([3, 4]))
    """
    expect_tensors("chunk", input)
    axis = normalize_axis("chunk", dim, input.ndim)
    if not isinstance(chunks, int) or chunks < 1:
        raise ArgumentError(f"chunk expects a number of pieces of 1 or more, got {chunks!r}")
    return split(input, max(1, -(-input.shape[axis] // chunks)), axis)


@typed
def masked_fill(input, mask, value):
    """x with ``value`` where the mask is True. Raises DTypeError if that changes the dtype.

    >>> tx.asarray([1.0, 2.0]).masked_fill(tx.asarray([True, False]), 0.0)
    tensor([0., 2.])
    """
    y = arithmetic.where(mask, value, input)
    if y.dtype is not input.dtype:
        raise DTypeError(
            f"masked_fill keeps the dtype, {input.dtype!r}, which does not hold {value!r}; cast x "
            "first: tx.astype"
        )
    return y


@typed
def mm(input, mat2):
    """The product of two matrices: (m, k), (k, n) -> (m, n). Raises ShapeError for other ranks."""
    return _matmul("mm", input, mat2, 2)


@typed
def bmm(input, mat2):
    """Products of two stacks of matrices: (b, m, k), (b, k, n) -> (b, m, n).

    Raises ShapeError for other ranks, or for stacks of different lengths.
    """
    expect_tensors("bmm", input, mat2)
    if input.shape[:1] != mat2.shape[:1]:
        raise ShapeError(f"bmm expects stacks of one length, got {input.shape} and {mat2.shape}")
    return _matmul("bmm", input, mat2, 3)


def _matmul(name, a, b, ndim):
    """The product of two tensors that must have ``ndim`` axes each."""
    expect_tensors(name, a, b)
    if (a.ndim, b.ndim) != (ndim, ndim):
        raise ShapeError(
            f"{name} expects two tensors of {ndim} axes, got {a.shape} and {b.shape}; use matmul"
        )
    return linear.matmul(a, b)


def _as_tuple(sizes):
    """The sizes of ``view(2, 3)`` or ``view((2, 3))``."""
    return tuple(sizes[0]) if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)) else sizes


@typed
def _view_as(self, other):
    expect_tensors("view_as", other)
    return shaping.reshape(self, other.shape)


@typed
def _expand(self, *sizes):
    sizes = _as_tuple(sizes)
    if len(sizes) < self.ndim:
        raise ShapeError(f"expand needs {self.ndim} lengths or more for {self.shape}, got {sizes}")
    own = (1,) * (len(sizes) - self.ndim) + self.shape
    lengths = tuple(n if m == -1 else m for m, n in zip(sizes, own, strict=True))
    return shaping.broadcast_to(self, lengths)


@typed
def _squeeze(self, dim=None):
    ones = tuple(i for i, n in enumerate(self.shape) if n == 1)
    return shaping.squeeze(self, axis=ones if dim is None else dim)


def _nonzero(self, /, *, as_tuple=False):
    """The indices of the elements that are not zero, as the rows of a matrix."""
    return overloads.nonzero(self, as_tuple=as_tuple)


def _cast(dtype):
    return lambda self: astype(self, dtype, copy=False)


add_methods(
    {
        "bool": _cast(dtypes.bool),
        "int": _cast(dtypes.int32),
        "long": _cast(dtypes.int64),
        "half": _cast(dtypes.float16),
        "bfloat16": _cast(dtypes.bfloat16),
        "float": _cast(dtypes.float32),
        "double": _cast(dtypes.float64),
        "contiguous": lambda self: self if is_contiguous(self) else clone(self),
        "dim": lambda self: self.ndim,
        "expand": _expand,
        "flip": takes_several("flip", "axis", orders.flip),
        "is_contiguous": is_contiguous,
        "matmul": linear.matmul,
        "max": overloads.max,
        "min": overloads.min,
        "movedim": shaping.moveaxis,
        "nonzero": _nonzero,
        "numel": lambda self: self.size,
        "permute": takes_several("permute", "axes", shaping.permute_dims),
        "pow": arithmetic.pow,
        "sort": overloads.pytorch_sort,
        "squeeze": _squeeze,
        "std": overloads.std_method,
        "t": lambda self: shaping.matrix_transpose(self) if self.ndim > 1 else self,
        "var": overloads.var_method,
        "view": takes_several("view", "shape", shaping.reshape),
        "view_as": _view_as,
    }
    | {f.__name__: f for f in (amax, amin, argsort, bmm, chunk, clamp, cumprod, cumsum, mm, topk)}
    | {f.__name__: f for f in (masked_fill, relu, sigmoid, softmax, split, transpose, unsqueeze)}
)
