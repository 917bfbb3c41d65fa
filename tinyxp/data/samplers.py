"""Samplers: the order of the samples of a dataset, and their batches."""

from collections.abc import Iterable, Iterator
from itertools import islice, takewhile
from types import GenericAlias
from typing import Any

import numpy as np

from tinyxp import backends
from tinyxp.core import dtypes
from tinyxp.core.foreign_errors import typed
from tinyxp.errors import ArgumentError, DTypeError
from tinyxp.random import Generator, source


class Sampler:
    """The base of samplers, which yield keys: a subclass adds ``__iter__`` and ``__len__``.

    Ours draw when ``__iter__`` is called. One without a ``generator`` draws from that of its
    DataLoader, or else from the global one.
    """

    __class_getitem__: Any = classmethod(GenericAlias)

    def __init__(self, data_source: Any = None) -> None:
        pass

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__} has no __iter__()")


class SequentialSampler(Sampler):
    """The indices 0, 1, … in order.

    >>> list(tx.data.SequentialSampler("abc"))
    [0, 1, 2]
    """

    def __init__(self, data_source: Any) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler):
    """Indices in random order, or drawn with ``replacement``.

    ``num_samples`` is their number, by default that of the samples; without replacement one random
    order follows another. Raises ArgumentError unless it is an integer >= 1.

    >>> sorted(tx.data.RandomSampler("abc", generator=tx.random.Generator(0)))
    [0, 1, 2]
    """

    def __init__(
        self,
        data_source: Any,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        _expect_bool("RandomSampler", "replacement", replacement)
        if num_samples is not None:
            expect_count("RandomSampler", "num_samples", num_samples)
        self.data_source, self.replacement, self.generator = data_source, replacement, generator
        self._num_samples = num_samples

    @property
    def num_samples(self) -> int:
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        generator, n, wanted = source(self.generator), len(self.data_source), self.num_samples
        if not n and self._num_samples is not None:
            raise ArgumentError(f"RandomSampler cannot draw {wanted} samples from an empty dataset")
        if self.replacement:
            unit = _uniform(generator, wanted)
            return iter((unit * n).astype(np.int64).tolist())
        rounds = -(-wanted // n) if n else 0
        orders = [generator.permutation(n) for _ in range(rounds)]
        return iter(np.concatenate([*orders, np.empty(0, np.int64)])[:wanted].tolist())

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler):
    """The indices in random order.

    >>> sorted(tx.data.SubsetRandomSampler([3, 5], generator=tx.random.Generator(0)))
    [3, 5]
    """

    def __init__(self, indices: Any, generator: Generator | None = None) -> None:
        self.indices, self.generator = indices, generator

    def __iter__(self) -> Iterator[Any]:
        order = source(self.generator).permutation(len(self.indices)).tolist()
        plain = self.indices.tolist() if hasattr(self.indices, "tolist") else self.indices
        return iter([plain[i] for i in order])

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler):
    """``num_samples`` indices, i with probability weights[i] / Σ weights.

    Without ``replacement`` each index comes at most once, and those drawn do not change the ratios
    of the others (Efraimidis and Spirakis 2006: the smallest of -log(u) / w). Raises ArgumentError
    for weights that are NaN, Inf, negative or all 0, and for too many samples.

    >>> list(tx.data.WeightedRandomSampler([0.0, 1.0], 3))
    [1, 1, 1]
    """

    @typed
    def __init__(
        self,
        weights: Any,
        num_samples: int,
        replacement: bool = True,
        generator: Generator | None = None,
    ) -> None:
        name = "WeightedRandomSampler"
        expect_count(name, "num_samples", num_samples)
        _expect_bool(name, "replacement", replacement)
        plain = weights.tolist() if hasattr(weights, "tolist") else weights
        self.weights = np.asarray(plain, dtype=np.float64)
        if self.weights.ndim != 1:
            raise ArgumentError(f"{name} expects a row of weights, got shape {self.weights.shape}")
        if not np.isfinite(self.weights).all() or (self.weights < 0).any():
            place = int(np.argmin(np.isfinite(self.weights) & (self.weights >= 0)))
            raise ArgumentError(
                f"{name} expects weights >= 0 without NaN or Inf, got "
                f"{self.weights[place]:g} at {place}"
            )
        positive = int((self.weights > 0).sum())
        if not positive or (not replacement and num_samples > positive):
            raise ArgumentError(
                f"{name} cannot draw {num_samples} samples"
                f"{'' if replacement else ' without replacement'} from {positive} positive weights"
            )
        self.num_samples, self.replacement, self.generator = num_samples, replacement, generator

    def __iter__(self) -> Iterator[int]:
        generator = source(self.generator)
        if self.replacement:
            ends = (self.weights / self.weights.max()).cumsum()
            drawn = _uniform(generator, self.num_samples) * ends[-1]
            return iter(np.searchsorted(ends, drawn, side="right").tolist())
        unit = 1 - _uniform(generator, len(self.weights))  # in (0, 1]
        with np.errstate(divide="ignore"):  # logarithms do not underflow for tiny weights
            wait = np.log(-np.log(unit)) - np.log(np.where(self.weights > 0, self.weights, 1.0))
        keys = np.where(self.weights > 0, wait, np.inf)
        return iter(np.argsort(keys, kind="stable")[: self.num_samples].tolist())

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler):
    """Lists of ``batch_size`` keys of a sampler; ``drop_last`` drops an incomplete last one.

    >>> list(tx.data.BatchSampler(tx.data.SequentialSampler("abc"), 2, drop_last=False))
    [[0, 1], [2]]
    """

    def __init__(self, sampler: Iterable[Any], batch_size: int, drop_last: bool) -> None:
        expect_count("BatchSampler", "batch_size", batch_size)
        _expect_bool("BatchSampler", "drop_last", drop_last)
        self.sampler, self.batch_size, self.drop_last = sampler, int(batch_size), drop_last

    def __iter__(self) -> Iterator[list[Any]]:
        keys, size = iter(self.sampler), self.batch_size
        batches = iter(lambda: list(islice(keys, size)), [])
        return takewhile(lambda batch: len(batch) == size or not self.drop_last, batches)

    def __len__(self) -> int:
        full, rest = divmod(len(self.sampler), self.batch_size)  # type: ignore[arg-type]
        return full + (rest > 0 and not self.drop_last)


def expect_count(owner: str, name: str, n: Any, least: int = 1) -> None:
    """Raise ArgumentError unless n is an integer >= ``least``."""
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < least:
        raise ArgumentError(f"{owner}: {name} expects an integer from {least} up, got {n!r}")


def _expect_bool(owner: str, name: str, value: Any) -> None:
    if not isinstance(value, (bool, np.bool_)):
        raise DTypeError(f"{owner}: {name} expects True or False, got {value!r}")


def _uniform(generator: Generator, n: int) -> Any:
    """n random numbers in [0, 1) with 53 bits, as a NumPy array."""
    with backends.backend("numpy"):  # the same numbers, without waiting for a GPU
        return generator.uniform(n, dtype=dtypes.float64).numpy()
