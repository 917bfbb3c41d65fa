"""Attention whose softmax numba compiles: one pass between two products of matrices."""

from typing import Any

from tinyxp.backends.numpy.compiled.functions import readable
from tinyxp.backends.numpy.compiled.softmax import softmax_rows, softmax_rows_vjp
from tinyxp.backends.numpy.kernels import attention
from tinyxp.backends.numpy.kernels.dense import Array


class Attention(attention.Attention):
    """As in NumPy, for float32 without a mask."""

    def accepts(self, q: Array, k: Array, v: Array, mask: Array | None, scale: float) -> bool:
        simple = mask is None and scale > 0 and q.dtype.char == "f"
        return simple and super().accepts(q, k, v, mask, scale)

    def softmax(self, scores: Array, mask: Array | None, scale: float, is_causal: bool) -> Any:
        softmax_rows(scores.reshape(-1, *scores.shape[-2:]), scale, is_causal)

    def softmax_vjp(
        self, g: Array, weights: Array, scale: float, is_causal: bool, keyless: Any, masked: bool
    ) -> Array | None:
        flat = (-1, *g.shape[-2:])
        softmax_rows_vjp(g.reshape(flat), readable(weights).reshape(flat), scale, is_causal)
        return None
