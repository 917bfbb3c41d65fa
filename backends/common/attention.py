"""What the kernels of attention share, and that of ``self_attention``, made of one of these."""

from collections.abc import Callable
from typing import Any

from tinyxp.backends import Array, Gradients, Kernel, Needs


def attention_fits(q: Any, k: Any, v: Any) -> bool:
    """q (..., queries, width), k (..., keys, width) and v (..., keys, any), not empty."""
    if q.ndim < 2 or 0 in (*q.shape, *k.shape) or q.shape[-1] != k.shape[-1]:
        return False
    return bool(q.shape[:-2] == k.shape[:-2] and k.shape[:-1] == v.shape[:-1])


def empty_by_heads(empty: Callable[..., Array], shape: tuple[int, ...], dtype: Any) -> Array:
    """An array (…, heads, time, width) that lies as (…, time, heads, width), so that joining the
    heads, which comes next, copies nothing."""
    if len(shape) < 3:
        return empty(shape, dtype)
    *rest, heads, time, width = shape
    return empty((*rest, time, heads, width), dtype).swapaxes(-2, -3)


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
        each = True, True, True, needs[1]
        grads = kernel.vjp(g.transpose(0, 2, 1, 3), residuals, each, out=by_part(gx))
        return gx, *grads[3:]

    return Kernel(forward, vjp)
