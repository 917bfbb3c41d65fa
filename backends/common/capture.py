"""What a captured step must not freeze: numbers of the host that change from step to step.

A CUDA graph replays launches with the arguments that they had. So what the host reckons anew in
each step (learning rate, count of steps, where random numbers begin) is read by kernels from the
device's memory, and written there before each replay, or the part of it that reads them: as
arguments of one small launch, which needs no copy and waits for nothing. The host's reckoning is
the same as without a graph, and so are the bits. What a step looks at is looked at again in
between.
"""

import struct
import weakref
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn

import numpy as np

from tinyxp import backends
from tinyxp.backends import Array
from tinyxp.backends.common.context import bound
from tinyxp.backends.cupy.launch import Library
from tinyxp.errors import CaptureError

LiveStep = Callable[[list[Array], list[Array]], list[Array]]

CAPACITY = 1024  # words that a step, or a part of it, may change
AT_ONCE = 16  # words that one launch of `write_words` takes

_capture: ContextVar["Capture | None"] = ContextVar("tinyxp_capture", default=None)
capturing = _capture.get  # the capture that goes on here, its trial runs included, or None


@dataclass(frozen=True)
class Counter:
    """Where random words begin in a captured step: ``offset`` blocks after the counter that lies
    at ``base``, two words of 64 bits. No number of the host's may be made of it."""

    base: Array
    offset: int

    def _refuse(self, *args: Any) -> NoReturn:
        raise CaptureError(
            "random numbers that the host draws (normal, permutation, randperm) cannot be captured,"
            " a replay would give the same ones; draw them outside and pass them as inputs"
        )

    __index__ = __int__ = __rshift__ = __add__ = __radd__ = _refuse


class Diverged(Exception):
    """A look at a value in a replay that is another one than when it was recorded."""


def too_late() -> CaptureError:
    """For a look after which no replay could turn back."""
    return CaptureError(
        "this step looks at a value after it has begun to change its parameters or buffers, so "
        "that no replay could turn back; look at it first, or outside"
    )


def looked(what: str) -> CaptureError:
    """For a look at numbers that are other ones each time."""
    return CaptureError(
        f"this step reads numbers out of a tensor ({what}), which a replay would not do again; do "
        "that outside, with what the step returns"
    )


def refuse_recording(what: str) -> None:
    """Raise CaptureError in a step that is recorded, for numbers that leave by ``what``."""
    capture = capturing()
    if capture is not None and capture.recording:
        raise looked(what)


def paused() -> AbstractContextManager[None]:
    """No part of a capture inside a ``with`` block."""
    return bound(_capture, None)


class Drawn:
    """What a step draws from one generator: ``blocks`` of random words, from ``begin`` on."""

    base: Array  # where the words of ``begin`` lie, if on a device

    def __init__(self, generator: Any, begin: int) -> None:
        self.generator, self.begin, self.blocks = generator, begin, 0
        self.seed = generator.seed

    def advance(self) -> None:
        """Begin where the generator is, which goes on to the step after."""
        self.begin = self.generator.counter
        self.generator.counter += self.blocks


class Capture:
    """One capture of a step.

    First the step is tried out (``recording`` is False): what changes state says how to bring it
    back, by ``keep``. Then it is recorded.
    """

    recording = False

    def __init__(self) -> None:
        self.undo: dict[int, tuple[Any, Callable[[], None]]] = {}  # by the id of whose state it is
        self.changed: dict[Any, None] = {}  # tensors that optimizers change, in their order
        self.drawn: dict[int, Drawn] = {}  # by the id of a generator
        self.conditions: list[Callable[[], bool]] = []  # without which there is no replay

    def active(self) -> AbstractContextManager[None]:
        """Make this the capture that ``capturing()`` returns."""
        return bound(_capture, self)

    def keep(
        self, owner: Any, state: Callable[[], Callable[[], None]], tensors: Iterable[Any] = ()
    ) -> None:
        """Before ``owner`` changes its state, and ``tensors``: ``state()`` returns what brings the
        state back to now."""
        self.changed.update(dict.fromkeys(tensors))
        if id(owner) not in self.undo:
            self.undo[id(owner)] = owner, state()

    def rewind(self) -> None:
        """Bring all such state back; it may be done more than once."""
        for _, back in self.undo.values():
            back()

    def require(self, condition: Callable[[], bool]) -> None:
        """Have replays only where ``condition()`` holds."""
        self.conditions.append(condition)

    def source(self, array: Array) -> Array:
        """An array of the user's, of which a tensor is made: replays read it again, where they
        can."""
        return array

    def live(
        self, places: list[Array], gradients: list[Array], step: LiveStep, copied: bool
    ) -> None:
        """Have an optimizer run as it is in each replay: ``step(data, gradients)``, of copies where
        it might keep them, returns the new data, which go into ``places``."""
        raise NotImplementedError

    def numbers(self, count: int, reckon: Callable[[], list[float]]) -> Array:
        """An array with the ``count`` float64 numbers of ``reckon()``, called in each replay."""
        raise NotImplementedError

    def counter(self, generator: Any, start: int) -> Any:
        """What stands for the counter of a generator, which now is ``start``, in each replay."""
        raise NotImplementedError

    def finish(self) -> None:
        """When all is recorded: generators go back to where they were."""
        for drawn in self.drawn.values():
            drawn.blocks = drawn.generator.counter - drawn.begin
            drawn.generator.counter = drawn.begin

    def turn_back(self) -> None:
        """After a replay that diverged: what it drew is not drawn."""
        for drawn in self.drawn.values():
            drawn.generator.counter = drawn.begin


def given(arrays: list[Array], copied: bool) -> list[Array]:
    """Arrays of a recording for somebody outside."""
    return [x.copy() for x in arrays] if copied else arrays


class Recording:
    """What a step did, to be done again; ``run`` and then ``record`` run the step."""

    backend: str  # its name
    exact = False  # whether a replay can be held against the step, bit by bit

    def run(self, f: Callable[[], Any]) -> Any:
        """``f()``, as it will be recorded."""
        raise NotImplementedError

    def first(self, f: Callable[[], Any]) -> Any:
        """``f()`` for the first time, with the errors that it has by itself."""
        return self.run(f)

    def place(self, array: Array) -> Array:
        """A copy that stays where it is, for the recording to read and write."""
        return backends.get(self.backend).xp.asarray(array, copy=True)

    def external(self, array: Array) -> tuple[Array, Any]:
        """What stands in a recording for an array from outside that it only reads, and a handle
        for ``bind``."""
        place = self.place(array)
        return place, place

    def bind(self, handle: Any, array: Array) -> None:
        """Have replays read ``array``, of the same shape and dtype, in the place of that one."""
        self.copy([handle], [array])

    def lasting(self, array: Array) -> Array:
        """What of the recording is used from outside, before ``settled``: an array whose memory is
        that of ``array``, or of its own where that may change."""
        return array

    def settled(self, array: Array) -> Array:
        """What of the recording is used from outside; it stays where it is."""
        return array

    def close(self) -> None:
        """When all that is used from outside is settled."""

    def keep(self, arrays: list[Array]) -> None:
        """Hold arrays: launches read some where they lie, even if nobody else needs these."""
        self.kept = arrays

    def copy(self, to: list[Array], values: list[Array]) -> None:
        """Write values into arrays, in a recording or outside."""
        raise NotImplementedError

    def cut(self, call: Callable[[], None]) -> None:
        """Have a replay call this between what was recorded so far and what comes after."""
        raise NotImplementedError


class Words:
    """Numbers of 64 bits in a GPU's memory, which the host writes anew for each replay."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.array = library.xp.empty((CAPACITY,), dtype=library.xp.int64)
        self.writers: list[Callable[[], list[int]]] = []
        self.used = 0

    def slot(self, count: int, write: Callable[[], list[int]]) -> Array:
        """A place for ``count`` words, those that ``write()`` returns."""
        first, self.used = self.used, self.used + count
        if self.used > CAPACITY:
            raise CaptureError(
                f"a captured step may change {CAPACITY} numbers, this one has more; put the "
                "parameters into fewer groups"
            )
        self.writers.append(write)
        return self.array[first : self.used]

    def refresh(self) -> None:
        """Write them, of the step that comes next, which the host counts as done."""
        words = [word for write in self.writers for word in write()]
        for first in range(0, len(words), AT_ONCE):
            some = words[first : first + AT_ONCE]
            to, padding = self.array[first : first + len(some)], [0] * (AT_ONCE - len(some))
            self.library.launch(
                "write_words", (1,), (1,), (to, len(some), *some, *padding), "float32"
            )


class DeviceCapture(Capture):
    """The capture of a recording whose numbers lie in a GPU's memory. ``counters.refresh`` comes
    before every replay, ``reckoned.refresh`` before the part that was recorded when it was made.
    ``outside`` is a context in which memory is no part of the graph."""

    def __init__(
        self,
        recording: Recording,
        library: Library,
        outside: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        super().__init__()
        self.library, self.outside = library, outside
        # no circle, in which a graph's memory would wait for the collector
        self.of = weakref.proxy(recording)
        self.counters, self.reckoned = Words(library), Words(library)
        self.constants: list[tuple[Array, Any]] = []
        self.answers: list[Any] = []  # to the looks of a trial run, in their order
        self.looks = 0  # of the run that goes on
        self.changed_places = False

    def active(self) -> AbstractContextManager[None]:
        self.looks = 0
        return super().active()

    def numbers(self, count: int, reckon: Callable[[], list[float]]) -> Array:
        self.changed_places |= self.recording  # by whoever asks for them
        return self.reckoned.slot(count, lambda: [_bits(x) for x in reckon()])

    def counter(self, generator: Any, start: int) -> Counter:
        drawn = self.drawn.get(id(generator))
        if drawn is None:
            drawn = self.drawn[id(generator)] = Drawn(generator, start)
            drawn.base = self.counters.slot(2, partial(_begin, drawn))
        return Counter(drawn.base, start - drawn.begin)

    def live(
        self, places: list[Array], gradients: list[Array], step: LiveStep, copied: bool
    ) -> None:
        def call() -> None:
            self.of.copy(places, step(given(places, copied), given(gradients, copied)))

        self.changed_places = True
        self._cut(call)

    def look(self, array: Array, read: Callable[[Array], Any]) -> Any:
        """``read(array)``, NumPy's array of the same numbers: booleans or whole ones, which a
        replay looks at again, and turns back where they are others."""
        if array.dtype.kind not in "biu":
            raise looked(f"{array.dtype.name} of shape {tuple(array.shape)}")
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
            self.reckoned = Words(self.library)

    def constant(self, host: Any) -> Array:
        """An array with the numbers of ``host``, which come into it when all is recorded."""
        with self.outside():  # else the graph would write over it
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

    def replay(self) -> bool:
        """Do what was recorded once more; waits for nothing but what the step looks at. False, and
        nothing changed, where the step would now go another way."""
        self.capture.counters.refresh()
        try:
            for part in self.parts:
                part()
        except Diverged:
            self.capture.turn_back()
            return False
        return True


def _begin(drawn: Drawn) -> list[int]:
    """The words of the counter with which the next step begins."""
    if drawn.generator.seed != drawn.seed:
        raise CaptureError(
            f"a generator was captured with the seed {drawn.seed}, and now has "
            f"{drawn.generator.seed}; make the graph again"
        )
    drawn.advance()
    return [_signed(drawn.begin & (1 << 64) - 1), _signed(drawn.begin >> 64 & (1 << 64) - 1)]


def _bits(x: float) -> int:
    """The bits of a float64 as a whole number, which a launch passes on as they are."""
    return int(struct.unpack("<q", struct.pack("<d", x))[0])


def _signed(word: int) -> int:
    return int(np.uint64(word).astype(np.int64))
