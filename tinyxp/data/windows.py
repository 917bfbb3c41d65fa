"""Windows of a long sequence of symbols: the inputs and targets of a language model."""

from collections.abc import Iterator
from typing import Any, Self

import numpy as np

from tinyxp import backends
from tinyxp.core.foreign_errors import typed
from tinyxp.core.tensor import Tensor
from tinyxp.data.samplers import expect_count
from tinyxp.errors import DataError, IndexingError
from tinyxp.ops.creation import asarray
from tinyxp.random import Generator

Pair = tuple[Tensor, Tensor]


@typed
def windows(ids: Any, starts: Any, length: int) -> Pair:
    """The symbols (n, length) from each of n ``starts``, and those one position later.

    Raises IndexingError for a window that does not lie within ``ids``.

    >>> tx.data.windows(np.arange(9), np.asarray([0, 4]), 3)
    (tensor([[0, 1, 2],
            [4, 5, 6]]), tensor([[1, 2, 3],
            [5, 6, 7]]))
    """
    starts = np.asarray(starts)
    if starts.size and not 0 <= starts.min() <= starts.max() < len(ids) - length:
        raise IndexingError(
            f"windows of {length} symbols, and the one behind each, begin at 0 to "
            f"{len(ids) - length - 1} of {len(ids)}, got {starts.min()} to {starts.max()}"
        )
    both = asarray(ids[starts[:, None] + np.arange(length + 1)])
    return both[:, :-1], both[:, 1:]


class RandomWindows:
    """Endless batches of windows at random positions; its state is that of its generator.

    Raises DataError if ``ids`` are fewer than ``length`` + 1, ArgumentError for a size below 1.

    >>> batches = tx.data.RandomWindows(np.arange(9), 3, 2, tx.random.Generator(0))
    >>> next(batches)[0].shape
    (2, 3)
    """

    def __init__(self, ids: Any, length: int, batch_size: int, generator: Generator) -> None:
        _expect_room(ids, length, batch_size)
        self.ids, self.length, self.batch_size = ids, length, batch_size
        self.generator = generator

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Pair:
        last = len(self.ids) - self.length
        with backends.backend("numpy"):  # the same numbers, without waiting for a GPU
            starts = self.generator.integers(0, last, (self.batch_size,)).numpy()
        return windows(self.ids, starts, self.length)

    def state_dict(self) -> dict[str, int]:
        return self.generator.state_dict()

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.generator.load_state_dict(state)


def all_windows(ids: Any, length: int, batch_size: int) -> Iterator[Pair]:
    """Batches of adjacent windows over all of ``ids``, except for a shorter last part.

    Raises DataError if ``ids`` are fewer than ``length`` + 1, ArgumentError for a size below 1.
    """
    _expect_room(ids, length, batch_size)
    starts = np.arange(0, len(ids) - length, length)
    groups = (starts[i : i + batch_size] for i in range(0, len(starts), batch_size))
    return (windows(ids, some, length) for some in groups)


def _expect_room(ids: Any, length: int, batch_size: int) -> None:
    expect_count("windows", "length", length)
    expect_count("windows", "batch_size", batch_size)
    if len(ids) <= length:
        raise DataError(
            f"windows of {length} symbols, and the one behind each, need {length + 1} of them, got "
            f"{len(ids)}; take a longer text or shorter windows"
        )
