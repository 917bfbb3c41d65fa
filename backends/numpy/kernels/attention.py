"""Attention in NumPy: dropout(softmax(scale · Q Kᵀ + masks)) V, and its gradients."""

from typing import Any

import numpy as np

from tinyxp.backends import Gradients, Kernel, Needs
from tinyxp.backends.common.attention import attention_fits, empty_by_heads, self_attention
from tinyxp.backends.numpy.kernels.dense import Array, alike, row_sums
from tinyxp.backends.numpy.kernels.softmax import normalize
from tinyxp.backends.numpy.memory import empty


class Attention:
    """The kernels of ``attention`` and ``self_attention``, which use the kernel ``dropout``."""

    def __init__(self, dropout: Kernel) -> None:
        self.dropout = dropout

    def kernels(self) -> dict[str, Kernel]:
        kernel = Kernel(self.forward, self.vjp)
        return {"attention": kernel, "self_attention": self_attention(kernel, empty)}

    def accepts(self, q: Array, k: Array, v: Array, mask: Array | None, scale: float) -> bool:
        """Whether this kernel knows such operands, which broadcast nothing but the mask."""
        if not attention_fits(q, k, v) or not alike(q, k, v):
            return False
        shape = (*q.shape[:-1], k.shape[-2])
        return mask is None or (
            np.broadcast_shapes(mask.shape, shape) == shape and mask.dtype.kind != "c"
        )

    def forward(
        self,
        q: Array,
        k: Array,
        v: Array,
        mask: Array | None = None,
        *,
        is_causal: bool,
        scale: float,
        dropout_p: float = 0.0,
        **drawn: Any,
    ) -> Any:
        """``drawn``: seed and counter of dropout."""
        if not self.accepts(q, k, v, mask, scale):
            return NotImplemented
        weights = empty((*q.shape[:-1], k.shape[-2]), q.dtype)
        np.matmul(q, np.swapaxes(k, -1, -2), out=weights)
        keyless = self.softmax(weights, mask, scale, is_causal)
        used, dropped = weights, None
        if dropout_p:
            used, *dropped = self.dropout.accept((weights,), {"p": dropout_p} | drawn)
        y = empty_by_heads(empty, (*q.shape[:-1], v.shape[-1]), q.dtype)
        np.matmul(used, v, out=y)
        return y, (q, k, v, weights, used, dropped, scale, is_causal, keyless)

    def vjp(self, g: Array, residuals: Any, needs: Needs, out: Any = None) -> Gradients:
        """``out``: where the gradients of queries, keys and values are written, if given."""
        q, k, v, weights, used, dropped, scale, is_causal, keyless = residuals
        scores = np.matmul(g, np.swapaxes(v, -1, -2), out=empty(weights.shape, g.dtype))
        if dropped is not None:
            kept, dropout = dropped
            (scores,) = dropout.vjp(scores, kept, (True,))
        by_mask = self.softmax_vjp(scores, weights, scale, is_causal, keyless, needs[3])
        if out is None:
            out = [empty_by_heads(empty, x.shape, x.dtype) for x in (q, k, v)]
        return (
            np.matmul(scores, k, out=out[0]),
            np.matmul(np.swapaxes(scores, -1, -2), q, out=out[1]),
            np.matmul(np.swapaxes(used, -1, -2), g, out=out[2]),
            by_mask,
        )

    def softmax(self, scores: Array, mask: Array | None, scale: float, is_causal: bool) -> Any:
        """Replace scores by weights, in place. Returns the queries that may see no key, if any."""
        scores *= scale
        if mask is not None:
            zero, nothing = scores.dtype.type(0), scores.dtype.type(-np.inf)
            scores += mask if mask.dtype.kind == "f" else np.where(mask, zero, nothing)
        if is_causal:
            np.copyto(scores, -np.inf, where=future(scores))
        keyless = None
        if mask is not None:  # a row of -∞ would become NaN; it becomes 0
            keyless = scores.max(axis=-1, keepdims=True) == -np.inf
            np.copyto(scores, 0, where=keyless)
        normalize(scores)
        if keyless is not None:
            np.copyto(scores, 0, where=keyless)
        return keyless

    def softmax_vjp(
        self, g: Array, weights: Array, scale: float, is_causal: bool, keyless: Any, masked: bool
    ) -> Array | None:
        """Replace g by the gradient of the scores, in place. Returns that of the mask if wanted."""
        g -= row_sums(g * weights)  # as in softmax_vjp
        g *= weights
        # a weight that is 0 because of a mask has no gradient, not NaN where g is infinite
        if is_causal:
            np.copyto(g, 0, where=future(g))
        if keyless is not None:
            np.copyto(g, 0, where=keyless)
        by_mask = g.copy() if masked else None
        g *= scale
        return by_mask


def future(scores: Array) -> Array:
    """True where a key comes after its query: (..., queries, keys) -> (queries, keys)."""
    queries, keys = scores.shape[-2:]
    return np.arange(keys) > np.arange(queries)[:, None]
