"""Datasets and the DataLoader: samples by number, in batches, in an order that a seed repeats."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Self
from weakref import finalize

import numpy as np

from tinyxp.backends import Array
from tinyxp.backends.errors import ArgumentError, DTypeError, IndexingError, ShapeError
from tinyxp.core import Tensor, wrap
from tinyxp.data.workers import Workers, seeds
from tinyxp.operation import typed
from tinyxp.ops.creation import asarray
from tinyxp.ops.gathering import take
from tinyxp.ops.shaping import stack
from tinyxp.random import Generator, source


class Dataset:
    """Samples by number: ``dataset[i]`` for i in range(len(dataset)).

    A subclass adds ``__getitem__`` and ``__len__``, and ``batch`` where it knows a faster way.
    """

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no __getitem__(index)")

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} has no __len__()")

    def batch(self, indices: Array) -> Any:
        """The samples of ``indices``, a NumPy array of integers, joined by :func:`collate`."""
        return collate([self[i] for i in indices.tolist()])


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
        self.indices = np.asarray(indices, dtype=np.int64)
        n = len(dataset)
        if ((self.indices < -n) | (self.indices >= n)).any():
            raise IndexingError(f"Subset expects indices of {n} samples, got {indices}")

    def __getitem__(self, index: int) -> Any:
        return self.dataset[int(self.indices[index])]

    def __len__(self) -> int:
        return len(self.indices)

    def batch(self, indices: Array) -> Any:
        return _batch(self.dataset, self.indices[indices])


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
    if math.isclose(sum(lengths), 1):
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


class DataLoader:
    """Batches of a dataset, of any object with ``len`` and integer keys.

    ``shuffle`` draws a new order for every epoch from ``generator`` (default: the default one), so
    a seed repeats all of them. ``drop_last`` leaves out a last batch that is not full.
    ``collate_fn`` makes a batch of a list of samples (default: :func:`collate`). ``num_workers``
    processes, each with a copy of the dataset, make ``prefetch_factor`` batches each in advance;
    batches come in the same order for any number of them. One that dies, or needs longer than
    ``timeout`` seconds for a batch (0: no limit), is a DataError; the next epoch starts others.
    ``pin_memory`` is taken as in PyTorch and changes nothing: every copy to a GPU goes through
    pinned memory, and nobody waits for it. Raises ArgumentError for a number out of range, and for
    a dataset that cannot be pickled.

    >>> loader = tx.data.DataLoader([1, 2, 3], batch_size=2)
    >>> list(loader)
    [tensor([1, 2]), tensor([3])]
    """

    @typed
    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool = False,
        drop_last: bool = False,
        generator: Generator | None = None,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        *,
        num_workers: int = 0,
        timeout: float = 0,
        prefetch_factor: int = 2,
        pin_memory: bool = False,
    ) -> None:
        least = {"batch_size": 1, "num_workers": 0, "prefetch_factor": 1}
        given = (batch_size, num_workers, prefetch_factor)
        for (name, low), n in zip(least.items(), given, strict=True):
            if not isinstance(n, int) or n < low:
                raise ArgumentError(f"{name} expects an integer from {low} up, got {n!r}")
        if timeout < 0:
            raise ArgumentError(f"timeout expects seconds, got {timeout}")
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.generator = generator
        self.collate_fn = collate_fn
        self.num_workers, self.timeout, self.prefetch_factor = num_workers, timeout, prefetch_factor
        self.epoch = 0  # how many were begun
        self._workers: Workers | None = None

    def __len__(self) -> int:
        full, rest = divmod(len(self.dataset), self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[Any]:
        return self._begin(0)

    def _begin(self, batch: int) -> Iterator[Any]:
        """An epoch, from one of its batches on."""
        generator, n = source(self.generator), len(self.dataset)
        self.epoch += 1
        draws = seeds(generator, self.epoch)
        # drawn here, at the start of the epoch, and not with its first batch
        order = generator.permutation(n) if self.shuffle else np.arange(n)
        parts = [order[i : i + self.batch_size] for i in range(0, n, self.batch_size)]
        jobs = islice(zip(parts[: len(self)], draws, strict=False), batch, None)
        load = _Load(self.dataset, self.collate_fn)
        if self.num_workers == 0:
            return (load(indices) for indices, _ in jobs)
        if self._workers is None or not self._workers.alive:
            self._workers = Workers(self.num_workers, load)
            finalize(self, self._workers.close)
        return self._workers.batches(jobs, self.prefetch_factor, self.timeout)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_workers": None}  # a copy starts its own


@dataclass
class _Load:
    """From indices to a batch: what worker processes get."""

    dataset: Any
    collate_fn: Callable[[list[Any]], Any] | None

    def __call__(self, indices: Array) -> Any:
        if self.collate_fn is None:
            return _batch(self.dataset, indices)
        return self.collate_fn([self.dataset[i] for i in indices.tolist()])


class Epochs:
    """The batches of a DataLoader, epoch after epoch without end. It can be saved in the middle of
    an epoch, and goes on there with the same order.

    >>> loader = tx.data.DataLoader([1, 2, 3], shuffle=True, generator=tx.random.Generator(0))
    >>> batches = tx.data.Epochs(loader)
    >>> _ = [next(batches) for _ in range(4)]
    >>> state = batches.state_dict()
    >>> expected = [next(batches).item() for _ in range(5)]
    >>> batches.load_state_dict(state)
    >>> [next(batches).item() for _ in range(5)] == expected
    True
    """

    def __init__(self, loader: DataLoader) -> None:
        self.loader = loader
        self.epoch, self.position = 0, 0  # the batches that were given, of the present epoch
        self.start: dict[str, int] = {}  # the generator's state before the order was drawn
        self.batches: Iterator[Any] = iter(())

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        if not len(self.loader):
            raise StopIteration
        if not self.start or self.position == len(self.loader):
            self.epoch, self.position = self.epoch + bool(self.start), 0
            self.start = self._generator().state_dict()
            self.batches = iter(self.loader)
        self.position += 1
        return next(self.batches)

    def _generator(self) -> Generator:
        return source(self.loader.generator)

    def state_dict(self) -> dict[str, Any]:
        return {
            "epoch": self.epoch,
            "position": self.position,
            "start": self.start,
            "generator": self._generator().state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epoch, self.position = state["epoch"], state["position"]
        self.start = dict(state["start"])
        generator = self._generator()
        if self.start:
            generator.load_state_dict(self.start)
            self.loader.epoch = self.epoch
            self.batches = self.loader._begin(self.position)
        generator.load_state_dict(state["generator"])


def _batch(dataset: Any, indices: Array) -> Any:
    if isinstance(dataset, Dataset):
        return dataset.batch(indices)
    return collate([dataset[i] for i in indices.tolist()])


@typed
def collate(samples: list[Any]) -> Any:
    """Join samples into a batch, along a new first axis.

    Tensors and NumPy arrays are stacked, numbers become one tensor, tuples, lists and dicts are
    joined part by part, strings stay a list. Raises ShapeError if samples differ in shape or number
    of parts, DTypeError for other types.

    >>> tx.data.collate([(1.0, "a"), (2.0, "b")])
    (tensor([1., 2.]), ['a', 'b'])
    """
    first = samples[0]
    if isinstance(first, Tensor):
        return stack(samples)
    if isinstance(first, np.ndarray):
        if len({x.shape for x in samples}) > 1:
            shapes = sorted({x.shape for x in samples})
            raise ShapeError(f"samples of one batch must have one shape, got {shapes}")
        return asarray(np.stack(samples))
    if isinstance(first, np.generic):
        return asarray(np.asarray(samples))
    if isinstance(first, (bool, int, float, complex)):
        return asarray(samples)
    if isinstance(first, (str, bytes)):
        return samples
    if isinstance(first, dict):
        if any(x.keys() != first.keys() for x in samples):
            raise ShapeError(f"samples of one batch must have the keys {list(first)} all of them")
        return {key: collate([x[key] for x in samples]) for key in first}
    if isinstance(first, (tuple, list)):
        if any(len(x) != len(first) for x in samples):
            counts = sorted({len(x) for x in samples})
            raise ShapeError(f"samples of one batch must have equally many parts, got {counts}")
        parts = [collate(list(part)) for part in zip(*samples, strict=True)]
        if isinstance(first, list):
            return parts
        return type(first)(*parts) if hasattr(first, "_fields") else tuple(parts)
    raise DTypeError(
        f"cannot join samples of type {type(first).__name__} into a batch; pass a collate_fn"
    )
