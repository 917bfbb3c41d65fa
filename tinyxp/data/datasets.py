"""Datasets: samples by number, or one after the other; parts of them, and several in a row."""

import math
from collections.abc import Iterable, Iterator, Sequence
from types import GenericAlias
from typing import Any

import numpy as np

from tinyxp.backends import Array
from tinyxp.core.operation import typed
from tinyxp.core.tensor import Tensor, wrap
from tinyxp.data.collation import collate
from tinyxp.errors import ArgumentError, DTypeError, IndexingError, ShapeError
from tinyxp.ops.creation import asarray
from tinyxp.ops.gathering import take
from tinyxp.random import Generator, source


class Dataset:
    """Samples by number: ``dataset[i]`` for i in range(len(dataset)).

    A subclass adds ``__getitem__`` and ``__len__``, and ``batch`` where it knows a faster way.
    The sum of two is a :class:`ConcatDataset`.
    """

    __class_getitem__: Any = classmethod(GenericAlias)  # Dataset[int] says what a sample is

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no __getitem__(index)")

    def __len__(self) -> int:
        raise DTypeError(f"{type(self).__name__} has no __len__(); a dataset says its length")

    def __add__(self, other: Any) -> "ConcatDataset":
        return ConcatDataset([self, other])

    def batch(self, indices: Array) -> Any:
        """The samples of ``indices``, a NumPy array of integers, joined by :func:`collate`."""
        return collate([self[i] for i in indices.tolist()])


class IterableDataset:
    """Samples one after the other: a subclass adds ``__iter__``, and ``__len__`` if it knows.

    Each worker process of a DataLoader runs through a copy of its own, so ``__iter__`` gives each
    its share, by :func:`get_worker_info`; else every sample comes once for each worker.
    """

    __class_getitem__: Any = classmethod(GenericAlias)

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__} has no __iter__()")


class TensorDataset(Dataset):
    """Sample i is ``(x[i], …)`` over tensors of equal length; arrays are made tensors.

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
    """The samples of a dataset that ``indices`` name, in their order.

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
    """The samples of several datasets, one behind the other.

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
            raise IndexingError(f"there are {n} samples in all, and none has the number {index}")
        index %= n
        for dataset in self.datasets:
            if index < len(dataset):
                return dataset[index]
            index -= len(dataset)
        raise AssertionError  # a length changed while we counted


@typed
def random_split(
    dataset: Any, lengths: Sequence[float], generator: Generator | None = None
) -> list[Subset]:
    """The samples of ``dataset`` dealt out at random: numbers of them, or fractions that sum to 1.

    What fractions leave over by rounding down goes to the first parts, one each. Raises
    ArgumentError if the numbers do not add up.

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
    """The batch of the samples ``keys``, in the fastest way that the dataset knows."""
    if isinstance(dataset, Dataset) and _knows_batches(type(dataset)):
        return dataset.batch(np.asarray(keys, dtype=np.int64))
    return collate(samples_of(dataset, keys))


def samples_of(dataset: Any, keys: list[Any]) -> list[Any]:
    """The samples ``keys``; those libraries that fetch several at once call it ``__getitems__``."""
    several = getattr(dataset, "__getitems__", None)
    return [dataset[key] for key in keys] if several is None else list(several(keys))


def _knows_batches(kind: type) -> bool:
    """Whether a class's ``batch`` gives the samples of its ``__getitem__``: a subclass that has
    changed only the latter, as for augmentation, must not be read past it."""
    for base in kind.__mro__:
        if "batch" in vars(base):
            return base is not Dataset
        if "__getitem__" in vars(base):
            return False
    return False


def draws(dataset: Any) -> bool:
    """Whether samples may draw random numbers: whether code that we do not know makes them."""
    if type(dataset) is Subset:
        return draws(dataset.dataset)
    if type(dataset) is ConcatDataset:
        return any(map(draws, dataset.datasets))
    return type(dataset) not in (TensorDataset, Tensor, list, tuple, range, np.ndarray)
