"""Attention of what lies together: the kernel of ``self_attention``, from one of ``attention``."""

from collections.abc import Callable
from typing import Any

from tinyxp.backends import Array, Kernel


def of_itself(kernel: Kernel, empty: Callable[..., Array]) -> Kernel:
    """The kernel for queries, keys and values that lie together, (batch, time, 3, heads, width),
    from one for attention: read where they are, their gradients written where they belong.

    ``empty(shape, dtype)`` makes an array. ``kernel.vjp`` takes ``out``, where the gradients of
    queries, keys and values go, and its residuals begin with the queries.
    """

    def by_part(qkv: Array) -> Array:
        return qkv.transpose(2, 0, 3, 1, 4)

    def forward(qkv: Array, mask: Array | None = None, **options: Any) -> Any:
        found = kernel.forward(*by_part(qkv), mask, **options)
        if found is NotImplemented:
            return NotImplemented
        y, residuals = found
        return y.transpose(0, 2, 1, 3), residuals

    def vjp(g: Array, residuals: Any, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        q = residuals[0]  # (batch, heads, time, width)
        batch, heads, time, width = q.shape
        gx = empty((batch, time, 3, heads, width), q.dtype)
        each = True, True, True, *needs[1:]
        grads = kernel.vjp(g.transpose(0, 2, 1, 3), residuals, each, out=by_part(gx))
        return gx, *grads[3:]

    return Kernel(forward, vjp)
