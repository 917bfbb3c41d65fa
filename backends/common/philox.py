"""Philox 4x32-10: random bits as a pure function of a key and a counter, the same on every library.

Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011, §4.3.
Only int64 arithmetic is used, which the Array API and every library have.
"""

from typing import Any

from tinyxp.backends import Array

ROUNDS = 10
MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
KEY_STEPS = 0x9E3779B9, 0xBB67AE85  # the golden ratio and √3 - 1
MASK = 0xFFFFFFFF
WORDS = 4  # of 32 bits in a block


def blocks_for(n: int) -> int:
    """The number of blocks, and so of counter values, for ``n`` words.

    >>> blocks_for(4), blocks_for(5)
    (1, 2)
    """
    return -(-n // WORDS)


def words_of(number: int, bits: int) -> list[int]:
    """A number in words of 32 bits, the lowest first.

    >>> words_of(2**32 + 5, 64)
    [5, 1]
    """
    return [number >> shift & MASK for shift in range(0, bits, 32)]


def dropout_threshold(p: float) -> tuple[int, float]:
    """Dropout keeps numbers whose word is below the first, and multiplies them by the second.

    >>> dropout_threshold(0.5)
    (2147483648, 2.0)
    """
    return round((1 - p) * 2**32), 1 / (1 - p) if p < 1 else 0.0


def random_bits(xp: Any, key: int, counter: int, n: int, device: Any = None) -> Array:
    """``n`` random words: int64 of shape (n,), each in [0, 2**32).

    Block i holds words 4i to 4i + 3 and is made from ``key`` (64 bits) and ``counter + i`` (128).
    ``device`` is the library's own.

    >>> import array_api_compat.numpy as xp
    >>> [hex(word) for word in random_bits(xp, key=0, counter=0, n=2).tolist()]
    ['0x6627e8d5', '0xe169c58d']
    """
    # c0 … c3: the counter's words, lowest first, with the carry from one to the next
    carry = xp.arange(blocks_for(n), dtype=xp.int64, device=device)
    c = []
    for shift in (0, 32, 64, 96):
        carry = carry + (counter >> shift & MASK)
        c.append(carry & MASK)
        carry = carry >> 32
    c0, c1, c2, c3 = c
    k0, k1 = key & MASK, key >> 32 & MASK
    for _ in range(ROUNDS):
        # The product of two words wraps as int64, but its 64 bits are right. Only factors must be
        # below 2**32; c1 and c3 keep higher bits for one round.
        a = c0 * MULTIPLIERS[0]
        b = c2 * MULTIPLIERS[1]
        c0 = (b >> 32 ^ c1 ^ k0) & MASK
        c2 = (a >> 32 ^ c3 ^ k1) & MASK
        c1, c3 = b, a
        k0, k1 = (k0 + KEY_STEPS[0]) & MASK, (k1 + KEY_STEPS[1]) & MASK
    words = xp.stack([c0, c1 & MASK, c2, c3 & MASK], axis=-1)
    return xp.reshape(words, (-1,))[:n]
