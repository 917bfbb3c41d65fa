"""What a backend offers to ``tx.capture``: a Capture, the hooks of a step that is captured, and a
Recording, what was captured and is replayed.

A replay repeats calls or launches with the arguments that they had. Numbers that the host computes
anew in each step (learning rate, count of steps, where random numbers begin) must not be among
these: a Capture has them computed in each replay, by the code that computes them in a step, so that
the bits are the same.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from typing import Any

from tinyxp.backends.common.context import bound
from tinyxp.errors import CaptureError

Array = Any
Update = Callable[[list[Array], list[Array]], list[Array]]  # new data, from data and gradients

_capture: ContextVar["Capture | None"] = ContextVar("tinyxp_capture", default=None)
capturing = _capture.get  # the capture of the step that runs here, trial runs included, or None


class Diverged(Exception):
    """A replay looked at a value that differs from the recorded one."""


def too_late() -> CaptureError:
    """The error for a look at a value when no replay could turn back any more."""
    return CaptureError(
        "this step looks at a value after it has begun to change its parameters or buffers, so "
        "that no replay could turn back; look at it first, or outside"
    )


def reads_numbers(what: str) -> CaptureError:
    """The error for a look at numbers that differ in each step."""
    return CaptureError(
        f"this step reads numbers out of a tensor ({what}), which a replay would not do again; do "
        "that outside, with the results of the step"
    )


def refuse_recording(what: str) -> None:
    """Raise CaptureError if a step is being recorded: numbers leave it by ``what``."""
    if is_recording():
        raise reads_numbers(what)


def is_recording() -> bool:
    """Whether a step is being recorded here, and not only tried."""
    capture = capturing()
    return capture is not None and capture.recording


def no_capture() -> AbstractContextManager[None]:
    """A ``with`` block whose code is no part of a captured step."""
    return bound(_capture, None)


class Draws:
    """What a step draws from one generator: ``blocks`` of random words, from ``begin`` on."""

    def __init__(self, generator: Any, begin: int) -> None:
        self.generator, self.begin, self.blocks = generator, begin, 0
        self.seed = generator.seed

    def advance(self) -> None:
        """Draw these words of the next step."""
        self.begin = self.generator.counter
        self.generator.counter += self.blocks

    def turn_back(self) -> None:
        """Draw nothing."""
        self.generator.counter = self.begin


class Capture(ABC):
    """The capture of one step, which is first tried (``recording`` is False) and then recorded.

    Whatever changes its own state in a step calls ``keep`` before, so that trials leave no trace.
    """

    recording = False

    def __init__(self) -> None:
        self.undo: dict[int, tuple[Any, Callable[[], None]]] = {}  # by the id of whose state it is
        self.changed: dict[Any, None] = {}  # tensors that optimizers change, in their order
        self.draws: dict[int, Draws] = {}  # by the id of a generator
        self.conditions: list[Callable[[], bool]] = []  # without which there is no replay

    def active(self) -> AbstractContextManager[None]:
        """Make this the capture that ``capturing()`` returns."""
        return bound(_capture, self)

    def keep(
        self, owner: Any, state: Callable[[], Callable[[], None]], tensors: Iterable[Any] = ()
    ) -> None:
        """To be called before ``owner`` changes its state, and ``tensors``: ``state()`` returns a
        function that restores the state as it is now."""
        self.changed.update(dict.fromkeys(tensors))
        if id(owner) not in self.undo:
            self.undo[id(owner)] = owner, state()

    def rewind(self) -> None:
        """Restore all such state; this may be done more than once."""
        for _, restore in self.undo.values():
            restore()

    def require(self, condition: Callable[[], bool]) -> None:
        """Replay only where ``condition()`` holds."""
        self.conditions.append(condition)

    def source(self, array: Array) -> Array:
        """The array for a tensor made of the user's; replays read that again if they can."""
        return array

    def state(self, arrays: list[Array]) -> list[Array]:
        """The arrays of an optimizer's state, for calls that are recorded to change."""
        return arrays

    @abstractmethod
    def call_update(
        self, places: list[Array], gradients: list[Array], update: Update, copied: bool
    ) -> None:
        """Call ``update(data, gradients)`` of an optimizer in each replay, and write the new data
        it returns to ``places``. It gets copies if ``copied``, because it may keep them."""

    @abstractmethod
    def numbers(self, count: int, compute: Callable[[], list[float]]) -> Array:
        """An array with the ``count`` float64 numbers of ``compute()``, called in each replay."""

    @abstractmethod
    def counter(self, generator: Any, start: int) -> Any:
        """What stands in each replay for the counter of a generator, which now is ``start``."""

    def finish(self) -> None:
        """Put generators back to where they were, when all is recorded."""
        for draws in self.draws.values():
            draws.blocks = draws.generator.counter - draws.begin
            draws.turn_back()

    def turn_back(self) -> None:
        """Undo what a replay drew that diverged."""
        for draws in self.draws.values():
            draws.turn_back()


class Recording(ABC):
    """What a step did, to be done again; ``run`` and then ``record`` run the step."""

    capture: Capture
    exact = False  # whether the bits of a replay can be compared with those of the step

    @abstractmethod
    def run(self, f: Callable[[], Any]) -> Any:
        """``f()``, as it will be recorded."""

    def first(self, f: Callable[[], Any]) -> Any:
        """``f()`` for the first time, with the errors that it raises outside of a capture."""
        return self.run(f)

    @abstractmethod
    def record(self, f: Callable[[], Any]) -> Any:
        """What ``f()`` returns, everything that it computes recorded. Raises CaptureError."""

    @abstractmethod
    def replay(self) -> bool:
        """Do what was recorded once more; False, with nothing changed, for another branch."""

    def restoring(self) -> AbstractContextManager[None]:
        """A ``with`` block that restores what replays inside change; needed if ``exact``."""
        return nullcontext()

    @abstractmethod
    def place(self, array: Array) -> Array:
        """A copy that stays where it is, for the recording to read and write."""

    def external(self, array: Array) -> tuple[Array, Any]:
        """A place for an array from outside that is only read, and a handle for ``bind``."""
        place = self.place(array)
        return place, place

    def bind(self, handle: Any, array: Array) -> None:
        """Read ``array``, of the same shape and dtype, in place of that one."""
        self.copy([handle], [array])

    def lasting(self, array: Array) -> Array:
        """While recording, an array that may be used outside: ``array``, or a copy where replays
        may read another one."""
        return array

    def final(self, array: Array) -> Array:
        """After recording, the array at the place where replays leave it."""
        return array

    def close(self, arrays: list[Array]) -> None:
        """End the recording. ``arrays`` are read where they lie, and must stay alive."""
        self.held = arrays

    @abstractmethod
    def copy(self, to: list[Array], values: list[Array]) -> None:
        """Write values into arrays, inside a recording or outside."""
