"""Datasets of samples by index or in a stream, subsets, and concatenations."""

import math
from collections.abc import Iterable, Iterator, Sequence
from types import GenericAlias
from typing import Any

import numpy as np

from tinyxp.backends import Array
from tinyxp.core.foreign_errors import typed
from tinyxp.core.tensor import Tensor, wrap
from tinyxp.data.collation import collate
from tinyxp.errors import ArgumentError, DTypeError, IndexingError, ShapeError
from tinyxp.ops.creation import asarray
from tinyxp.ops.gathering import take
from tinyxp.random import Generator, source


class Dataset:
    """Samples by index: ``dataset[i]`` for i in range(len(dataset)).

    A subclass adds ``__getitem__`` and ``__len__``, and ``batch`` if it has a faster way. The sum
    of two is a :class:`ConcatDataset`.
    """

    __class_getitem__: Any = classmethod(GenericAlias)  # Dataset[int] names the type of a sample

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no __getitem__(index)")

    def __len__(self) -> int:
        raise DTypeError(f"{type(self).__name__} has no __len__(); a dataset needs a length")

    def __add__(self, other: Any) -> "ConcatDataset":
        return ConcatDataset([self, other])

    def batch(self, indices: Array) -> Any:
        """The samples at ``indices``, a NumPy array of integers, joined by :func:`collate`."""
        return collate([self[i] for i in indices.tolist()])


class IterableDataset:
    """A stream of samples: a subclass adds ``__iter__``, and ``__len__`` if it is known.

    Each worker process of a DataLoader iterates over its own copy, so ``__iter__`` must select the
    worker's share with :func:`get_worker_info`; else every sample comes once per worker.
    """

    __class_getitem__: Any = classmethod(GenericAlias)

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__} has no __iter__()")


class TensorDataset(Dataset):
    """Sample i is ``(x[i], …)`` over tensors of equal length; arrays become tensors.

    Raises ShapeError if the lengths differ, ArgumentError without tensors.

    >>> data = tx.data.TensorDataset(tx.asarray([[1.0], [2.0]]), tx.asarray([0, 1]))
    >>> data[1]
    (tensor([2.]), tensor(1))
    """

    @typed
    def __init__(self, *tensors: Any) -> None:
        self.tensors: tuple[Tensor, ...] = tuple(asarray(x) for x in tensors)
        if not tensors:
            raise ArgumentError("TensorDataset expects at least one tensor, got none")
        shapes = [x.shape for x in self.tensors]
        if len({shape[:1] for shape in shapes}) > 1 or not all(shapes):
            raise ShapeError(f"TensorDataset expects tensors of one length, got shapes {shapes}")

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        return tuple(x[index] for x in self.tensors)

    def __len__(self) -> int:
        return len(self.tensors[0])

    def batch(self, indices: Array) -> tuple[Tensor, ...]:
        """One ``take`` for each tensor."""
        n = len(self)
        if indices.size and not -n <= indices.min() <= indices.max() < n:
            raise IndexingError(f"TensorDataset of {n} samples has no sample {indices.tolist()}")
        indices = np.where(indices < 0, indices + n, indices)
        return tuple(
            take(x, wrap(x.backend.from_numpy(indices, x.device), x.backend), axis=0)
            for x in self.tensors
        )


class Subset(Dataset):
    """The samples of a dataset at ``indices``, in that order.

    >>> tx.data.Subset([10, 20, 30], [2, 0])[0]
    30
    """

    @typed
    def __init__(self, dataset: Any, indices: Sequence[int] | Array) -> None:
        self.dataset = dataset
        self.indices = np.asarray(indices)
        if self.indices.size == 0:
            self.indices = self.indices.astype(np.int64)
        if self.indices.ndim != 1 or self.indices.dtype.kind not in "iu":
            raise IndexingError(f"Subset expects a row of integers, got {indices}")
        n = len(dataset)
        if ((self.indices < -n) | (self.indices >= n)).any():
            raise IndexingError(f"Subset expects indices of {n} samples, got {indices}")

    def __getitem__(self, index: int) -> Any:
        return self.dataset[int(self.indices[index])]

    def __len__(self) -> int:
        return len(self.indices)

    def batch(self, indices: Array) -> Any:
        return batch_of(self.dataset, self.indices[indices].tolist())


class ConcatDataset(Dataset):
    """The samples of several datasets, one after the other.

    >>> data = tx.data.ConcatDataset([[1, 2], [3]])
    >>> len(data), data[2], data[-3]
    (3, 3, 1)
    """

    @typed
    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ArgumentError("ConcatDataset expects at least one dataset, got none")

    def __len__(self) -> int:
        return sum(map(len, self.datasets))

    def __getitem__(self, index: int) -> Any:
        n = len(self)
        if not -n <= index < n:
            raise IndexingError(f"index {index} is out of range for {n} samples")
        index %= n
        for dataset in self.datasets:
            if index < len(dataset):
                return dataset[index]
            index -= len(dataset)
        raise AssertionError  # a length has changed meanwhile


@typed
def random_split(
    dataset: Any, lengths: Sequence[float], generator: Generator | None = None
) -> list[Subset]:
    """Split ``dataset`` at random into parts of these lengths, or fractions that sum to 1.

    Samples left over by rounding fractions down go to the first parts, one each. Raises
    ArgumentError if the lengths do not add up.

    >>> parts = tx.data.random_split([1, 2, 3], [0.5, 0.5], tx.random.Generator(0))
    >>> [len(part) for part in parts]
    [2, 1]
    """
    n = len(dataset)
    counts = list(lengths)
    whole = all(isinstance(k, (int, np.integer)) for k in counts)
    if not (whole and sum(counts) == n) and math.isclose(sum(counts), 1):
        counts = [math.floor(n * fraction) for fraction in lengths]
        left = n - sum(counts)
        counts = [count + (i < left) for i, count in enumerate(counts)]
    if sum(counts) != n or not all(isinstance(k, (int, np.integer)) and k >= 0 for k in counts):
        raise ArgumentError(
            f"random_split expects whole numbers that sum to {n}, or fractions that sum to 1, "
            f"got {list(lengths)}"
        )
    order = source(generator).permutation(n)
    return [Subset(dataset, part) for part in np.split(order, np.cumsum(counts)[:-1])]


def batch_of(dataset: Any, keys: list[Any]) -> Any:
    """The batch of the samples ``keys``, by the fastest way that the dataset has."""
    if isinstance(dataset, Dataset) and _knows_batches(type(dataset)):
        return dataset.batch(np.asarray(keys, dtype=np.int64))
    return collate(samples_of(dataset, keys))


def samples_of(dataset: Any, keys: list[Any]) -> list[Any]:
    """The samples ``keys``, by ``__getitems__`` if the dataset has this method for several."""
    several = getattr(dataset, "__getitems__", None)
    return [dataset[key] for key in keys] if several is None else list(several(keys))


def _knows_batches(kind: type) -> bool:
    """Whether the ``batch`` of a class fits its ``__getitem__``; a subclass may have overridden
    only the latter, as for augmentation."""
    for base in kind.__mro__:
        if "batch" in vars(base):
            return base is not Dataset
        if "__getitem__" in vars(base):
            return False
    return False


def draws(dataset: Any) -> bool:
    """Whether samples may draw random numbers, because unknown code makes them."""
    if type(dataset) is Subset:
        return draws(dataset.dataset)
    if type(dataset) is ConcatDataset:
        return any(map(draws, dataset.datasets))
    return type(dataset) not in (TensorDataset, Tensor, list, tuple, range, np.ndarray)
