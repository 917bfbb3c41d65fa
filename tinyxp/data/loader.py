"""The DataLoader: batches of a dataset, in an order that a seed reproduces."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice, repeat
from multiprocessing import get_all_start_methods, get_context, get_start_method
from multiprocessing.context import BaseContext
from types import GenericAlias
from typing import Any
from weakref import finalize

import numpy as np

from tinyxp import backends
from tinyxp.data.datasets import IterableDataset, draws
from tinyxp.data.fetch import Exhausted, Keyed, Load, Seeds, Streamed, temporary_seed
from tinyxp.data.samplers import BatchSampler, RandomSampler, SequentialSampler, expect_count
from tinyxp.data.workers import Batches, Workers
from tinyxp.errors import ArgumentError, DTypeError
from tinyxp.random import Generator, source, use_generator

FIXED = ("batch_size", "shuffle", "sampler", "batch_sampler", "drop_last", "persistent_workers")


class DataLoader:
    """Batches of a dataset: any object with ``len`` and keys, or an :class:`IterableDataset`.

    Samples come in order, with ``shuffle`` in a new random order for every pass, drawn from
    ``generator`` (default: the global one), or in the order of the keys in ``sampler`` or of the
    lists of keys in ``batch_sampler``. ``drop_last`` drops an incomplete last batch;
    ``batch_size=None`` returns samples instead of batches. ``collate_fn`` makes a batch from a list
    of samples (default: :func:`collate`).

    ``num_workers`` processes make ``prefetch_factor`` (2) batches each in advance. Batches, their
    order and the numbers that datasets draw from Python's, NumPy's and tinyxp's generators are the
    same for any number of workers, including 0, because each batch has its own seed. Workers start
    for every pass with a copy of the dataset and call ``worker_init_fn`` with their number;
    ``persistent_workers`` keeps them and their copy for the next pass. A worker that dies, or takes
    longer than ``timeout`` seconds for a batch (0: no limit), raises WorkerError. Workers use
    NumPy; batches are tensors of the current backend.

    ``multiprocessing_context`` chooses how workers start. The default is the method set by
    ``multiprocessing.set_start_method``, if that is not Python's own default; else "fork" on Linux,
    with every version of Python: it is fast and accepts functions and classes defined anywhere,
    such as in a notebook or in a script without ``if __name__ == "__main__":``. It is "spawn" on
    other systems, and after the cupy backend was used, because CUDA does not survive a fork; then
    everything must be picklable. In a worker, libraries use one thread.

    ``pin_memory`` and ``in_order`` are accepted and ignored: every copy to a GPU goes through
    pinned memory, and batches come in order. Raises ArgumentError for options out of range or in
    conflict.

    >>> loader = tx.data.DataLoader([1, 2, 3], batch_size=2)
    >>> list(loader)
    [tensor([1, 2]), tensor([3])]
    """

    __class_getitem__: Any = classmethod(GenericAlias)

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[Any] | None = None,
        batch_sampler: Iterable[Any] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[Any], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], Any] | None = None,
        multiprocessing_context: str | BaseContext | None = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        self.dataset = dataset
        self.batch_size, self.drop_last = batch_size, drop_last
        self.shuffle, self.num_workers, self.timeout = bool(shuffle), num_workers, timeout
        self.collate_fn, self.worker_init_fn = collate_fn, worker_init_fn
        self.multiprocessing_context = multiprocessing_context
        self.prefetch_factor, self.persistent_workers = prefetch_factor, persistent_workers
        self.pin_memory, self.pin_memory_device = pin_memory, pin_memory_device
        self.in_order, self.generator = in_order, generator
        self._samplers = sampler, batch_sampler
        self._workers: Workers | None = None  # persistent ones
        self._check()
        if batch_sampler is not None:
            self.batch_size = None
        self._fixed = True

    def _check(self) -> None:
        """Raise ArgumentError or DTypeError for wrong options and combinations of them."""
        self._streams()
        sampler, batch_sampler = self._samplers
        expect_count("DataLoader", "num_workers", self.num_workers, 0)
        if self.batch_size is not None:
            expect_count("DataLoader", "batch_size", self.batch_size)
        if self.prefetch_factor is not None:
            expect_count("DataLoader", "prefetch_factor", self.prefetch_factor)
        if not isinstance(self.timeout, (int, float, np.number)) or not self.timeout >= 0:
            raise ArgumentError(f"timeout expects seconds >= 0, got {self.timeout!r}")
        for name in ("collate_fn", "worker_init_fn"):
            if getattr(self, name) is not None and not callable(getattr(self, name)):
                raise DTypeError(f"DataLoader expects a function {name}, got {getattr(self, name)}")
        source(self.generator)
        for name, keys in (("sampler", sampler), ("batch_sampler", batch_sampler)):
            if keys is not None and not hasattr(keys, "__iter__"):
                raise DTypeError(f"{name} expects an iterable of keys, got {keys!r}")
        if sampler is not None and self.shuffle:
            raise ArgumentError("a sampler sets the order; leave out shuffle or the sampler")
        if batch_sampler is not None and (
            self.batch_size != 1 or self.shuffle or sampler is not None or self.drop_last
        ):
            raise ArgumentError(
                "a batch_sampler sets the batches; leave out batch_size, shuffle, sampler and "
                "drop_last"
            )
        if self.batch_size is None and self.drop_last:
            raise ArgumentError("batch_size=None returns samples, not batches; leave out drop_last")
        if self._streams() and (self.shuffle or sampler is not None or batch_sampler is not None):
            raise ArgumentError(
                "an iterable dataset sets its own order; leave out shuffle, sampler, batch_sampler"
            )
        alone = ("prefetch_factor", "persistent_workers", "timeout", "multiprocessing_context")
        for name in alone:
            if not self.num_workers and getattr(self, name):
                raise ArgumentError(f"{name} is for worker processes; it needs num_workers >= 1")
        self._context()

    def _streams(self) -> bool:
        """Whether the dataset is a stream without keys."""
        if isinstance(self.dataset, IterableDataset):
            return True
        if hasattr(self.dataset, "__getitem__"):
            return False
        if hasattr(self.dataset, "__iter__"):
            return True
        raise DTypeError(
            f"a dataset has __getitem__ and __len__, or __iter__; got {type(self.dataset).__name__}"
        )

    def _context(self) -> Any:
        """The context of multiprocessing that starts workers."""
        context = self.multiprocessing_context
        if context is None:
            context = _default_start()
        if isinstance(context, str) and context in get_all_start_methods():
            return get_context(context)
        if not isinstance(context, BaseContext):
            raise ArgumentError(
                f"multiprocessing_context expects one of {', '.join(get_all_start_methods())}, or "
                f"a result of multiprocessing.get_context; got {context!r}"
            )
        return context

    def __setattr__(self, name: str, value: Any) -> None:
        if name in FIXED and "_fixed" in vars(self):
            raise ArgumentError(f"the {name} of a DataLoader cannot change; make a new one")
        super().__setattr__(name, value)

    @property
    def sampler(self) -> Any:
        """The keys of all samples, in order; for an iterable dataset, None without end."""
        return self._sampler(self.generator)

    @property
    def batch_sampler(self) -> Any:
        """The keys of each batch; None if there are no batches."""
        return self._batch_sampler(self.sampler)

    def _sampler(self, generator: Generator | None) -> Any:
        if self._samplers[0] is not None:
            return self._samplers[0]
        if self._streams():
            return repeat(None)
        if self.shuffle:
            return RandomSampler(self.dataset, generator=generator)
        return SequentialSampler(self.dataset)

    def _batch_sampler(self, sampler: Any) -> Any:
        if self._samplers[1] is not None or self.batch_size is None:
            return self._samplers[1]
        return BatchSampler(sampler, self.batch_size, self.drop_last)

    def __len__(self) -> int:
        if self._streams():
            n = len(self.dataset)
            if self.batch_size is None:
                return n
            full, rest = divmod(n, self.batch_size)
            return full + (rest > 0 and not self.drop_last)
        batches = self.batch_sampler
        return len(self.sampler if batches is None else batches)

    def __iter__(self) -> Iterator[Any]:
        return self.begin(source(self.generator))

    def begin(self, generator: Generator, first: int = 0, whole: bool = False) -> Iterator[Any]:
        """A pass from its batch ``first`` on, with random numbers from ``generator``.

        With ``whole`` the user's sampler returns all its keys now, with random numbers that follow
        from the generator, too; else it may be infinite.
        """
        seeds = Seeds(generator.seed, generator.counter)
        keys = self._keys(generator, seeds if whole else None)
        random = self.collate_fn is not None or draws(self.dataset)
        if random and generator.counter == seeds.counter:
            generator._take(1)  # or the next pass would draw the same numbers
        jobs: Iterator[tuple[int, Any]] = enumerate(keys)
        load = self._load()
        left = 0  # batches to skip, because a stream starts at its beginning
        if isinstance(load, Streamed):
            left = first
        else:
            jobs = islice(jobs, first, None)
        batches: Iterator[Any]
        if self.num_workers == 0:
            batches = _Local(jobs, load, seeds if random else None)
        else:
            workers, kept = self._get_workers(load, seeds)
            ahead = self.prefetch_factor or 2
            batches = Batches(workers, jobs, seeds, ahead, self.timeout, kept)
        for _ in islice(batches, left):
            pass
        return batches

    def _keys(self, generator: Generator, seeds: Seeds | None) -> Iterator[Any]:
        sampler = self._sampler(generator)
        batches = self._batch_sampler(sampler)
        with use_generator(generator):
            if seeds is None or self._samplers == (None, None):
                return iter(sampler if batches is None else batches)
        with temporary_seed(seeds.of(-1 % 2**32)), use_generator(generator):
            return iter(list(sampler if batches is None else batches))

    def _load(self) -> Load:
        if self._streams():
            return Streamed(self.dataset, self.collate_fn, self.batch_size, self.drop_last)
        batched = self.batch_size is not None or self._samplers[1] is not None
        return Keyed(self.dataset, self.collate_fn, batched)

    def _get_workers(self, load: Load, seeds: Seeds) -> tuple[Workers, Any]:
        """Workers for a pass, and the loader if it keeps them."""
        start = (int(self.num_workers), load, self.worker_init_fn, seeds.base, self._context())
        if not self.persistent_workers:
            return Workers(*start), None
        held = self._workers
        if held is not None and held.busy and not held.closed:
            return Workers(*start), None  # for a second pass at the same time
        if held is None or not held.serve(load, self.num_workers):
            if held is not None:
                held.close()
            self._workers = held = Workers(*start)
            finalize(self, held.close)
        return held, self

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_workers": None}  # a copy starts its own workers


def _default_start() -> str:
    """The default start method of worker processes; see DataLoader."""
    default, chosen = get_all_start_methods()[0], get_start_method(allow_none=True)
    if chosen is not None and chosen != default:
        return chosen
    forks = default != "spawn" and all(backend.fork_safe for backend in backends.loaded())
    return "fork" if forks else "spawn"


class _Local:
    """The batches of a pass, made in this process."""

    def __init__(self, jobs: Iterator[tuple[int, Any]], load: Load, seeds: Seeds | None) -> None:
        self.jobs, self.load, self.seeds = jobs, load, seeds

    def __iter__(self) -> "_Local":
        return self

    def __next__(self) -> Any:
        number, keys = next(self.jobs)
        try:
            if self.seeds is None:
                return self.load(keys)
            with temporary_seed(self.seeds.of(number)):
                return self.load(keys)
        except Exhausted:
            self.jobs = iter(())
        raise StopIteration
