"""The DataLoader: batches of a dataset, in an order that a seed repeats."""

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
    """Batches of a dataset: of any object with ``len`` and keys, or of an :class:`IterableDataset`.

    The order is that of the samples; with ``shuffle`` a new one for every pass, drawn from
    ``generator`` (default: the default one), so that a seed repeats all of them; or that of the
    keys in ``sampler``, or of the lists of keys in ``batch_sampler``. ``drop_last`` leaves out a
    last batch that is not full; ``batch_size=None`` gives samples instead of batches.
    ``collate_fn`` makes a batch of a list of samples (default: :func:`collate`).

    ``num_workers`` processes make ``prefetch_factor`` (2) batches each in advance. Batches, their
    order and what datasets draw from Python's, NumPy's and tinyxp's random numbers are the same for
    any number of them, none included: each batch has a seed of its own, which follows from the
    generator. Workers start for every pass, with a copy of the dataset as it is then, and call
    ``worker_init_fn`` with their number; ``persistent_workers`` keeps them, and their copy, for the
    next one. One that dies, or needs longer than ``timeout`` seconds for a batch (0: no limit), is
    a WorkerError. They work on NumPy, and batches come as tensors of the backend in use.

    ``multiprocessing_context`` says how they start. Left out, that is what the program has chosen
    by ``multiprocessing.set_start_method``, where that is not Python's own default; else "fork",
    where there is one that is safe: at once, and with functions and classes from anywhere, a script
    without ``if __name__ == "__main__":``, a notebook or a function among them. So it is on Linux
    with every version of Python, also from 3.14 on, where Python's default is "forkserver": the
    same programs run there as in PyTorch on Linux up to 3.13. A worker lets libraries use one
    thread, and waits for none that the fork has left behind. Elsewhere, and once the backend cupy
    was used, as CUDA does not survive a fork, it is "spawn": from nothing, with what can be
    pickled.

    ``pin_memory`` and ``in_order`` are taken as in PyTorch and change nothing: every copy to a GPU
    goes through pinned memory, and batches come in order. Raises ArgumentError for options out of
    range or at odds with each other.

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
        self._given = sampler, batch_sampler
        self._workers: Workers | None = None  # those that persist
        self._check()
        if batch_sampler is not None:
            self.batch_size = None
        self._fixed = True

    def _check(self) -> None:
        """Raise what a combination of options means to nobody."""
        self._streams()
        sampler, batch_sampler = self._given
        expect_count("DataLoader", "num_workers", self.num_workers, 0)
        if self.batch_size is not None:
            expect_count("DataLoader", "batch_size", self.batch_size)
        if self.prefetch_factor is not None:
            expect_count("DataLoader", "prefetch_factor", self.prefetch_factor)
        if not isinstance(self.timeout, (int, float, np.number)) or not self.timeout >= 0:
            raise ArgumentError(f"timeout expects seconds from 0 up, got {self.timeout!r}")
        for name in ("collate_fn", "worker_init_fn"):
            if getattr(self, name) is not None and not callable(getattr(self, name)):
                raise DTypeError(f"DataLoader expects a function {name}, got {getattr(self, name)}")
        source(self.generator)
        for name, given in (("sampler", sampler), ("batch_sampler", batch_sampler)):
            if given is not None and not hasattr(given, "__iter__"):
                raise DTypeError(f"{name} expects what gives keys in a loop, got {given!r}")
        if sampler is not None and self.shuffle:
            raise ArgumentError("a sampler says the order; leave out shuffle or the sampler")
        if batch_sampler is not None and (
            self.batch_size != 1 or self.shuffle or sampler is not None or self.drop_last
        ):
            raise ArgumentError(
                "a batch_sampler says the batches; leave out batch_size, shuffle, sampler and "
                "drop_last"
            )
        if self.batch_size is None and self.drop_last:
            raise ArgumentError("batch_size=None gives samples and no batches; leave out drop_last")
        if self._streams() and (self.shuffle or sampler is not None or batch_sampler is not None):
            raise ArgumentError(
                "an iterable dataset says its own order; leave out shuffle, sampler, batch_sampler"
            )
        alone = ("prefetch_factor", "persistent_workers", "timeout", "multiprocessing_context")
        for name in alone:
            if not self.num_workers and getattr(self, name):
                raise ArgumentError(f"{name} is for worker processes; it needs num_workers from 1")
        self._context()

    def _streams(self) -> bool:
        """Whether the dataset is read from beginning to end, and not by keys."""
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
        """multiprocessing's way to start workers."""
        found = self.multiprocessing_context
        if found is None:
            found = _usual_start()
        if isinstance(found, str) and found in get_all_start_methods():
            return get_context(found)
        if not isinstance(found, BaseContext):
            raise ArgumentError(
                f"multiprocessing_context expects one of {', '.join(get_all_start_methods())}, or "
                f"what multiprocessing.get_context gives; got {found!r}"
            )
        return found

    def __setattr__(self, name: str, value: Any) -> None:
        if name in FIXED and "_fixed" in vars(self):
            raise ArgumentError(f"the {name} of a DataLoader stays what it is; make a new one")
        super().__setattr__(name, value)

    @property
    def sampler(self) -> Any:
        """The keys of all samples, in order; of an iterable dataset, nothing without end."""
        return self._sampler(self.generator)

    @property
    def batch_sampler(self) -> Any:
        """The keys of each batch; None where samples stay alone."""
        return self._batch_sampler(self.sampler)

    def _sampler(self, generator: Generator | None) -> Any:
        if self._given[0] is not None:
            return self._given[0]
        if self._streams():
            return repeat(None)
        if self.shuffle:
            return RandomSampler(self.dataset, generator=generator)
        return SequentialSampler(self.dataset)

    def _batch_sampler(self, sampler: Any) -> Any:
        if self._given[1] is not None or self.batch_size is None:
            return self._given[1]
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
        """A pass, from its batch ``first`` on: what it draws comes from ``generator``.

        ``whole``: a given sampler gives all its keys now, and what it draws follows from the
        generator, too; else it may go on without end.
        """
        seeds = Seeds(generator.seed, generator.counter)
        keys = self._keys(generator, seeds if whole else None)
        random = self.collate_fn is not None or draws(self.dataset)
        if random and generator.counter == seeds.counter:
            generator._take(1)  # or the next pass would repeat the random numbers of this one
        jobs: Iterator[tuple[int, Any]] = enumerate(keys)
        load = self._load()
        left = 0  # batches to be made and thrown away: nobody can begin a stream in the middle
        if isinstance(load, Streamed):
            left = first
        else:
            jobs = islice(jobs, first, None)
        batches: Iterator[Any]
        if self.num_workers == 0:
            batches = _Here(jobs, load, seeds if random else None)
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
            if seeds is None or self._given == (None, None):
                return iter(sampler if batches is None else batches)
        with temporary_seed(seeds.of(-1 % 2**32)), use_generator(generator):
            return iter(list(sampler if batches is None else batches))

    def _load(self) -> Load:
        if self._streams():
            return Streamed(self.dataset, self.collate_fn, self.batch_size, self.drop_last)
        batched = self.batch_size is not None or self._given[1] is not None
        return Keyed(self.dataset, self.collate_fn, batched)

    def _get_workers(self, load: Load, seeds: Seeds) -> tuple[Workers, Any]:
        """Workers for a pass, and who keeps them."""
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
        return vars(self) | {"_workers": None}  # a copy starts its own

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)


def _usual_start() -> str:
    """How worker processes start where nobody says it for a loader; the DataLoader tells why."""
    default, chosen = get_all_start_methods()[0], get_start_method(allow_none=True)
    if chosen is not None and chosen != default:
        return chosen
    forks = default != "spawn" and all(backend.fork_safe for backend in backends.loaded())
    return "fork" if forks else "spawn"


class _Here:
    """The batches of a pass, made in this process."""

    def __init__(self, jobs: Iterator[tuple[int, Any]], load: Load, seeds: Seeds | None) -> None:
        self.jobs, self.load, self.seeds = jobs, load, seeds

    def __iter__(self) -> "_Here":
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
