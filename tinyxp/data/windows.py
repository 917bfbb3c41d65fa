"""Windows of a long sequence of symbols: what a language model reads, and what comes next."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from tinyxp.core import Tensor
from tinyxp.ops.creation import asarray
from tinyxp.random import Generator

Pair = tuple[Tensor, Tensor]


def windows(ids: Any, starts: Any, length: int) -> Pair:
    """The symbols (n, length) from each of n ``starts``, and those one place later.

    >>> tx.data.windows(np.arange(9), np.asarray([0, 4]), 3)
    (tensor([[0, 1, 2],
            [4, 5, 6]]), tensor([[1, 2, 3],
            [5, 6, 7]]))
    """
    both = asarray(ids[np.asarray(starts)[:, None] + np.arange(length + 1)])
    return both[:, :-1], both[:, 1:]


def random_windows(ids: Any, length: int, batch_size: int, generator: Generator) -> Iterator[Pair]:
    """Endless batches of windows at random places."""
    while True:
        starts = generator.integers(0, len(ids) - length, (batch_size,)).numpy()
        yield windows(ids, starts, length)


def all_windows(ids: Any, length: int, batch_size: int) -> Iterator[Pair]:
    """Batches of windows side by side over all of ``ids``, but for a last part that is shorter."""
    starts = np.arange(0, len(ids) - length, length)
    for i in range(0, len(starts), batch_size):
        yield windows(ids, starts[i : i + batch_size], length)
