"""Random words in NumPy, and dropout: y = x / (1 - p) where a word is small enough, else 0."""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from tinyxp.backends import Array, Gradients, Kernel, Needs
from tinyxp.backends.common.philox import (
    KEY_STEPS,
    MASK,
    MULTIPLIERS,
    ROUNDS,
    WORDS,
    blocks_for,
    dropout_threshold,
    words_of,
)
from tinyxp.backends.numpy.kernels.dense import alike
from tinyxp.backends.numpy.memory import empty, pool
from tinyxp.backends.numpy.replay.trace import tracing

BLOCKS = 1 << 15  # at a time; with six counters and products for each, 1.5 MiB


def words(key: int, counter: int, n: int) -> Array:
    """``philox.random_bits`` in memory of the pool, in parts that fit into the cache."""
    out = pool.empty((blocks_for(n), WORDS), np.dtype(np.int64))
    places = pool.empty((6, min(len(out), BLOCKS)), np.dtype(np.uint64))
    for first in range(0, len(out), BLOCKS):
        part = out[first : first + BLOCKS].view(np.uint64)
        _fill(part, places[:, : len(part)], key, counter + first)
    return out.reshape(-1)[:n]


def _fill(out: Array, places: Array, key: int, counter: int) -> None:
    c0, c1, c2, c3, a, b = places
    carry = np.arange(len(out), dtype=np.uint64)
    for c, start in zip((c0, c1, c2, c3), words_of(counter, 128), strict=True):
        carry += start
        np.bitwise_and(carry, MASK, out=c)
        carry >>= 32
    k0, k1 = words_of(key, 64)
    for _ in range(ROUNDS):
        np.multiply(c0, MULTIPLIERS[0], out=a)
        np.multiply(c2, MULTIPLIERS[1], out=b)
        for c, other, product, k in ((c0, c1, b, k0), (c2, c3, a, k1)):
            np.right_shift(product, 32, out=c)
            c ^= other
            c ^= k
            c &= MASK  # c1 and c3 keep the high bits of their products for one round
        c1, c3, a, b = b, a, c1, c3
        k0, k1 = (k0 + KEY_STEPS[0]) & MASK, (k1 + KEY_STEPS[1]) & MASK
    for column, c in zip(out.T, (c0, c1, c2, c3), strict=True):
        np.bitwise_and(c, MASK, out=column)


def at_counter(f: Callable[[int, int], Array], seed: int, counter: Any) -> Array:
    """``f(seed, counter)``; each replay of a recorded step uses the counter of its generator."""
    program = tracing()
    if program is None or type(counter) is int:
        return f(seed, operator.index(counter))
    return program.call(lambda: f(counter.seed, operator.index(counter)), (), {})


def random_bits(seed: int, counter: Any, n: int, device: str | None = None) -> Array:
    """Random words."""
    return at_counter(lambda key, at: words(key, at, n), seed, counter)


def dropout(x: Array, *, seed: int, counter: Any, p: float) -> Any:
    if not alike(x):
        return NotImplemented
    threshold, scale = dropout_threshold(p)
    kept = empty(x.shape, np.dtype(bool))
    np.less(random_bits(seed, counter, x.size).reshape(x.shape), threshold, out=kept)
    return drop(x, kept, scale), (kept, scale)


def dropout_vjp(g: Array, residuals: Any, needs: Needs) -> Gradients:
    return (drop(g, *residuals),)


def drop(x: Array, kept: Array, scale: float) -> Array:
    """scale · x where ``kept``, else 0: the bits are multiplied by 0, as ∞ · 0 is NaN."""
    y = np.multiply(x, scale, out=empty(x.shape, x.dtype))
    bits = y.view(f"i{x.itemsize}")
    bits *= kept
    return y


KERNELS = {"dropout": Kernel(dropout, dropout_vjp)}
FUNCTIONS: dict[str, Callable[..., Any]] = {"random_bits": random_bits}
