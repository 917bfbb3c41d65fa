"""Attention in tiles, so that no matrix (queries, keys) is ever in memory.

The kernels are in attention.cu and, for tensor cores, in tensor_attention.cu.
"""

import math
from typing import Any

import numpy as np

from tinyxp.backends import HALVES, Array, Gradients, Kernel, Needs
from tinyxp.backends.common.attention import attention_fits, empty_by_heads, self_attention
from tinyxp.backends.common.precision import get_float32_matmul_precision
from tinyxp.backends.cupy.capture import dropout_arguments
from tinyxp.backends.cupy.kernels.tiles import Tiles, tensor_tiles, tiles
from tinyxp.backends.cupy.launch import Library, sum_dtype


class Attention:
    """The kernels of ``attention`` and ``self_attention``."""

    def __init__(self, library: Library) -> None:
        self.library = library

    def table(self) -> dict[str, Kernel]:
        """By the names of the composites."""
        kernel, empty = Kernel(self.forward, self.vjp), self.library.xp.empty
        return {"attention": kernel, "self_attention": self_attention(kernel, empty)}

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
        seed: int = 0,
        counter: int = 0,
    ) -> Any:
        kind = self.library.kind(q, k, v)
        if not kind or not attention_fits(q, k, v) or k.shape != v.shape:
            return NotImplemented
        masked = self._mask(mask, (*q.shape[:-1], k.shape[-2]), kind)
        if masked is None:
            return NotImplemented
        chosen, back = self._tiles(q, mask is not None or dropout_p > 0)
        if chosen is None or back is None:
            return NotImplemented
        shape = q.shape
        q, k, v = (self._by_heads(x) for x in (q, k, v))
        batch, heads, queries, width = q.shape
        y = self._like(q)
        known = self.library.xp.empty((batch * heads, queries, 2), dtype=sum_dtype(q.dtype))
        sizes = (heads, queries, k.shape[2], width, float(scale), int(is_causal))
        options = (*sizes, *masked, *dropout_arguments(seed, counter, dropout_p))
        args = (q, k, v, y, known, *strides(q, k, v, y), *options)
        blocks = batch * heads * -(-queries // chosen.queries)
        self._launch("", blocks, chosen, args, kind)
        return y.reshape(shape), (q, k, v, y, known, options, back, shape)

    def vjp(self, g: Array, residuals: Any, needs: Needs, out: Any = None) -> Gradients:
        """``out``: where the gradients of queries, keys and values are written, if given."""
        q, k, v, y, known, options, chosen, shape = residuals
        xp, kind = self.library.xp, q.dtype.name
        g = self._by_heads(g)
        batch, heads, queries, width = q.shape
        rows = batch * heads * queries
        deltas = xp.empty((batch * heads, queries), dtype=sum_dtype(q.dtype))
        args = (g, y, deltas, *strides(g, y), heads, queries, width, rows)
        grid, block = (-(-rows // 4),), (128,)  # a warp for each query
        self.library.launch("attention_deltas", grid, block, args, kind, (("EXTRAS", 0),))
        gq = gk = gv = by_mask = None
        if needs[3]:  # zeros, for tiles that no causal query visits
            by_mask = xp.zeros((*shape[:-1], k.shape[2]), dtype=q.dtype)
        if needs[0] or by_mask is not None:
            gq = self._like(q) if out is None else out[0]
            blocks = batch * heads * -(-queries // chosen.queries)
            args = (g, q, k, v, known, deltas, gq, by_mask, *strides(g, q, k, v, gq), *options)
            self._launch("_query_vjp", blocks, chosen, args, kind)
            gq = gq.reshape(shape)
        if needs[1] or needs[2]:
            gk, gv = (self._like(k), self._like(v)) if out is None else out[1:]
            blocks = batch * heads * -(-k.shape[2] // chosen.keys)
            args = (g, q, k, v, known, deltas, gk, gv, *strides(g, q, k, v, gk, gv), *options)
            self._launch("_key_vjp", blocks, chosen, args, kind)
            back = (*shape[:-2], *k.shape[2:])
            gk, gv = gk.reshape(back), gv.reshape(back)
        return gq, gk, gv, by_mask

    def _tiles(self, q: Array, extras: bool) -> tuple[Tiles | None, Tiles | None]:
        """The tiles for the forward kernel and for the backward kernels."""
        kind, width = q.dtype.name, q.shape[-1]
        rough = kind == "float32" and get_float32_matmul_precision() != "highest"
        if (rough or kind in HALVES) and self.library.tensor_cores():
            choose, size = tensor_tiles, q.dtype.itemsize
        else:
            choose, size = tiles, np.dtype(sum_dtype(q.dtype)).itemsize
        return choose(width, size, False, extras), choose(width, size, True, extras)

    def _mask(self, mask: Array | None, shape: tuple[int, ...], kind: str) -> Any:
        """The arguments for a mask that broadcasts to ``shape``, (…, query, key): booleans or else
        numbers to add, and strides, which are 0 along broadcast axes. None: kernels cannot read
        it."""
        if mask is None:
            return (None, None, 0, 0, 0, 0)
        if not self.library.usable(mask) or mask.dtype.name not in ("bool", kind):
            return None
        whole = self.library.xp.broadcast_to(mask, shape)
        if len(shape) > 4:  # several batch axes become one: a view, or else a copy
            whole = whole.reshape(math.prod(shape[:-3]), *shape[-3:])
        whole = whole[(None,) * (4 - whole.ndim)]
        pair = (whole, None) if mask.dtype.name == "bool" else (None, whole)
        return (*pair, *[step // mask.dtype.itemsize for step in whole.strides])

    def _launch(self, name: str, blocks: int, chosen: Tiles, args: Any, kind: str) -> None:
        options = (chosen.defines, chosen.bytes)
        name = chosen.family + name
        self.library.launch(name, (blocks,), (chosen.threads,), args, kind, *options)

    def _by_heads(self, x: Array) -> Array:
        """x as (batch, heads, time, width) with contiguous rows; a view if possible."""
        if x.ndim != 4:
            heads = x.shape[-3] if x.ndim > 2 else 1
            x = x.reshape(math.prod(x.shape[:-3]), heads, *x.shape[-2:])
        inner = x.strides[-1] == x.dtype.itemsize or x.shape[-1] == 1
        whole = all(stride % x.dtype.itemsize == 0 for stride in x.strides)
        return x if inner and whole else self.library.xp.ascontiguousarray(x)

    def _like(self, x: Array) -> Array:
        return empty_by_heads(self.library.xp.empty, x.shape, x.dtype)


def strides(*arrays: Array) -> tuple[int, ...]:
    """The strides of arrays, without the last of each, in elements."""
    return tuple(step // x.dtype.itemsize for x in arrays for step in x.strides[:-1])
