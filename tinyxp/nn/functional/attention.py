"""Attention: each query takes a mean of the values, weighted by how well its key fits."""

import math

from tinyxp import dtypes
from tinyxp.backends.errors import DTypeError, ShapeError
from tinyxp.composite import composite
from tinyxp.nn.functional.activations import softmax
from tinyxp.nn.functional.dropouts import dropout
from tinyxp.ops.arithmetic import where
from tinyxp.ops.creation import arange, astype
from tinyxp.ops.linear import matmul
from tinyxp.ops.shaping import broadcast_shapes, matrix_transpose

__all__ = ["attention_weights", "causal_mask", "scaled_dot_product_attention"]


@composite(real=True)
def attention_weights(q, k, mask=None, /, *, is_causal=False, scale):
    """weights = softmax(scale · Q Kᵀ + mask) over the keys; a query without any key gets zeros.

    Shapes: q (..., L, E), k (..., S, E), mask (..., L, S) -> (..., L, S).

    >>> q = tx.zeros((2, 3))
    >>> tx.nn.functional.attention_weights(q, q, is_causal=True, scale=1.0)
    tensor([[1. , 0. ],
            [0.5, 0.5]])
    """
    scores = matmul(q * scale, matrix_transpose(k))  # (..., L, S)
    allowed = mask
    if mask is not None and mask.dtype.kind != "bool":
        allowed = mask != -math.inf  # -inf forbids; any other number is added
        scores = scores + where(allowed, mask, 0.0)
    if is_causal:
        past = causal_mask(*scores.shape[-2:], device=scores.device)
        allowed = past if allowed is None else allowed & past
    if allowed is None:
        return softmax(scores, dim=-1)
    # the lowest finite number, and not -inf, of which a row alone would be NaN, gradient and all
    lowest = dtypes.finfo(scores.dtype).min
    weights = softmax(where(allowed, scores, lowest), dim=-1)
    return weights if mask is None else where(allowed, weights, 0.0)


def causal_mask(length, keys=None, *, device=None):
    """True where a query may look: at its own place and before. (length, keys)

    >>> tx.nn.functional.causal_mask(2)
    tensor([[ True, False],
            [ True,  True]])
    """
    queries = arange(length, device=device)
    return queries[:, None] >= arange(length if keys is None else keys, device=device)[None, :]


@composite(real=True)
def _attention(q, k, v, mask=None, /, *, is_causal, scale):
    return matmul(attention_weights(q, k, mask, is_causal=is_causal, scale=scale), v)


@attention_weights.example
def _(rng):
    return rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 5, 4)), {"scale": 0.5}


@attention_weights.example
def _(rng):
    mask = rng.normal(size=(3, 5))
    mask[0, 1:] = mask[1] = -math.inf  # a query with one key, and one without any
    return rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 5, 4)), mask > -math.inf, {"scale": 0.5}


@_attention.example
def _(rng):
    q, k, v = (rng.normal(size=(2, 2, 3, 4)) for _ in range(3))
    return q, k, v, {"is_causal": False, "scale": 0.5}


@_attention.example
def _(rng):
    q, k, v = (rng.normal(size=(2, 2, 3, 4)) for _ in range(3))
    return q, k, v, None, {"is_causal": True, "scale": 0.5}


@_attention.example
def _(rng):
    q, k, v = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 5, 4)), rng.normal(size=(2, 5, 2))
    return q, k, v, rng.normal(size=(3, 5)), {"is_causal": False, "scale": 0.5}


@_attention.example
def _(rng):
    q, k, v = (rng.normal(size=(2, 3, 4)) for _ in range(3))
    keys = rng.permutation(3).reshape(1, 1, 3) > 0  # one key of three is padding
    return q, k, v, keys, {"is_causal": True, "scale": 0.5}


def scaled_dot_product_attention(
    query,
    key,
    value,
    attn_mask=None,
    dropout_p=0.0,
    is_causal=False,
    scale=None,
    *,
    generator=None,
):
    """y = dropout(softmax(scale · Q Kᵀ + mask)) V; ``scale`` is 1/√E if None.

    Shapes: query (..., L, E), key (..., S, E), value (..., S, Eᵥ), attn_mask (..., L, S) or
    broadcast to it, -> (..., L, Eᵥ). A boolean mask says which keys take part (True); a floating
    one is added, and its -inf forbids. ``is_causal`` forbids keys after the query, besides the
    mask. A query without any key gets zeros. Raises ShapeError, DTypeError, ArgumentError.
    Source: Vaswani et al. 2017, eq. 1.

    >>> x = tx.ones((1, 2, 3))  # (heads, time, head_dim)
    >>> tx.nn.functional.scaled_dot_product_attention(x, x, x, is_causal=True).shape
    (1, 2, 3)
    """
    _check(query, key, value)
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    mask = prepared(attn_mask, query, key)
    if dropout_p == 0:
        return _attention(query, key, value, mask, is_causal=is_causal, scale=scale)
    weights = attention_weights(query, key, mask, is_causal=is_causal, scale=scale)
    return matmul(dropout(weights, dropout_p, generator=generator), value)


def _check(query, key, value):
    shapes = f"query {query.shape}, key {key.shape}, value {value.shape}"
    if min(query.ndim, key.ndim, value.ndim) < 2:
        raise ShapeError(f"attention expects (..., time, features), got {shapes}")
    if query.shape[-1] != key.shape[-1] or not query.shape[-1]:
        raise ShapeError(f"attention expects query and key of the same width, not 0, got {shapes}")
    if key.shape[-2] != value.shape[-2]:
        raise ShapeError(f"attention expects as many values as keys, got {shapes}")


def prepared(mask, query, key):
    """An attention mask checked against (..., L, S), floating ones in the dtype of the query."""
    if mask is None:
        return None
    if mask.dtype.kind not in ("bool", "real floating"):
        raise DTypeError(
            f"an attention mask is boolean or floating, got {mask.dtype!r}; for 0 and 1: mask == 1"
        )
    scores = (*broadcast_shapes(query.shape[:-2], key.shape[:-2]), query.shape[-2], key.shape[-2])
    pairs = zip(reversed(mask.shape), reversed(scores), strict=False)
    if mask.ndim > len(scores) or not all(m in (1, n) for m, n in pairs):
        raise ShapeError(f"an attention mask must broadcast to {scores}, got {mask.shape}")
    return mask if mask.dtype.kind == "bool" else astype(mask, query.dtype, copy=False)
