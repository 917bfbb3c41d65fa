"""PyTorch's spellings of what Tensors do, so that a model's ``forward`` runs as it was written.

The Array API's names come first everywhere in tinyxp, and where the two mean different things by
one name (``x.size``, ``max``, ``std``) its meaning holds. What PyTorch calls otherwise is here:
methods of the Tensor, and the same as functions.
"""

from tinyxp.core import dtypes
from tinyxp.core.operation import expect_tensors, respelled, typed
from tinyxp.core.tensor import Tensor
from tinyxp.core.views import is_contiguous
from tinyxp.errors import ArgumentError, DTypeError, ShapeError
from tinyxp.nn.functional import relu, sigmoid, softmax
from tinyxp.ops import methods as _methods  # noqa: F401, which the methods here override
from tinyxp.ops import reductions
from tinyxp.ops.arithmetic import pow, where
from tinyxp.ops.bounds import clip
from tinyxp.ops.creation import astype, clone
from tinyxp.ops.linear import matmul
from tinyxp.ops.orders import flip
from tinyxp.ops.parts import split_at
from tinyxp.ops.scans import cumulative_prod, cumulative_sum
from tinyxp.ops.searching import argsort
from tinyxp.ops.shaping import (
    broadcast_to,
    concat,
    expand_dims,
    flatten,
    matrix_transpose,
    moveaxis,
    normalize_axis,
    permute_dims,
    reshape,
    squeeze,
)
from tinyxp.ops.sorting import topk

__all__ = ["amax", "amin", "bmm", "cat", "chunk", "clamp", "cumprod", "cumsum", "flatten"]
__all__ += ["masked_fill", "mm", "relu", "sigmoid", "softmax", "split", "transpose", "unsqueeze"]


@respelled
def cat(tensors, dim=0):
    """Tensors joined along an existing axis: ``tx.concat``.

    >>> tx.cat([tx.asarray([[1]]), tx.asarray([[2]])], dim=1)
    tensor([[1, 2]])
    """
    return concat(tensors, axis=dim)


@respelled
def cumsum(input, dim, dtype=None):
    """Running sums along an axis: ``tx.cumulative_sum``.

    >>> tx.cumsum(tx.asarray([1, 2, 3]), dim=0)
    tensor([1, 3, 6])
    """
    return cumulative_sum(input, axis=dim, dtype=dtype)


@respelled
def cumprod(input, dim, dtype=None):
    """Running products along an axis: ``tx.cumulative_prod``.

    >>> tx.cumprod(tx.asarray([1, 2, 3]), dim=0)
    tensor([1, 2, 6])
    """
    return cumulative_prod(input, axis=dim, dtype=dtype)


@respelled
@typed
def amax(input, dim=None, keepdim=False):
    """The largest along an axis, several or all, without its place: the standard's ``tx.max``.

    >>> tx.amax(tx.asarray([[1, 3], [2, 0]]), dim=1)
    tensor([3, 2])
    """
    return reductions.max(input, axis=None if dim == () else dim, keepdims=keepdim)


@respelled
@typed
def amin(input, dim=None, keepdim=False):
    """The smallest along an axis, several or all, without its place: the standard's ``tx.min``.

    >>> tx.amin(tx.asarray([[1, 3], [2, 0]]), dim=1)
    tensor([1, 0])
    """
    return reductions.min(input, axis=None if dim == () else dim, keepdims=keepdim)


def clamp(input, min=None, max=None):
    """x held between two bounds: ``tx.clip``.

    >>> tx.clamp(tx.asarray([-1.0, 0.5, 2.0]), 0, 1)
    tensor([0. , 0.5, 1. ])
    """
    return clip(input, min, max)


@respelled
def unsqueeze(input, dim):
    """A new axis of length 1: ``tx.expand_dims``.

    >>> tx.zeros(3).unsqueeze(-1).shape
    (3, 1)
    """
    return expand_dims(input, axis=dim)


def transpose(input, dim0, dim1):
    """Two axes exchanged.

    >>> tx.zeros((2, 3, 4)).transpose(0, 2).shape
    (4, 3, 2)
    """
    expect_tensors("transpose", input)
    a, b = (normalize_axis("transpose", dim, input.ndim) for dim in (dim0, dim1))
    order = list(range(input.ndim))
    order[a], order[b] = b, a
    return permute_dims(input, tuple(order))


@respelled
def split(tensor, split_size_or_sections, dim=0):
    """Pieces along an axis: all of one length (the last may be shorter), or of the lengths given.

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


@respelled
def chunk(input, chunks, dim=0):
    """At most ``chunks`` pieces of one length along an axis; the last may be shorter.

    >>> tx.chunk(tx.arange(5), 2)
    (tensor([0, 1, 2]), tensor([3, 4]))
    """
    expect_tensors("chunk", input)
    axis = normalize_axis("chunk", dim, input.ndim)
    if not isinstance(chunks, int) or chunks < 1:
        raise ArgumentError(f"chunk expects a number of pieces from 1 up, got {chunks!r}")
    return split(input, max(1, -(-input.shape[axis] // chunks)), axis)


@typed
def masked_fill(input, mask, value):
    """x with ``value`` where the mask is True.

    >>> tx.asarray([1.0, 2.0]).masked_fill(tx.asarray([True, False]), 0.0)
    tensor([0., 2.])
    """
    y = where(mask, value, input)
    if y.dtype is not input.dtype:
        raise DTypeError(
            f"masked_fill keeps the dtype, {input.dtype!r}, which does not hold {value!r}; cast x "
            "first: tx.astype"
        )
    return y


def mm(input, mat2):
    """The product of two matrices: (m, k), (k, n) -> (m, n). Raises ShapeError for other ranks."""
    return _matrices("mm", input, mat2, 2)


def bmm(input, mat2):
    """Products of two stacks of matrices: (b, m, k), (b, k, n) -> (b, m, n).

    Raises ShapeError for other ranks, or stacks of two lengths.
    """
    expect_tensors("bmm", input, mat2)
    if input.shape[:1] != mat2.shape[:1]:
        raise ShapeError(f"bmm expects stacks of one length, got {input.shape} and {mat2.shape}")
    return _matrices("bmm", input, mat2, 3)


def _matrices(name, a, b, ndim):
    expect_tensors(name, a, b)
    if (a.ndim, b.ndim) != (ndim, ndim):
        raise ShapeError(
            f"{name} expects two tensors of {ndim} axes, got {a.shape} and {b.shape}; use matmul"
        )
    return matmul(a, b)


def _spread(sizes):
    """``view(2, 3)`` as ``view((2, 3))``."""
    return tuple(sizes[0]) if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)) else sizes


def _view_as(self, other):
    expect_tensors("view_as", other)
    return reshape(self, other.shape)


@typed
def _expand(self, *sizes):
    sizes = _spread(sizes)
    if len(sizes) < self.ndim:
        raise ShapeError(f"expand needs {self.ndim} lengths or more for {self.shape}, got {sizes}")
    own = (1,) * (len(sizes) - self.ndim) + self.shape
    return broadcast_to(self, tuple(n if m == -1 else m for m, n in zip(sizes, own, strict=True)))


def _squeeze(self, dim=None):
    ones = tuple(i for i, n in enumerate(self.shape) if n == 1)
    return squeeze(self, axis=ones if dim is None else dim)


METHODS = {
    "flip": lambda self, *dims: flip(self, axis=_spread(dims)),
    "squeeze": respelled(_squeeze),
    "view": lambda self, *shape: reshape(self, _spread(shape)),
    "view_as": _view_as,
    "permute": lambda self, *dims: permute_dims(self, _spread(dims)),
    "movedim": moveaxis,
    "t": lambda self: matrix_transpose(self) if self.ndim > 1 else self,
    "expand": _expand,
    "contiguous": lambda self: self if is_contiguous(self) else clone(self),
    "is_contiguous": is_contiguous,
    "dim": lambda self: self.ndim,
    "numel": lambda self: self.size,
    "matmul": matmul,
    "pow": pow,
    "half": lambda self: astype(self, dtypes.float16, copy=False),
    "bfloat16": lambda self: astype(self, dtypes.bfloat16, copy=False),
    "float": lambda self: astype(self, dtypes.float32, copy=False),
    "double": lambda self: astype(self, dtypes.float64, copy=False),
    "long": lambda self: astype(self, dtypes.int64, copy=False),
    "int": lambda self: astype(self, dtypes.int32, copy=False),
    "bool": lambda self: astype(self, dtypes.bool, copy=False),
}
for _function in (amax, amin, argsort, clamp, cumprod, cumsum, topk):
    METHODS[_function.__name__] = _function
for _function in (bmm, chunk, masked_fill, mm, relu, sigmoid, softmax, split, transpose, unsqueeze):
    METHODS[_function.__name__] = _function
for _name, _method in METHODS.items():
    setattr(Tensor, _name, _method)
