"""The kernel of ``self_attention``, made of one of ``attention``."""

from collections.abc import Callable
from typing import Any

from tinyxp.backends import Array, Gradients, Kernel, Needs


def self_attention(kernel: Kernel, empty: Callable[..., Array]) -> Kernel:
    """The kernel for queries, keys and values in one array (batch, time, 3, heads, width): it reads
    them where they are and writes their gradients where they belong.

    ``empty(shape, dtype)`` makes an array. ``kernel.vjp`` takes ``out``, where the gradients of
    queries, keys and values are written, and its residuals begin with the queries.
    """

    def by_part(qkv: Array) -> Array:
        return qkv.transpose(2, 0, 3, 1, 4)

    def forward(qkv: Array, mask: Array | None = None, **options: Any) -> Any:
        result = kernel.forward(*by_part(qkv), mask, **options)
        if result is NotImplemented:
            return NotImplemented
        y, residuals = result
        return y.transpose(0, 2, 1, 3), residuals

    def vjp(g: Array, residuals: Any, needs: Needs) -> Gradients:
        q = residuals[0]  # (batch, heads, time, width)
        batch, heads, time, width = q.shape
        gx = empty((batch, time, 3, heads, width), q.dtype)
        each = True, True, True, *needs[1:]
        grads = kernel.vjp(g.transpose(0, 2, 1, 3), residuals, each, out=by_part(gx))
        return gx, *grads[3:]

    return Kernel(forward, vjp)
