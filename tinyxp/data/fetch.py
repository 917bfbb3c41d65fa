"""Make batches from keys, with the batch's own random numbers; it runs in the process of the
DataLoader or in a worker."""

import os
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.random.mtrand import get_bit_generator, set_bit_generator

from tinyxp.data.collation import collate, convert
from tinyxp.data.datasets import batch_of, samples_of
from tinyxp.errors import DataError
from tinyxp.random import Generator, use_generator


class Exhausted(Exception):
    """There are no more samples. Not a StopIteration, which a dataset may raise by mistake."""


@dataclass
class Keyed:
    """Makes a batch of the samples that a sampler selects, or one sample if not ``batched``."""

    dataset: Any
    collate_fn: Callable[[Any], Any] | None
    batched: bool

    def restart(self) -> None:
        """Start a new pass."""

    def __call__(self, keys: Any) -> Any:
        try:
            if not self.batched:
                return (self.collate_fn or convert)(self.dataset[keys])
            keys = list(keys)
            if self.collate_fn is not None:
                return self.collate_fn(samples_of(self.dataset, keys))
            return batch_of(self.dataset, keys)
        except StopIteration as error:
            raise DataError(
                "the dataset or collate_fn raised StopIteration, which would end the loop over the "
                f"batches silently: {error}"
            ) from error


@dataclass
class Streamed:
    """Makes the next batch of an iterable dataset, or the next sample if ``size`` is None."""

    dataset: Any
    collate_fn: Callable[[Any], Any] | None
    size: int | None
    drop_last: bool
    samples: Iterator[Any] | None = None

    def restart(self) -> None:
        self.samples = None

    def __call__(self, keys: Any) -> Any:
        if self.samples is None:
            self.samples = iter(self.dataset)
        batch = list(islice(self.samples, self.size or 1))
        if not batch or (self.size is not None and self.drop_last and len(batch) < self.size):
            raise Exhausted
        if self.size is None:
            return (self.collate_fn or convert)(batch[0])
        return (self.collate_fn or collate)(batch)


Load = Keyed | Streamed


# -- random numbers of a batch --------------------------------------------------------------------


@dataclass(frozen=True)
class Seeds:
    """The seeds of a pass, from a generator's seed and its counter when the pass began: ``of(k)``
    is that of batch k, ``base`` that of the worker processes."""

    seed: int
    counter: int

    def of(self, batch: int) -> int:
        return self._state((batch,))

    @property
    def base(self) -> int:
        return self._state(()) >> 2  # leaves room to add a worker's number within 63 bits

    def _state(self, key: tuple[int, ...]) -> int:
        words = [word & (2**64 - 1) for word in (self.seed, self.counter)]
        sequence = np.random.SeedSequence(words, spawn_key=key)
        return int(sequence.generate_state(1, np.uint64)[0])


_turn = threading.RLock()  # Python's and NumPy's random numbers are global
_bits = np.random.MT19937()  # replaces NumPy's; copying its state is slower
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: globals().update(_turn=threading.RLock()))


@contextmanager
def temporary_seed(seed: int) -> Iterator[None]:
    """Seed Python's, NumPy's and tinyxp's random numbers within a block, and restore them after it.
    One thread at a time."""
    with _turn:
        python, bits = random.getstate(), get_bit_generator()
        numpy = np.random.get_state(legacy=False)
        try:
            set_bit_generator(_bits)
            reseed(seed)
            with use_generator(Generator(seed)):
                yield
        finally:
            random.setstate(python)
            set_bit_generator(bits)
            # the second normal number of a pair; nested blocks
            if numpy["has_gauss"] or bits is _bits:
                np.random.set_state(numpy)


def reseed(seed: int) -> None:
    """Seed Python's and NumPy's random numbers."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
