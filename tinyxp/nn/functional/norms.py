"""Normalisation over the trailing axes."""

from tinyxp.backends.errors import ShapeError
from tinyxp.composite import composite
from tinyxp.ops.exponential import sqrt
from tinyxp.ops.reductions import mean

__all__ = ["layer_norm"]


@composite(real=True)
def _layer_norm(x, weight=None, bias=None, /, axes=1, eps=1e-5):
    last = tuple(range(-axes, 0))
    centred = x - mean(x, axis=last, keepdims=True)
    variance = mean(centred * centred, axis=last, keepdims=True)
    y = centred / sqrt(variance + eps)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


@_layer_norm.example
def _(rng):
    return rng.normal(size=(2, 3, 4)), rng.normal(size=(4,)), rng.normal(size=(4,))


@_layer_norm.example
def _(rng):
    return rng.normal(size=(2, 3, 4)), rng.normal(size=(3, 4)), None, {"axes": 2, "eps": 0.1}


@_layer_norm.example
def _(rng):
    return rng.normal(size=(3, 4)), None, None


def layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    """y = (x - mean) / √(var + eps) · weight + bias, mean and var over the trailing axes.

    Shapes: input (..., *normalized_shape), weight and bias (*normalized_shape). Raises ShapeError.
    Source: Ba et al. 2016, eq. 4; var is the biased one (1/n).

    >>> tx.nn.functional.layer_norm(tx.asarray([[1.0, 2.0, 3.0]]), (3,))
    tensor([[-1.2247356,  0.       ,  1.2247356]])
    """
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    n = len(shape)
    if not n or input.shape[-n:] != shape:
        raise ShapeError(
            f"layer_norm over {shape} expects input (..., *{shape}), got {input.shape}"
        )
    for name, part in (("weight", weight), ("bias", bias)):
        if part is not None and part.shape != shape:
            raise ShapeError(f"layer_norm expects {name} {shape}, got {part.shape}")
    return _layer_norm(input, weight, bias, axes=n, eps=eps)
