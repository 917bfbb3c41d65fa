"""The batches of training: repeated passes over them, and the groups that steps take."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from tinyxp.data.epochs import Epochs, length_of
from tinyxp.data.windows import RandomWindows
from tinyxp.errors import DataError

ENDLESS = (Epochs, RandomWindows)
END = object()


class Passes:
    """``batches``, repeated until ``epochs`` passes are done, or without end. ``before`` holds the
    passes and steps that were done earlier; they count.

    An iterator allows one pass only: ``used_up`` says that it ended too early.

    >>> passes = Passes(["a", "b"], epochs=2)
    >>> list(passes), passes.done
    (['a', 'b', 'a', 'b'], 2)
    """

    def __init__(
        self, batches: Iterable[Any], epochs: int | None, before: tuple[int, int] = (0, 0)
    ) -> None:
        self.batches, self.epochs = batches, epochs
        self.before, self.steps_before = before
        # a DataLoader's place within a pass can be saved; it draws as in a loop by hand
        self.place = Epochs(batches, shared=True) if Epochs.suits(batches) else None
        self.taken = 0  # batches
        self.ended = 0  # completed passes
        self.used_up = False

    def __iter__(self) -> Iterator[Any]:
        once = isinstance(self.batches, Iterator)
        while self.left is None or self.ended < self.left:
            before = self.taken
            for batch in self.batches if self.place is None else self.place.rest():
                self.taken += 1
                yield batch
            empty = self.taken == before and not (self.place and self.place.position)
            if empty and not (once and self.taken):
                raise DataError(
                    "fit got no batches: they are empty or used up; a DataLoader with "
                    "drop_last=True is empty if batch_size is larger than the data"
                )
            self.ended += 1
            if once:
                self.used_up = self.left is None or self.ended < self.left
                return

    def group(
        self, source: Iterator[Any], accumulate: int, at_once: bool, check: Callable[[Any], None]
    ) -> "Sequence[Any] | Group":
        """The batches of the next step, each after ``check(batch)``; none at the end. A captured
        step needs all of them ``at_once``."""
        size: int | None = accumulate  # of the group; None: unknown
        if self.left is not None:
            left = self.left * self.length - self.taken if self.length else None
            size = None if left is None else max(0, min(accumulate, left))
        if size is not None and not at_once:
            group = Group(source, size, check)
            next(iter(group), None)  # sets its size to 0 at the end
            return group
        batches = list(islice(source, accumulate))
        for batch in batches:
            check(batch)
        return batches

    @property
    def left(self) -> int | None:
        """How many passes over these batches were asked for."""
        return None if self.epochs is None else self.epochs - self.before

    def over(self) -> bool:
        """Whether all passes that were asked for are done."""
        return self.epochs is not None and self.done is not None and self.done >= self.epochs

    @property
    def length(self) -> int | None:
        """The number of batches of a pass, if it is known."""
        return length_of(self.batches)

    @property
    def done(self) -> int | None:
        """The completed passes, earlier ones included; None for endless batches."""
        if isinstance(self.batches, ENDLESS):
            return None
        ended = max(self.ended, self.taken // self.length) if self.length else self.ended
        return self.before + ended

    def steps(self, accumulate: int) -> int | None:
        """The steps of all passes together, earlier ones included, if that is known."""
        if self.left is None or not self.length:
            return None
        return self.steps_before - (-self.left * self.length // accumulate)


class Group:
    """The batches of one step. Each is taken after the step has used those before it, so random
    numbers are drawn in the order of a loop written by hand."""

    def __init__(self, source: Iterator[Any], size: int, check: Callable[[Any], None]) -> None:
        self.source, self.size, self.check = source, size, check
        self.taken: list[Any] = []

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[Any]:
        yield from self.taken
        while len(self.taken) < self.size:
            batch = next(self.source, END)
            if batch is END:
                if not self.taken:
                    self.size = 0
                    return
                raise DataError(
                    f"the batches ended within a step, after {len(self.taken)} of {self.size}"
                )
            self.taken.append(batch)
            self.check(batch)
            yield batch
