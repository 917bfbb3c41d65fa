"""Attention on a GPU, in tiles: no matrix of queries by keys is ever in memory (attention.cu)."""

import math
from typing import Any, NamedTuple

from tinyxp.backends import Array
from tinyxp.backends.cuda_source import Library, alike

LIMIT = 64 << 10  # bytes that a block may share on every GPU since 2018
WIDTHS = 16, 32, 64, 96, 128  # of tiles
SHAPES = (64, 32), (32, 32), (32, 16)  # of tiles: queries, keys


class Tiles(NamedTuple):
    """How large tiles are, and what a block shares."""

    queries: int
    keys: int
    width: int
    bytes: int

    @property
    def threads(self) -> int:
        return self.queries * self.keys // 16

    @property
    def defines(self) -> tuple[tuple[str, int], ...]:
        return ("QUERIES", self.queries), ("KEYS", self.keys), ("HEAD", self.width)


def tiles(width: int, itemsize: int, by_query: int, by_key: int, by_pair: int) -> Tiles | None:
    """The largest tiles that fit, of a kernel that shares ``by_query`` tiles of queries,
    ``by_key`` of keys, ``by_pair`` of pairs; None if none does.

    >>> tiles(64, 4, 1, 2, 1)
    Tiles(queries=64, keys=32, width=64, bytes=41728)
    >>> tiles(64, 4, 2, 2, 2)
    Tiles(queries=32, keys=32, width=64, bytes=41728)
    >>> tiles(256, 4, 1, 2, 1)
    """
    fitting = next((w for w in WIDTHS if w >= width), None)
    if fitting is None:
        return None
    for queries, keys in SHAPES:
        numbers = (by_query * queries + by_key * keys) * (fitting + 1)
        numbers += by_pair * queries * (keys + 1)
        if numbers * itemsize <= LIMIT and fitting % (keys // 4) == fitting % (queries // 4) == 0:
            return Tiles(queries, keys, fitting, numbers * itemsize)
    return None


class Attention:
    """The kernel of the composite ``attention``, and its vjp."""

    def __init__(self, library: Library) -> None:
        self.library = library

    def forward(
        self,
        q: Array,
        k: Array,
        v: Array,
        mask: Array | None = None,
        *,
        is_causal: bool,
        scale: float,
    ) -> Any:
        kind = alike(self.library.usable, q, k, v)
        if mask is not None or not kind or q.ndim < 2 or 0 in (*q.shape, *k.shape, *v.shape):
            return NotImplemented
        same = q.shape[:-2] == k.shape[:-2] and k.shape == v.shape and q.shape[-1] == k.shape[-1]
        chosen = tiles(q.shape[-1], q.dtype.itemsize, 1, 2, 1) if same else None
        back = tiles(q.shape[-1], q.dtype.itemsize, 2, 2, 2) if same else None
        if chosen is None or back is None:
            return NotImplemented
        shape = q.shape
        q, k, v = (self._by_heads(x) for x in (q, k, v))
        batch, heads, queries, width = q.shape
        y = self._like(q)
        log_totals = self.library.xp.empty((batch * heads, queries), dtype=q.dtype)
        sizes = (heads, queries, k.shape[2], width, float(scale), int(is_causal))
        args = (q, k, v, y, log_totals, *strides(q, k, v, y), *sizes)
        blocks = batch * heads * -(-queries // chosen.queries)
        self._launch("attention", blocks, chosen, args, kind)
        return y.reshape(shape), (q, k, v, y, log_totals, sizes, back, shape)

    def vjp(self, g: Array, residuals: Any, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        q, k, v, y, log_totals, sizes, chosen, shape = residuals
        g, kind = self._by_heads(g), q.dtype.name
        batch, heads, queries, width = q.shape
        rows = batch * heads * queries
        deltas = self.library.xp.empty((batch * heads, queries), dtype=q.dtype)
        args = (g, y, deltas, *strides(g, y), heads, queries, width, rows)
        grid, block = (-(-rows // 4),), (128,)  # a warp for each query
        self.library.launch("attention_deltas", grid, block, args, kind, chosen.defines)
        gq = gk = gv = None
        known = (g, q, k, v, log_totals, deltas)
        if needs[0]:
            gq = self._like(q)
            blocks = batch * heads * -(-queries // chosen.queries)
            args = (*known, gq, *strides(g, q, k, v, gq), *sizes)
            self._launch("attention_query_vjp", blocks, chosen, args, kind)
            gq = gq.reshape(shape)
        if needs[1] or needs[2]:
            gk, gv = self._like(k), self._like(v)
            blocks = batch * heads * -(-k.shape[2] // chosen.keys)
            args = (*known, gk, gv, *strides(g, q, k, v, gk, gv), *sizes)
            self._launch("attention_key_vjp", blocks, chosen, args, kind)
            back = (*shape[:-2], *k.shape[2:])
            gk, gv = gk.reshape(back), gv.reshape(back)
        return (gq, gk, gv, None)[: len(needs)]

    # -- the weights themselves, for who drops some of them or looks at them -----------------------

    def weights(
        self, q: Array, k: Array, mask: Array | None = None, *, is_causal: bool, scale: float
    ) -> Any:
        kind = alike(self.library.usable, q, k)
        if mask is not None or not kind or q.ndim < 2 or 0 in (*q.shape, *k.shape):
            return NotImplemented
        if q.shape[:-2] != k.shape[:-2] or q.shape[-1] != k.shape[-1]:
            return NotImplemented
        y = self.library.matmul(q, k.swapaxes(-1, -2))
        queries, n = y.shape[-2:]
        args = (y, n, queries, float(scale), int(is_causal))
        self.library.by_rows("attention_softmax", y.size // n, n, args, kind)
        return y, (q, k, y, float(scale))

    def weights_vjp(
        self, g: Array, residuals: Any, needs: tuple[bool, ...]
    ) -> tuple[Array | None, ...]:
        q, k, y, scale = residuals
        xp, n = self.library.xp, y.shape[-1]
        slopes = xp.empty(y.shape, dtype=y.dtype)
        args = (xp.ascontiguousarray(g), y, slopes, n, 0, scale)
        self.library.by_rows("softmax_vjp", y.size // n, n, args, y.dtype.name)
        matmul = self.library.matmul
        grads = (
            matmul(slopes, k) if needs[0] else None,
            matmul(slopes.swapaxes(-1, -2), q) if needs[1] else None,
            None,
        )
        return grads[: len(needs)]

    def _launch(self, name: str, blocks: int, chosen: Tiles, args: Any, kind: str) -> None:
        options = (chosen.defines, chosen.bytes)
        self.library.launch(name, (blocks,), (chosen.threads,), args, kind, *options)

    def _by_heads(self, x: Array) -> Array:
        """x as (batch, heads, time, width), its rows in one piece; a view where it can be."""
        if x.ndim != 4:
            heads = x.shape[-3] if x.ndim > 2 else 1
            x = x.reshape(math.prod(x.shape[:-3]), heads, *x.shape[-2:])
        inner = x.strides[-1] == x.dtype.itemsize or x.shape[-1] == 1
        whole = all(stride % x.dtype.itemsize == 0 for stride in x.strides)
        return x if inner and whole else self.library.xp.ascontiguousarray(x)

    def _like(self, x: Array) -> Array:
        """An empty array (batch, heads, time, width) that lies as (batch, time, heads, width), so
        that joining the heads, which follows, copies nothing."""
        batch, heads, time, width = x.shape
        return self.library.xp.empty((batch, time, heads, width), dtype=x.dtype).swapaxes(1, 2)


def strides(*arrays: Array) -> tuple[int, ...]:
    """All but the last of each array's, in elements."""
    return tuple(step // x.dtype.itemsize for x in arrays for step in x.strides[:-1])
