"""The linear layer: y = x Wᵀ + b."""

from tinyxp.backends.errors import ShapeError
from tinyxp.composite import composite
from tinyxp.ops.linear import matmul
from tinyxp.ops.shaping import matrix_transpose

__all__ = ["linear"]


@composite
def _linear(x, weight, bias=None, /):
    y = matmul(x, matrix_transpose(weight))
    return y if bias is None else y + bias


@_linear.example
def _(rng):
    return rng.normal(size=(2, 3, 4)), rng.normal(size=(5, 4)), rng.normal(size=(5,))


@_linear.example
def _(rng):
    return rng.normal(size=(3, 4)), rng.normal(size=(5, 4))


@_linear.example
def _(rng):
    return rng.normal(size=(4,)), rng.normal(size=(5, 4)), rng.normal(size=(5,))


def linear(input, weight, bias=None):
    """y = x Wᵀ + b.

    Shapes: input (..., in_features), weight (out_features, in_features), bias (out_features) ->
    (..., out_features). Raises ShapeError.

    >>> F = tx.nn.functional
    >>> F.linear(tx.asarray([1.0, 2.0]), tx.asarray([[1.0, 1.0]]), tx.asarray([0.5]))
    tensor([3.5])
    """
    if weight.ndim != 2 or (bias is not None and bias.shape != weight.shape[:1]):
        got = f"{weight.shape} and {None if bias is None else bias.shape}"
        raise ShapeError(f"linear expects weight (out, in) and bias (out), got {got}")
    if input.ndim == 0 or input.shape[-1] != weight.shape[1]:
        raise ShapeError(
            f"linear with in_features={weight.shape[1]} expects input (..., {weight.shape[1]}), "
            f"got {input.shape}"
        )
    return _linear(input, weight, bias)
