"""Distances and cosines of vectors, and their normalization."""

import numpy as np

from tinyxp import backends
from tinyxp.core import dtypes
from tinyxp.core.composite import composite
from tinyxp.core.foreign_errors import typed
from tinyxp.core.operation import expect_tensors, floats
from tinyxp.errors import ArgumentError, DTypeError, ShapeError
from tinyxp.linalg.norms import vector_norm
from tinyxp.nn.functional.checks import expect_numbers
from tinyxp.ops.bounds import maximum
from tinyxp.ops.creation import asarray
from tinyxp.ops.examples import normal
from tinyxp.ops.gathering import take
from tinyxp.ops.reductions import sum
from tinyxp.ops.shaping import broadcast_shapes, broadcast_to, normalize_axis, reshape

__all__ = ["cosine_similarity", "normalize", "pairwise_distance", "pdist"]


def _expect_floating(name, *tensors):
    expect_tensors(name, *tensors)
    for x in tensors:
        if not x.dtype.kind.endswith("floating"):
            raise DTypeError(f"{name} expects floating dtypes, got {x.dtype!r}; cast: tx.astype")


@composite(real=True, autocast="float32")
def _cosine_similarity(x1, x2, /, *, axis, eps):
    # divided first, so that no product can overflow
    x1, x2 = (x / maximum(vector_norm(x, axis=axis, keepdims=True), eps) for x in (x1, x2))
    return sum(x1 * x2, axis=axis)


_cosine_similarity.example(normal((2, 3, 4), (2, 3, 4), axis=1, eps=1e-08))
_cosine_similarity.example(
    lambda rng: (rng.normal(size=(3, 4)), rng.normal(size=(3, 4)) / 9, {"axis": -1, "eps": 0.1})
)


@typed
def cosine_similarity(x1, x2, dim=1, eps=1e-8):
    """y = x₁ · x₂ / (max(‖x₁‖, ε) · max(‖x₂‖, ε)) along ``dim`` of the shape both are broadcast to.

    The gradient is that of this formula; PyTorch's differs where a norm is below ε.
    Shapes: (..., D, ...), (..., D, ...) -> (..., ...). Raises ShapeError, AxisError, DTypeError.

    >>> x, y = tx.asarray([[3.0, 4.0]]), tx.asarray([[0.0, 2.0]])
    >>> tx.nn.functional.cosine_similarity(x, y)
    tensor([0.8])
    """
    _expect_floating("cosine_similarity", x1, x2)
    shape = broadcast_shapes(x1.shape, x2.shape) or (1,)
    axis = normalize_axis("cosine_similarity", dim, len(shape))
    x1, x2 = (x if x.shape == shape else broadcast_to(x, shape) for x in (x1, x2))
    return _cosine_similarity(x1, x2, axis=axis, eps=eps)


@typed
def normalize(input, p=2.0, dim=1, eps=1e-12):
    """y = x / max(‖x‖ₚ, ε), the norm taken over ``dim``, one axis or several: (...) -> (...).

    Raises AxisError, DTypeError.

    >>> tx.nn.functional.normalize(tx.asarray([[3.0, 4.0]]))
    tensor([[0.6, 0.8]])
    """
    _expect_floating("normalize", input)
    x = input if input.ndim else reshape(input, (1,))
    y = x / maximum(vector_norm(x, axis=dim, keepdims=True, ord=p), eps)
    return y if input.ndim else reshape(y, ())


def pairwise_distance(x1, x2, p=2.0, eps=1e-6, keepdim=False):
    """y = ‖x₁ - x₂ + ε‖ₚ: (N, D), (N, D) -> (N), or (D), (D) -> (); they are broadcast together.

    The ε keeps the gradient of equal vectors finite. Raises ShapeError, DTypeError.

    >>> tx.nn.functional.pairwise_distance(tx.asarray([3.0, 4.0]), tx.asarray([0.0, 0.0]), eps=0)
    tensor(5.)
    """
    expect_tensors("pairwise_distance", x1, x2)
    x1, x2 = floats(x1, x2)
    difference = x1 - x2 + eps
    if difference.ndim == 0:
        raise ShapeError("pairwise_distance expects vectors (..., D), got two numbers")
    return vector_norm(difference, axis=-1, keepdims=keepdim, ord=p)


def pdist(input, p=2.0):
    """‖xᵢ - xⱼ‖ₚ of all i < j, in the order (0, 1), (0, 2), …: (N, D) -> (N (N - 1) / 2).

    Raises ShapeError, DTypeError, ArgumentError for p < 0.

    >>> tx.nn.functional.pdist(tx.asarray([[0.0], [1.0], [3.0]]))
    tensor([1., 3., 2.])
    """
    _expect_floating("pdist", input)
    if input.ndim != 2:
        raise ShapeError(f"pdist expects input (N, D), got {input.shape}")
    expect_numbers("pdist", p=p)
    if p < 0:
        raise ArgumentError(f"pdist expects p of 0 or more, got {p}")
    with backends.using(input.backend):
        firsts, seconds = (
            asarray(places, dtype=dtypes.int64, device=input.device)
            for places in np.triu_indices(input.shape[0], 1)
        )
    difference = take(input, firsts, axis=0) - take(input, seconds, axis=0)
    if input.shape[1] == 0:
        return sum(difference, axis=-1)  # of no coordinates at all: 0
    return vector_norm(difference, axis=-1, ord=p)
