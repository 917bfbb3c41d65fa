"""The batches of training, pass after pass, and how many steps they give."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from tinyxp.data import Epochs
from tinyxp.data.windows import RandomWindows
from tinyxp.errors import DataError

ENDLESS = (Epochs, RandomWindows)
END = object()


class Passes:
    """``batches`` once, and again until ``epochs`` passes are done, or without end; those count
    that were done ``before``, over these batches or others, with their steps.

    An iterator can be run through once only: ``used_up`` says that it ended before its time.

    >>> passes = Passes(["a", "b"], epochs=2)
    >>> list(passes), passes.done
    (['a', 'b', 'a', 'b'], 2)
    """

    def __init__(
        self, batches: Iterable[Any], epochs: int | None, before: tuple[int, int] = (0, 0)
    ) -> None:
        self.batches, self.epochs = batches, epochs
        self.before, self.steps_before = before
        # a loader's place in a pass can be saved; it draws as in a loop by hand
        self.place = Epochs(batches, shared=True) if Epochs.suits(batches) else None
        self.taken = 0  # batches
        self.ended = 0  # passes that were gone through to their end
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
                    "fit got no batch at all: there is none, or all are used up; a DataLoader with "
                    "drop_last=True has none if batch_size is larger than the data"
                )
            self.ended += 1
            if once:
                self.used_up = self.left is None or self.ended < self.left
                return

    def size(self, accumulate: int) -> int | None:
        """How many batches the next step takes; None if nobody knows."""
        if self.left is None:
            return accumulate
        if not self.length:
            return None
        return max(0, min(accumulate, self.left * self.length - self.taken))

    def group(
        self, source: Iterator[Any], accumulate: int, at_once: bool, look: Callable[[Any], None]
    ) -> "Sequence[Any] | Group":
        """The batches of the next step; none at the end. A graph takes all of them at once."""
        size = self.size(accumulate)
        if size is not None and not at_once:
            group = Group(source, size, look)
            next(iter(group), None)  # which ends here, if there is none
            return group
        batches = list(islice(source, accumulate))
        for batch in batches:
            look(batch)
        return batches

    @property
    def left(self) -> int | None:
        """The passes through these batches that are asked for."""
        return None if self.epochs is None else self.epochs - self.before

    def over(self) -> bool:
        """Whether the passes that are asked for are done."""
        return self.epochs is not None and self.done is not None and self.done >= self.epochs

    @property
    def length(self) -> int | None:
        """The batches of a pass, if they can be counted."""
        try:
            return len(self.batches)  # type: ignore[arg-type]
        except TypeError:
            return None

    @property
    def done(self) -> int | None:
        """The passes that were completed in all; None for batches without an end."""
        if isinstance(self.batches, ENDLESS):
            return None
        ended = max(self.ended, self.taken // self.length) if self.length else self.ended
        return self.before + ended

    def steps(self, accumulate: int) -> int | None:
        """The steps of all passes together, if that is known."""
        if self.left is None or not self.length:
            return None
        return self.steps_before - (-self.left * self.length // accumulate)


class Group:
    """The batches of one step, of which each is taken when it is asked for, after the step has
    computed with those before: so their random numbers come in the order of a loop by hand."""

    def __init__(self, source: Iterator[Any], size: int, look: Callable[[Any], None]) -> None:
        self.source, self.size, self.look = source, size, look
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
            self.look(batch)
            yield batch


@dataclass(frozen=True)
class Summary:
    """What ``Trainer.fit`` did: all steps and passes so far, the last loss and validation loss
    (None if there was none), the seconds that it took, and why it ended.

    >>> print(Summary(14, 2, 0.25, None, 3.21, "2 epochs done"))
    14 steps, 2 epochs in 3.2 s: loss 0.25; 2 epochs done
    """

    steps: int
    epochs: int | None
    loss: float | None
    validation: float | None
    seconds: float
    ended: str

    def __str__(self) -> str:
        passes = "" if self.epochs is None else f", {many(self.epochs, 'epoch')}"
        losses = [f"loss {self.loss:.4g}"] if self.loss is not None else []
        if self.validation is not None:
            losses.append(f"validation loss {self.validation:.4g}")
        found = f": {', '.join(losses)}" if losses else ""
        return f"{many(self.steps, 'step')}{passes} in {self.seconds:.1f} s{found}; {self.ended}"


def many(n: int | None, what: str) -> str:
    """``many(2, "step")`` is "2 steps"."""
    return f"{n} {what}{'' if n == 1 else 's'}"
