"""Epochs of a DataLoader that can be saved in the middle and continued."""

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
    an epoch and continues there with the same order and the same random numbers.

    It copies the loader's generator when the first batch is requested and then draws from the copy,
    so other passes over the loader, as for an evaluation, do not matter. The state of a sampler's
    own generator is saved, too. For an iterable dataset the earlier batches are made again. With
    ``shared`` it draws from the loader's generator itself, as a loop over the loader does.

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
        self.epoch, self.position = 0, 0  # batches so far in the present epoch
        self.start: dict[str, Any] = {}  # states of generators before the order was drawn
        self.batches: Iterator[Any] = iter(())
        self.own: Generator | None = None
        self.over = False  # whether the present epoch has ended

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        for batch in self.rest():
            return batch
        if not self.position:
            raise StopIteration  # an epoch without batches
        return next(self)

    def rest(self) -> Iterator[Any]:
        """The remaining batches of the present epoch, or those of the next one if it is over."""
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
                self.position += 1  # a batch that fails counts, too
                raise
            self.position += 1
            yield batch
        self.over = True

    def _generator(self) -> Generator:
        """The generator to draw from: the loader's, or a copy of it."""
        found = source(self.loader.generator)
        if not self.shared:
            state, found = found.state_dict(), Generator(0)
            found.load_state_dict(state)
        return found

    def _begin(self, own: Generator) -> None:
        """Start the present epoch at its batch ``position``."""
        self.own, self.over = own, False
        samplers = [generator.state_dict() for generator in self._samplers()]
        self.start = own.state_dict() | ({"samplers": samplers} if samplers else {})
        self.batches = self.loader.begin(own, self.position, whole=not self.shared)
        shared = source(self.loader.generator)
        if shared.seed == own.seed:  # later draws from it must differ
            shared.counter = max(shared.counter, own.counter)

    def _samplers(self) -> list[Generator]:
        """The samplers' own generators."""
        sampler, batches = self.loader._samplers
        samplers = (sampler, batches, getattr(batches, "sampler", None))
        generators = [getattr(part, "generator", None) for part in samplers]
        return [generator for generator in generators if isinstance(generator, Generator)]

    def state_dict(self) -> dict[str, Any]:
        return {
            "epoch": self.epoch,
            "position": self.position,
            "start": self.start,
            "generator": source(self.loader.generator).state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state. Raises ArgumentError unless it fits this loader."""
        if set(state) != STATE:
            raise ArgumentError(
                f"the state of Epochs has {', '.join(sorted(STATE))}, got {sorted(state)}"
            )
        start = dict(state["start"])
        samplers = start.pop("samplers", [])
        if len(samplers) != len(self._samplers()):
            raise ArgumentError(
                f"expected {len(self._samplers())} generators of samplers, got a state with "
                f"{len(samplers)}; make the loader as it was"
            )
        batches = state["position"] and length_of(self.loader)
        if batches is not None and state["position"] > batches:
            raise ArgumentError(
                f"expected a state within an epoch of {batches} batches, got one after batch "
                f"{state['position']}; make the loader as it was"
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
        """Whether ``batches`` is a DataLoader whose order depends only on our generators."""
        return (
            isinstance(batches, DataLoader)
            and type(batches).__iter__ is DataLoader.__iter__
            and all(map(_draws_from_ours, batches._samplers))
            and not batches._streams()
        )


def length_of(batches: Any) -> int | None:
    """The number of batches, if it is known."""
    try:
        return len(batches)
    except TypeError:
        return None


def _draws_from_ours(sampler: Any) -> bool:
    """Whether a sampler draws only from our generators."""
    if type(sampler) is BatchSampler:
        return _draws_from_ours(sampler.sampler)
    return sampler is None or type(sampler) in (*SAMPLERS, list, tuple, range)
