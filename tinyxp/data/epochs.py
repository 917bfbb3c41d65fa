"""Epochs of a DataLoader that can be left in the middle, saved and gone on with."""

from collections.abc import Iterator
from typing import Any, Self, TypeGuard

from tinyxp.data.loader import DataLoader
from tinyxp.data.samplers import (
    BatchSampler,
    RandomSampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from tinyxp.errors import ArgumentError
from tinyxp.random import Generator, source

SAMPLERS = SequentialSampler, RandomSampler, SubsetRandomSampler, WeightedRandomSampler
STATE = {"epoch", "position", "start", "generator"}


class Epochs:
    """The batches of a DataLoader, epoch after epoch without end. It can be saved in the middle of
    an epoch, and goes on there with the same order and the same random numbers.

    It takes the state of the loader's generator when its first batch is asked for, and then draws
    by itself: other passes over the loader, as for an evaluation, change nothing. Of a sampler with
    a generator of its own the state is saved, too. Of an iterable dataset the batches before the
    place are made once more. ``shared``: it draws from the loader's generator itself, between
    whatever else does, as a loop over the loader would.

    >>> loader = tx.data.DataLoader([1, 2, 3], shuffle=True, generator=tx.random.Generator(0))
    >>> batches = tx.data.Epochs(loader)
    >>> _ = [next(batches) for _ in range(4)]
    >>> state = batches.state_dict()
    >>> expected = [next(batches).item() for _ in range(5)]
    >>> batches.load_state_dict(state)
    >>> [next(batches).item() for _ in range(5)] == expected
    True
    """

    def __init__(self, loader: DataLoader, *, shared: bool = False) -> None:
        if not isinstance(loader, DataLoader) or type(loader).__iter__ is not DataLoader.__iter__:
            raise ArgumentError(
                f"Epochs expects a DataLoader with its own __iter__, got {type(loader).__name__}"
            )
        self.loader, self.shared = loader, shared
        self.epoch, self.position = 0, 0  # the batches that were given, of the present epoch
        self.start: dict[str, Any] = {}  # the states of generators before the order was drawn
        self.batches: Iterator[Any] = iter(())
        self.own: Generator | None = None
        self.over = False  # whether the present epoch has ended

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        for batch in self.rest():
            return batch
        if not self.position:
            raise StopIteration  # an epoch has no batches
        return next(self)

    def rest(self) -> Iterator[Any]:
        """The batches that are left of the present epoch; of the next one, if it is over."""
        if self.own is None:
            self._begin(self._generator())
        elif self.over:
            self.epoch, self.position = self.epoch + 1, 0
            self._begin(self.own)
        while True:
            try:
                batch = next(self.batches)
            except StopIteration:
                break
            except Exception:
                self.position += 1  # a batch that cannot be made has its place, too
                raise
            self.position += 1
            yield batch
        self.over = True

    def _generator(self) -> Generator:
        """What to draw from: the loader's generator, or a copy of it."""
        found = source(self.loader.generator)
        if not self.shared:
            state, found = found.state_dict(), Generator(0)
            found.load_state_dict(state)
        return found

    def _begin(self, own: Generator) -> None:
        """The present epoch, from its batch ``position`` on."""
        self.own, self.over = own, False
        samplers = [generator.state_dict() for generator in self._samplers()]
        self.start = own.state_dict() | ({"samplers": samplers} if samplers else {})
        self.batches = self.loader.begin(own, self.position, whole=not self.shared)
        shared = source(self.loader.generator)
        if shared.seed == own.seed:  # who draws from it next shall not draw the same
            shared.counter = max(shared.counter, own.counter)

    def _samplers(self) -> list[Generator]:
        """The generators that a sampler has of its own."""
        sampler, batches = self.loader._given
        given = (sampler, batches, getattr(batches, "sampler", None))
        found = [getattr(part, "generator", None) for part in given]
        return [generator for generator in found if isinstance(generator, Generator)]

    def state_dict(self) -> dict[str, Any]:
        return {
            "epoch": self.epoch,
            "position": self.position,
            "start": self.start,
            "generator": source(self.loader.generator).state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state. Raises ArgumentError if it is none, or not one of such a loader."""
        if set(state) != STATE:
            raise ArgumentError(
                f"the state of Epochs has {', '.join(sorted(STATE))}, got {sorted(state)}"
            )
        start = dict(state["start"])
        samplers = start.pop("samplers", [])
        if len(samplers) != len(self._samplers()):
            raise ArgumentError(
                f"the state has {len(samplers)} generators of samplers, and the loader "
                f"{len(self._samplers())}; make the loader as it was"
            )
        batches = state["position"] and self._length()
        if batches is not None and state["position"] > batches:
            raise ArgumentError(
                f"the state was saved after batch {state['position']} of an epoch, and here it has "
                f"{batches}; make the loader as it was"
            )
        self.epoch, self.position, self.start = state["epoch"], state["position"], start
        self.batches, self.own = iter(()), None
        if start:
            for generator, saved in zip(self._samplers(), samplers, strict=True):
                generator.load_state_dict(saved)
            own = self._generator()
            own.load_state_dict(start)
            self._begin(own)
        source(self.loader.generator).load_state_dict(state["generator"])

    @staticmethod
    def suits(batches: Any) -> TypeGuard[DataLoader]:
        """Whether ``batches`` is a DataLoader whose order comes from our generators alone."""
        return (
            isinstance(batches, DataLoader)
            and type(batches).__iter__ is DataLoader.__iter__
            and all(map(_draws_from_ours, batches._given))
            and not batches._streams()
        )

    def _length(self) -> int | None:
        try:
            return len(self.loader)
        except TypeError:
            return None


def _draws_from_ours(sampler: Any) -> bool:
    """Whether a sampler draws from nothing but one of our generators."""
    if type(sampler) is BatchSampler:
        return _draws_from_ours(sampler.sampler)
    return sampler is None or type(sampler) in (*SAMPLERS, list, tuple, range)
