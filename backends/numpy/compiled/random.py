"""Random words and dropout, compiled by numba: Philox (philox.py) for many blocks at a time, so
that LLVM can vectorize it, and each word used where it is drawn."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tinyxp.backends import Array, Gradients, Kernel, Needs
from tinyxp.backends.common.philox import (
    KEY_STEPS,
    MULTIPLIERS,
    ROUNDS,
    WORDS,
    blocks_for,
    dropout_threshold,
)
from tinyxp.backends.numpy.compiled.functions import compiled, expect, f4, fits, inlined, readable
from tinyxp.backends.numpy.kernels.random import at_counter
from tinyxp.backends.numpy.memory import empty

FEW = 1 << 14  # words; for fewer NumPy is fast enough, and nothing has to be compiled
BLOCKS = 64  # at a time
HALF = 1 << 64
u4, u8 = np.uint32, np.uint64
M0, M1 = map(u8, MULTIPLIERS)
STEP0, STEP1 = map(u4, KEY_STEPS)
LOW = u8(32)


@inlined
def words(w, c, start, first):  # type: ignore[no-untyped-def]
    """Fill w with the words of BLOCKS blocks, from the one ``first`` after ``start`` (see
    ``place``); c is memory for counters, (4, BLOCKS)."""
    c0, c1, c2, c3 = c[0], c[1], c[2], c[3]
    key, low, high = start[0], start[1], start[2]
    for i in range(BLOCKS):
        at = low + u8(first) + u8(i)
        above = high + (u8(1) if at < low else u8(0))
        c0[i], c1[i], c2[i], c3[i] = u4(at), u4(at >> LOW), u4(above), u4(above >> LOW)
    k0, k1 = u4(key), u4(key >> LOW)
    for _ in range(ROUNDS):
        for i in range(BLOCKS):
            a, b = u8(c0[i]) * M0, u8(c2[i]) * M1
            c0[i], c2[i] = u4(b >> LOW) ^ c1[i] ^ k0, u4(a >> LOW) ^ c3[i] ^ k1
            c1[i], c3[i] = u4(b), u4(a)
        k0, k1 = u4(k0 + STEP0), u4(k1 + STEP1)
    w[0::4], w[1::4], w[2::4], w[3::4] = c0, c1, c2, c3


@compiled
def _fill(out, start):  # type: ignore[no-untyped-def]
    expect(start.size == 3)
    w, c = np.empty(WORDS * BLOCKS, u4), np.empty((4, BLOCKS), u4)
    for first in range(0, out.size, w.size):
        words(w, c, start, first // WORDS)
        part = out[first : first + w.size]
        for i in range(part.size):
            part[i] = w[i]


@compiled
def _dropout(x, y, kept, start, last, scale):  # type: ignore[no-untyped-def]
    """y ← scale · x where the word is at most ``last``, else 0."""
    expect(x.size == y.size == kept.size and start.size == 3)
    w, c = np.empty(WORDS * BLOCKS, u4), np.empty((4, BLOCKS), u4)
    for first in range(0, x.size, w.size):
        words(w, c, start, first // WORDS)
        a, b, k = x[first : first + w.size], y[first : first + w.size], kept[first : first + w.size]
        for i in range(a.size):
            b[i] = a[i] * f4(scale) if w[i] <= u4(last) else f4(0)
        for i in range(a.size):
            k[i] = w[i] <= u4(last)


@compiled
def _zeroed(g, kept, out, scale):  # type: ignore[no-untyped-def]
    expect(g.size == kept.size == out.size)
    for i in range(g.size):
        out[i] = g[i] * f4(scale) if kept[i] else f4(0)


def place(key: int, counter: int) -> Array:
    """The key, and the counter in two halves of 64 bits."""
    return np.asarray([key % HALF, counter % HALF, counter // HALF % HALF], u8)


def random_bits(seed: int, counter: Any, n: int, device: str | None = None) -> Any:
    if n < FEW:
        return NotImplemented
    words = empty((WORDS * blocks_for(n),), np.dtype(np.int64))
    _fill(words, at_counter(place, seed, counter))
    return words[:n]


def dropout(x: Array, *, seed: int, counter: Any, p: float) -> Any:
    threshold, scale = dropout_threshold(p)
    if not fits(x) or x.size < FEW or threshold == 0:
        return NotImplemented
    y, kept = empty(x.shape, x.dtype), empty(x.shape, np.dtype(bool))
    start = at_counter(place, seed, counter)
    _dropout(*[array.reshape(-1) for array in (x, y, kept)], start, threshold - 1, scale)
    return y, (kept, scale)


def dropout_vjp(g: Array, residuals: Any, needs: Needs) -> Gradients:
    kept, scale = residuals
    gx = empty(g.shape, g.dtype)
    _zeroed(readable(g).reshape(-1), readable(kept).reshape(-1), gx.reshape(-1), scale)
    return (gx,)


KERNELS = {"dropout": Kernel(dropout, dropout_vjp)}
FUNCTIONS: dict[str, Callable[..., Any]] = {"random_bits": random_bits}
