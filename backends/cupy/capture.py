"""The numbers of a captured step that change from step to step, in a GPU's memory.

A CUDA graph replays launches with the arguments that they had. So kernels read such numbers from
memory, and before each replay, or the part of it that reads them, the host writes them there: as
arguments of one small launch, which needs no copy and waits for nothing. Values that the step looks
at are looked at again between two parts.
"""

import struct
import weakref
from abc import abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn

import numpy as np

from tinyxp.backends import Array
from tinyxp.backends.common.capture import (
    Capture,
    Diverged,
    Draws,
    Recording,
    Update,
    reads_numbers,
    too_late,
)
from tinyxp.backends.common.philox import dropout_threshold, words_of
from tinyxp.backends.cupy.launch import Library
from tinyxp.errors import CaptureError

CAPACITY = 1024  # words that a step, or a part of it, may change
AT_ONCE = 16  # words that one launch of `write_words` takes


@dataclass(frozen=True)
class DeviceCounter:
    """Where random words begin in a captured step: ``offset`` blocks after the counter that lies
    at ``base``, two words of 64 bits. The host cannot compute with it."""

    base: Array
    offset: int

    def _refuse(self, *args: Any) -> NoReturn:
        raise CaptureError(
            "random numbers that the host draws (normal, permutation, randperm) cannot be captured,"
            " a replay would give the same ones; draw them outside and pass them as inputs"
        )

    __index__ = __int__ = __rshift__ = __add__ = __radd__ = _refuse


def philox_arguments(seed: int, counter: Any) -> tuple[Any, ...]:
    """The arguments PHILOX of a kernel: the words of a seed and of a counter; and, in a captured
    step, where the counter lies to which they are added.

    >>> philox_arguments(7, 2**64)
    (7, 0, 0, 0, 1, 0, None)
    """
    base = None
    if isinstance(counter, DeviceCounter):
        base, counter = counter.base, counter.offset
    return (*words_of(seed, 64), *words_of(counter, 128), base)


def dropout_arguments(seed: int, counter: Any, p: float) -> tuple[Any, ...]:
    """The arguments of a kernel with dropout: ``dropout_threshold``, and PHILOX."""
    return (*dropout_threshold(p), *philox_arguments(seed, counter))


class Words:
    """Numbers of 64 bits in a GPU's memory, which the host writes anew for each replay."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.array = library.xp.empty((CAPACITY,), dtype=library.xp.int64)
        self.writers: list[Callable[[], list[int]]] = []
        self.used = 0

    def slot(self, count: int, write: Callable[[], list[int]]) -> Array:
        """A place for the ``count`` words that ``write()`` returns."""
        first, self.used = self.used, self.used + count
        if self.used > CAPACITY:
            raise CaptureError(
                f"a captured step may change {CAPACITY} numbers, this one has more; put the "
                "parameters into fewer groups"
            )
        self.writers.append(write)
        return self.array[first : self.used]

    def refresh(self) -> None:
        """Write the words of the next step, which the host counts as done."""
        words = [word for write in self.writers for word in write()]
        for first in range(0, len(words), AT_ONCE):
            some = words[first : first + AT_ONCE]
            to, padding = self.array[first : first + len(some)], [0] * (AT_ONCE - len(some))
            self.library.launch(
                "write_words", (1,), (1,), (to, len(some), *some, *padding), "float32"
            )


class DeviceCapture(Capture):
    """The capture of a step on a GPU. ``counters.refresh`` comes before every replay,
    ``scalars.refresh`` before the part that was recorded when it was made. ``outside`` is a context
    whose memory is no part of the recording."""

    def __init__(
        self,
        recording: "DeviceRecording",
        library: Library,
        outside: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        super().__init__()
        self.library, self.outside = library, outside
        # a circle would leave the memory of the recording to the garbage collector
        self.of = weakref.proxy(recording)
        self.counters, self.scalars = Words(library), Words(library)
        self.bases: dict[int, Array] = {}  # where the counter of a generator lies, by its id
        self.constants: list[tuple[Array, Any]] = []
        self.answers: list[Any] = []  # to the looks of a trial run, in their order
        self.looks = 0  # of the current run
        self.changed_places = False

    def active(self) -> AbstractContextManager[None]:
        self.looks = 0
        return super().active()

    def numbers(self, count: int, compute: Callable[[], list[float]]) -> Array:
        self.changed_places |= self.recording  # by whoever asks for them
        # the bits of each float64 as a whole number, which a launch passes on unchanged
        words, numbers = struct.Struct(f"{count}q"), struct.Struct(f"{count}d")
        return self.scalars.slot(count, lambda: [*words.unpack(numbers.pack(*compute()))])

    def counter(self, generator: Any, start: int) -> DeviceCounter:
        draws = self.draws.get(id(generator))
        if draws is None:
            draws = self.draws[id(generator)] = Draws(generator, start)
            self.bases[id(generator)] = self.counters.slot(2, partial(_next_counter, draws))
        return DeviceCounter(self.bases[id(generator)], start - draws.begin)

    def call_update(
        self, places: list[Array], gradients: list[Array], update: Update, copied: bool
    ) -> None:
        def call() -> None:
            given = [[x.copy() for x in xs] if copied else xs for xs in (places, gradients)]
            self.of.copy(places, update(*given))

        self.changed_places = True
        self._cut(call)

    def look(self, array: Array, read: Callable[[Array], Any]) -> Any:
        """``read(array)``, NumPy's array of the same booleans or whole numbers. A replay looks at
        them again, and turns back where they differ."""
        if array.dtype.kind not in "biu":
            raise reads_numbers(f"{array.dtype.name} of shape {tuple(array.shape)}")
        k, self.looks = self.looks, self.looks + 1
        if not self.recording:  # the first trial begins as the recording will
            values = read(array)
            if k == len(self.answers):
                self.answers.append(values)
            return values
        if self.changed_places:
            raise too_late()
        answer = self.answers[k]

        def expect() -> None:
            if not np.array_equal(read(array), answer):
                raise Diverged

        self._cut(expect)
        return answer

    def _cut(self, call: Callable[[], None]) -> None:
        self.of.cut(call)
        with self.outside():
            self.scalars = Words(self.library)

    def constant(self, host: Any) -> Array:
        """An array that gets the numbers of ``host`` when all is recorded."""
        with self.outside():  # else a replay would write over it
            array = self.library.xp.empty(host.shape, dtype=host.dtype)
        self.constants.append((array, host))
        return array

    def finish(self) -> None:
        for array, host in self.constants:
            array[...] = self.library.xp.asarray(host)
        super().finish()


class DeviceRecording(Recording):
    """A recording in parts: what a device does by itself, and what the host does in between."""

    capture: DeviceCapture
    parts: list[Callable[[], Any]]

    @abstractmethod
    def cut(self, call: Callable[[], None]) -> None:
        """End a part; a replay calls ``call`` between it and the next."""

    def place(self, array: Array) -> Array:
        return self.capture.library.xp.array(array)

    def replay(self) -> bool:
        """Waits for nothing but what the step looks at."""
        self.capture.counters.refresh()
        try:
            for part in self.parts:
                part()
        except Diverged:
            self.capture.turn_back()
            return False
        return True


def _next_counter(draws: Draws) -> list[int]:
    """The words of the counter with which the next step begins."""
    if draws.generator.seed != draws.seed:
        raise CaptureError(
            f"a generator was captured with the seed {draws.seed}, and now has "
            f"{draws.generator.seed}; capture the step again"
        )
    draws.advance()
    return [*struct.unpack("<qq", (draws.begin % (1 << 128)).to_bytes(16, "little"))]
