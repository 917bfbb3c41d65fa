"""Attention in NumPy: dropout(softmax(scale · Q Kᵀ + masks)) V, and its gradients."""

from typing import Any

import numpy as np

from tinyxp.backends import Kernel
from tinyxp.backends.common.self_attention import of_itself
from tinyxp.backends.numpy.kernels import random as numpy_random
from tinyxp.backends.numpy.kernels.dense import Array, Needs, alike, row_sums
from tinyxp.backends.numpy.kernels.softmax import normalize
from tinyxp.backends.numpy.memory import empty


def meet(q: Array, k: Array, v: Array) -> bool:
    """Whether queries, keys and values fit together without broadcasting."""
    same = q.shape[:-2] == k.shape[:-2] and k.shape[:-1] == v.shape[:-1]
    return same and q.shape[-1] == k.shape[-1] and alike(q, k, v)


def future(scores: Array) -> Array:
    """True where a key comes after its query: (..., queries, keys) -> (queries, keys)."""
    queries, keys = scores.shape[-2:]
    return np.arange(keys) > np.arange(queries)[:, None]


def by_heads(shape: tuple[int, ...], dtype: Any) -> Array:
    """An empty array (…, heads, time, width) that lies as (…, time, heads, width), so that to join
    the heads, which comes next, copies nothing."""
    if len(shape) < 3:
        return empty(shape, dtype)
    *rest, heads, time, width = shape
    return np.swapaxes(empty((*rest, time, heads, width), dtype), -2, -3)


def attention(
    q: Array,
    k: Array,
    v: Array,
    mask: Array | None = None,
    *,
    is_causal: bool,
    scale: float,
    dropout_p: float = 0.0,
    dropout: Any = numpy_random.dropout,
    **drawn: Any,
) -> Any:
    """``dropout``: the kernel for it; ``drawn``: its seed and counter."""
    if q.ndim < 2 or 0 in (*q.shape, *k.shape) or not meet(q, k, v):
        return NotImplemented
    weights = empty((*q.shape[:-1], k.shape[-2]), q.dtype)
    np.matmul(q, np.swapaxes(k, -1, -2), out=weights)
    weights *= scale
    if mask is not None:
        fits = np.broadcast_shapes(mask.shape, weights.shape) == weights.shape
        if not fits or mask.dtype.kind == "c":
            return NotImplemented
        zero, nothing = q.dtype.type(0), q.dtype.type(-np.inf)
        weights += mask if mask.dtype.kind == "f" else np.where(mask, zero, nothing)
    if is_causal:
        np.copyto(weights, -np.inf, where=future(weights))
    keyless = None
    if mask is not None:  # a query without any key: its row, emptied below, stays free of NaN
        keyless = weights.max(axis=-1, keepdims=True) == -np.inf
        np.copyto(weights, 0, where=keyless)
    normalize(weights)
    if keyless is not None:
        np.copyto(weights, 0, where=keyless)
    used, dropped = dropout(weights, p=dropout_p, **drawn) if dropout_p else (weights, None)
    y = np.matmul(used, v, out=by_heads((*q.shape[:-1], v.shape[-1]), q.dtype))
    return y, (q, k, v, weights, used, dropped, scale, is_causal, keyless)


def attention_vjp(
    g: Array, residuals: Any, needs: Needs, out: Any = None
) -> tuple[Array | None, ...]:
    """``out``: where the gradients of queries, keys and values go, if they have a place."""
    q, k, v, weights, used, dropped, scale, is_causal, keyless = residuals
    scores = np.matmul(g, np.swapaxes(v, -1, -2), out=empty(weights.shape, g.dtype))
    if dropped is not None:
        (scores,) = numpy_random.dropout_vjp(scores, dropped, (True,))
    scores -= row_sums(scores * weights)  # as in softmax_vjp
    scores *= weights
    # a weight that is 0 because nobody looked has no gradient, and not NaN of an infinite g
    if is_causal:
        np.copyto(scores, 0, where=future(scores))
    if keyless is not None:
        np.copyto(scores, 0, where=keyless)
    by_mask = scores.copy() if len(needs) > 3 and needs[3] else None
    scores *= scale
    return (*products(g, q, k, v, used, scores, out), by_mask)[: len(needs)]


def products(
    g: Array, q: Array, k: Array, v: Array, used: Array, scores: Array, out: Any
) -> tuple[Array, Array, Array]:
    """The gradients of queries, keys and values, from that of the scores and the weights used."""
    to_q, to_k, to_v = [by_heads(x.shape, x.dtype) for x in (q, k, v)] if out is None else out
    return (
        np.matmul(scores, k, out=to_q),
        np.matmul(np.swapaxes(scores, -1, -2), q, out=to_k),
        np.matmul(np.swapaxes(used, -1, -2), g, out=to_v),
    )


_attention = Kernel(attention, attention_vjp)
KERNELS: dict[str, Any] = {"attention": _attention, "self_attention": of_itself(_attention, empty)}
