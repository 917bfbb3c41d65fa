"""Linear and bilinear maps with a bias."""

from tinyxp.core import hints as advice
from tinyxp.core.composite import composite
from tinyxp.core.operation import expect_tensors
from tinyxp.errors import ShapeError
from tinyxp.ops.examples import normal
from tinyxp.ops.linear import einsum, matmul
from tinyxp.ops.shaping import expand_dims, matrix_transpose, squeeze

__all__ = ["bilinear", "linear"]


@composite(narrow=True, autocast="lower")
def _linear(x, weight, bias=None, /):
    y = matmul(x, matrix_transpose(weight))
    return y if bias is None else y + bias


_linear.example(normal((2, 3, 4), (5, 4), (5,)))
_linear.example(normal((3, 4), (5, 4)))
_linear.example(normal((4,), (5, 4), (5,)))


def linear(input, weight, bias=None):
    """y = x Wᵀ + b.

    Shapes: input (..., in_features), weight (out_features, in_features), bias (out_features) ->
    (..., out_features); or weight (in_features), bias () -> (...). Raises ShapeError, DTypeError.

    >>> F = tx.nn.functional
    >>> F.linear(tx.asarray([1.0, 2.0]), tx.asarray([[1.0, 1.0]]), tx.asarray([0.5]))
    tensor([3.5])
    """
    expect_tensors("linear", input, weight, *_present(bias))
    x, w = input.shape, weight.shape
    if len(w) not in (1, 2) or (bias is not None and bias.shape != w[:-1]):
        got = f"{w} and {None if bias is None else bias.shape}"
        raise ShapeError(f"linear expects weight (out, in) and bias (out), got {got}")
    if not x or x[-1] != w[-1]:
        outs = "" if len(w) == 1 else f", {w[0]}"
        layer = f"Linear({x[-1]}{outs})" if x else ""
        raise ShapeError(
            f"linear with weight {w} expects input (..., {w[-1]}), got "
            f"{x}{advice.for_features(x, w[-1], layer)}"
        )
    if len(w) == 1:
        row = expand_dims(weight, axis=0)
        return squeeze(
            _linear(input, row, *(expand_dims(b, axis=0) for b in _present(bias))), axis=-1
        )
    return _linear(input, weight, bias)


@composite(real=True, narrow=True, autocast="lower")
def _bilinear(x1, x2, weight, bias=None, /):
    y = einsum("...i,kij,...j->...k", x1, weight, x2)
    return y if bias is None else y + bias


_bilinear.example(normal((2, 3), (2, 4), (2, 3, 4), (2,)))
_bilinear.example(normal((3,), (2,), (4, 3, 2)))


def bilinear(input1, input2, weight, bias=None):
    """yₖ = Σᵢⱼ x₁ᵢ Wₖᵢⱼ x₂ⱼ + bₖ.

    Shapes: input1 (..., in1), input2 (..., in2) with the same leading axes, weight (out, in1, in2),
    bias (out) -> (..., out). Raises ShapeError, DTypeError.

    >>> x1, x2, weight = tx.asarray([1.0, 2.0]), tx.asarray([3.0]), tx.ones((1, 2, 1))
    >>> tx.nn.functional.bilinear(x1, x2, weight)
    tensor([9.])
    """
    expect_tensors("bilinear", input1, input2, weight, *_present(bias))
    if weight.ndim != 3 or (bias is not None and bias.shape != weight.shape[:1]):
        got = f"{weight.shape} and {None if bias is None else bias.shape}"
        raise ShapeError(f"bilinear expects weight (out, in1, in2) and bias (out), got {got}")
    expected = weight.shape[1:]
    if (
        0 in (input1.ndim, input2.ndim)
        or input1.shape[:-1] != input2.shape[:-1]
        or (input1.shape[-1], input2.shape[-1]) != expected
    ):
        raise ShapeError(
            f"bilinear expects inputs (..., {expected[0]}) and (..., {expected[1]}) with the same "
            f"leading axes, got {input1.shape} and {input2.shape}"
        )
    return _bilinear(input1, input2, weight, bias)


def _present(bias):
    return () if bias is None else (bias,)
