"""Attention: for each query a mean of the values, weighted by the similarity of their keys."""

import math

from tinyxp.core.composite import composite
from tinyxp.core.operation import expect_tensors
from tinyxp.errors import ArgumentError, DTypeError, ShapeError
from tinyxp.nn.functional.activations import softmax
from tinyxp.nn.functional.dropouts import _dropout, probability
from tinyxp.ops.arithmetic import where
from tinyxp.ops.creation import astype
from tinyxp.ops.examples import normal
from tinyxp.ops.linear import matmul
from tinyxp.ops.parts import _unstack
from tinyxp.ops.reductions import max
from tinyxp.ops.regular import arange
from tinyxp.ops.repetition import repeat
from tinyxp.ops.shaping import broadcast_shapes, matrix_transpose, permute_dims
from tinyxp.random import source

__all__ = ["attention_weights", "causal_mask", "scaled_dot_product_attention"]


@composite(real=True, autocast="lower")
def attention_weights(q, k, mask=None, /, *, is_causal=False, scale):
    """weights = softmax(scale · Q Kᵀ + mask) over the keys; a query without any key gets zeros.

    A boolean mask means 0 and -inf. Masks are added, so NaN stays NaN, as in PyTorch: masked keys
    must be finite. With ``is_causal``, later keys are ignored.

    Shapes: q (..., L, E), k (..., S, E), mask (..., L, S) -> (..., L, S).

    >>> q = tx.zeros((2, 3))
    >>> tx.nn.functional.attention_weights(q, q, is_causal=True, scale=1.0)
    tensor([[1. , 0. ],
            [0.5, 0.5]])
    """
    scores = matmul(q * scale, matrix_transpose(k))  # (..., L, S)
    if mask is not None:  # NaN + -inf is NaN
        added = mask.dtype.kind != "bool"
        scores = scores + mask if added else where(mask, scores, scores - math.inf)
    if is_causal:
        scores = where(causal_mask(*scores.shape[-2:], device=scores.device), scores, -math.inf)
    if mask is None or scores.size == 0:
        return softmax(scores, dim=-1)
    # a query without any key: the softmax of -inf alone and its gradient would be NaN
    keyless = max(scores.detach(), axis=-1, keepdims=True) == -math.inf
    return where(keyless, 0.0, softmax(where(keyless, 0.0, scores), dim=-1))


def causal_mask(length, keys=None, *, device=None):
    """True for keys at the position of the query and before: (length, keys).

    >>> tx.nn.functional.causal_mask(2)
    tensor([[ True, False],
            [ True,  True]])
    """
    queries = arange(length, device=device)
    return queries[:, None] >= arange(length if keys is None else keys, device=device)[None, :]


@composite(real=True, autocast="lower")
def _attention(q, k, v, mask=None, /, *, is_causal, scale, dropout_p=0.0, seed=0, counter=0):
    weights = attention_weights(q, k, mask, is_causal=is_causal, scale=scale)
    if dropout_p:
        weights = _dropout(weights, seed=seed, counter=counter, p=dropout_p)
    return matmul(weights, v)


@composite(real=True, autocast="lower", narrow=True)
def _self_attention(qkv, mask=None, /, *, is_causal, scale, dropout_p=0.0, seed=0, counter=0):
    """Attention of queries, keys and values in one tensor, as a product returns them:
    (N, T, 3, H, D) -> (N, T, H, D)."""
    # in this order, so that the gradient of qkv is stacked contiguously
    q, k, v = (permute_dims(part, (0, 2, 1, 3)) for part in _unstack(qkv, axis=2))
    dropped = {"dropout_p": dropout_p, "seed": seed, "counter": counter}
    y = _attention(q, k, v, mask, is_causal=is_causal, scale=scale, **dropped)
    return permute_dims(y, (0, 2, 1, 3))


attention_weights.example(normal((2, 3, 4), (2, 5, 4), scale=0.5))


@attention_weights.example
def _(rng):
    mask = rng.normal(size=(3, 5))
    mask[0, 1:] = mask[1] = -math.inf  # a query with one key, and one without any
    return rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 5, 4)), mask > -math.inf, {"scale": 0.5}


_DROPPED = {"dropout_p": 0.3, "seed": 2**40 + 1, "counter": 5}
_attention.example(normal(*[(2, 2, 3, 4)] * 3, is_causal=False, scale=0.5))
_attention.example(normal(*[(2, 2, 3, 4)] * 3, None, is_causal=True, scale=0.5))
_attention.example(normal((2, 3, 4), (2, 5, 4), (2, 5, 2), (3, 5), is_causal=False, scale=0.5))
_attention.example(normal(*[(2, 3, 4)] * 3, (3, 1), is_causal=True, scale=0.5, **_DROPPED))
_self_attention.example(normal((2, 3, 3, 2, 4), None, is_causal=True, scale=0.5))
_self_attention.example(normal((2, 3, 3, 2, 4), None, is_causal=True, scale=0.5, **_DROPPED))


@_attention.example
def _(rng):
    q, k, v = (rng.normal(size=(2, 3, 4)) for _ in range(3))
    keys = rng.permutation(3).reshape(1, 1, 3) > 0  # one key of three is padding
    return q, k, v, keys, {"is_causal": True, "scale": 0.5}


@_self_attention.example
def _(rng):
    keys = rng.permutation(3).reshape(1, 1, 3) > 0
    return rng.normal(size=(2, 3, 3, 1, 2)), keys, {"is_causal": False, "scale": 0.5}


def scaled_dot_product_attention(
    query,
    key,
    value,
    attn_mask=None,
    dropout_p=0.0,
    is_causal=False,
    scale=None,
    enable_gqa=False,
    *,
    generator=None,
):
    """y = dropout(softmax(scale · Q Kᵀ + mask)) V; ``scale`` is 1/√E if None.

    Shapes: query (..., L, E), key (..., S, E), value (..., S, Eᵥ), attn_mask (..., L, S) or
    broadcast to it, -> (..., L, Eᵥ). A boolean mask is True for keys that take part; a floating one
    is added, and -inf excludes a key. ``is_causal``, instead of a mask, excludes the keys after i
    for query i (for the last L of S positions: ``attn_mask=causal_mask(S)[-L:]``). A query without
    any key gets zeros. With ``enable_gqa``, groups of the H query heads (..., H, L, E) share a head
    of keys and values (..., H / group, S, E). Raises ShapeError, DTypeError, ArgumentError.
    Source: Vaswani et al. 2017, eq. 1; Ainslie et al. 2023 for groups.

    >>> x = tx.ones((1, 2, 3))  # (heads, time, head_dim)
    >>> tx.nn.functional.scaled_dot_product_attention(x, x, x, is_causal=True).shape
    (1, 2, 3)
    """
    expect_tensors("scaled_dot_product_attention", query, key, value)
    if is_causal and attn_mask is not None:
        raise ArgumentError(
            "attention takes attn_mask or is_causal, got both; "
            "one mask of both: attn_mask & causal_mask(L, S)"
        )
    if enable_gqa:
        key, value = _for_each_head(query, key, value)
    _check(query, key, value)
    mask = check_mask(attn_mask, query, key)
    return attend(query, key, value, mask, dropout_p, is_causal, scale, generator)


def attend_to_itself(qkv, mask, dropout_p, is_causal, generator=None):
    """``attend`` for the argument of ``_self_attention``."""
    batch, time, _, heads, width = qkv.shape
    dropped = _dropout_options(*[(batch, heads, time, width)] * 2, dropout_p, generator)
    scale = 1 / math.sqrt(width)
    return _self_attention(qkv, mask, is_causal=is_causal, scale=scale, **dropped)


def attend(query, key, value, mask, dropout_p, is_causal, scale=None, generator=None):
    """Attention of checked operands; ``mask`` and ``is_causal`` may be combined."""
    scale = 1 / math.sqrt(query.shape[-1] or 1) if scale is None else scale
    dropped = _dropout_options(query.shape, key.shape, dropout_p, generator)
    return _attention(query, key, value, mask, is_causal=is_causal, scale=scale, **dropped)


def _dropout_options(query_shape, key_shape, dropout_p, generator):
    """The options of dropout, if there is any: one random number for each pair."""
    if dropout_p == 0:
        return {}
    dropout_p = probability(dropout_p)
    front = broadcast_shapes(query_shape[:-2], key_shape[:-2])
    pairs = math.prod((*front, query_shape[-2], key_shape[-2]))
    seed, counter = source(generator)._take(pairs)
    return {"dropout_p": dropout_p, "seed": seed, "counter": counter}


def _for_each_head(query, key, value):
    """Repeat each head of keys and values for its group of query heads."""
    shapes = f"query {query.shape}, key {key.shape}, value {value.shape}"
    if min(query.ndim, key.ndim, value.ndim) < 3:
        raise ShapeError(f"grouped attention expects (..., heads, time, features), got {shapes}")
    n = query.shape[-3]
    if any(x.shape[-3] == 0 or n % x.shape[-3] for x in (key, value)):
        raise ShapeError(
            f"grouped attention expects heads of the query in a multiple of those of key and value,"
            f" got {shapes}"
        )
    return [x if x.shape[-3] == n else repeat(x, n // x.shape[-3], axis=-3) for x in (key, value)]


def _check(query, key, value):
    shapes = f"query {query.shape}, key {key.shape}, value {value.shape}"
    if min(query.ndim, key.ndim, value.ndim) < 2:
        raise ShapeError(f"attention expects (..., time, features), got {shapes}")
    if query.shape[-1] != key.shape[-1]:
        raise ShapeError(f"attention expects query and key of the same width, got {shapes}")
    if key.shape[-2] != value.shape[-2]:
        raise ShapeError(f"attention expects as many values as keys, got {shapes}")
    if not query.dtype == key.dtype == value.dtype or query.dtype.kind != "real floating":
        raise DTypeError(
            "attention expects query, key and value of one real floating dtype, got "
            f"{query.dtype!r}, {key.dtype!r} and {value.dtype!r}; cast them: tx.astype(x, dtype)"
        )


def check_mask(mask, query, key):
    """Check an attention mask against (..., L, S); a floating one gets the dtype of the query."""
    if mask is None:
        return None
    expect_tensors("scaled_dot_product_attention", mask)
    if mask.dtype.kind not in ("bool", "real floating"):
        raise DTypeError(
            f"an attention mask is boolean or floating, got {mask.dtype!r}; for 0 and 1: mask == 1"
        )
    scores = (*broadcast_shapes(query.shape[:-2], key.shape[:-2]), query.shape[-2], key.shape[-2])
    pairs = zip(reversed(mask.shape), reversed(scores), strict=False)
    if mask.ndim > len(scores) or not all(m in (1, n) for m, n in pairs):
        raise ShapeError(f"an attention mask must broadcast to {scores}, got {mask.shape}")
    return mask if mask.dtype.kind == "bool" else astype(mask, query.dtype, copy=False)
