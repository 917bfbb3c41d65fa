"""A step on NumPy, recorded call by call and replayed without the rest of its Python."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from tinyxp.backends import Array
from tinyxp.backends.common import capture
from tinyxp.backends.numpy.memory import orders
from tinyxp.backends.numpy.replay.plan import filled, numbers_in, planned
from tinyxp.backends.numpy.replay.trace import Call, Program, Together, plain, tracing, untraced
from tinyxp.backends.numpy.views import address, owner

BY_NAME = np.maximum, np.minimum  # where NumPy wants no more than operands by place
SMALL, FULL = 1 << 14, 1 << 16  # elements of a small place, and of memory for some of them


class Counter:
    """Where random words begin in a step: ``offset`` blocks after its first."""

    def __init__(self, drawn: capture.Drawn, offset: int) -> None:
        self.drawn, self.offset = drawn, offset

    def __index__(self) -> int:
        return self.drawn.begin + self.offset

    @property
    def seed(self) -> int:
        return int(self.drawn.generator.seed)


class HostCapture(capture.Capture):
    """The capture of a step on NumPy: what changes from step to step is computed where it is
    needed, as a call among the others."""

    def source(self, array: Array) -> Array:
        program = tracing()
        return program.place(array) if self.recording and program is not None else array

    def numbers(self, count: int, reckon: Callable[[], list[float]]) -> Array:
        program: Any = tracing()
        numbers = program.new(np.asarray(reckon()))
        program.append(partial(_write, reckon), (plain(numbers),), {}, [numbers])
        return numbers

    def counter(self, generator: Any, start: int) -> Counter:
        drawn = self.drawn.setdefault(id(generator), capture.Drawn(generator, start))
        return Counter(drawn, start - drawn.begin)

    def live(
        self, places: list[Array], gradients: list[Array], step: capture.LiveStep, copied: bool
    ) -> None:
        program: Any = tracing()

        def call(places: list[Array], gradients: list[Array]) -> None:
            new = step(capture.given(places, copied), capture.given(gradients, copied))
            for place, x in zip(places, new, strict=True):
                place[...] = x

        arguments = plain(places), plain(gradients)
        with untraced(), capture.paused():
            call(*arguments)
        program.append(call, arguments, {}, places)

    def seen(self, arrays: list[Array]) -> list[Array]:
        """Arrays of a state that is not the step's own, which calls now change."""
        program: Any = tracing()
        program.changed = True
        return [program.place(array) for array in arrays]


def _ready(f: Callable[..., Any], args: Any, options: Any) -> Callable[[], Any]:
    """A call as NumPy takes it fastest: by place, an argument costs half a microsecond less."""
    if isinstance(f, Together):
        return partial(f, *[[_ready(*call) for call in part] for part in args])
    names, ufunc = options.keys(), getattr(f, "__self__", None)
    if isinstance(f, np.ufunc) and names == {"out"} and f.nout == 1 and f not in BY_NAME:
        return partial(f, *args, options["out"])
    if isinstance(ufunc, np.ufunc) and f.__name__ == "reduce" and len(args) == 1:
        rest = {"axis": 0, "dtype": None, "out": None, "keepdims": False} | options
        if len(rest) == 4 or (len(rest) == 5 and rest.pop("where", None) is True):
            return partial(f, *args, *rest.values())
    return partial(f, *args, **options)


def _write(reckon: Callable[[], list[float]], numbers: Array) -> None:
    numbers[:] = reckon()


def room_for(array: Array) -> tuple[Array, int]:
    """Memory for an array with the very strides of ``array``, and where its first element is."""
    steps = [(n - 1) * s for n, s in zip(array.shape, array.strides, strict=True) if n]
    begin = -sum(step for step in steps if step < 0)
    size = begin + sum(step for step in steps if step > 0) + array.itemsize
    return np.empty(size, np.uint8), begin


class _Interface:
    """What NumPy makes an array of whose owner is itself, and not that of ``array``."""

    def __init__(self, array: Array) -> None:
        self.array, self.__array_interface__ = array, array.__array_interface__


class Lent:
    """An array from outside that calls read where it lies, or a copy with its strides where it does
    not lie in one piece."""

    def __init__(self, array: Array) -> None:
        self.array, self.begin = array, 0
        inner = array.transpose(orders(array.strides)[0])
        self.copied = not inner.flags.c_contiguous
        if self.copied:
            self.memory, self.begin = room_for(array)
        else:
            self.memory = np.asarray(_Interface(inner.reshape(-1).view(np.uint8)))
        self.refresh()

    def whole(self) -> Array:
        """The array in its memory."""
        x = self.array
        return np.ndarray(x.shape, x.dtype, self.memory, self.begin, x.strides)

    def refresh(self) -> None:
        """Read once more what had to be copied."""
        if self.copied:
            np.copyto(self.whole(), self.array)


class Trial(Program):
    """A step that is traced for its bits alone, which those of a recording shall be."""

    def append(self, *call: Any) -> None:
        """Forget it."""

    def ask(self, question: Callable[[Any], Any], array: Any) -> Any:
        return question(array)

    def side_by_side(self, pool: Any, functions: Iterable[Callable[[], Any]]) -> list[Any]:
        return [f() for f in functions]


class Recording(capture.Recording):
    """The calls of a step, as ``backends.cupy_graph.Recording`` is its launches."""

    backend = "numpy"
    exact = True

    def __init__(self) -> None:
        self.capture = HostCapture()
        self.program = Program()
        self.places: list[Array] = []
        self.room: dict[Any, Array] = {}  # for small places, by dtype
        self.calls: list[Callable[[], Any]] = []
        self.bytes = 0  # of memory between the calls
        self.harmless = 0  # so many calls come before the first that changes what outlives a replay
        self.lent: dict[int, Lent] = {}  # what calls read from outside, by the number of its memory
        self.open: list[tuple[int, Call]] = []  # these calls, with a Piece for each such array

    def place(self, array: Array) -> Array:
        """A copy that stays where it is, beside other small ones: an optimizer takes small
        parameters as one array."""
        array = plain(array)
        if not array.flags.c_contiguous:  # the order of sums follows the order in memory
            memory, begin = room_for(array)
            place = np.ndarray(array.shape, array.dtype, memory, begin, array.strides)
        elif array.size > SMALL:
            place = np.empty(array.shape, array.dtype)
        else:
            room = self.room.get(array.dtype)
            if room is None or room.size < array.size:
                room = np.empty(FULL, array.dtype)
            place, self.room[array.dtype] = room[: array.size], room[array.size :]
            place = place.reshape(array.shape)
        place[...] = array
        self.places.append(place)
        return self.program.place(place)

    def external(self, array: Array) -> tuple[Array, int]:
        lent = Lent(plain(array))
        self.program.number(lent.memory)
        number = self.program.numbers[id(lent.memory)]
        self.lent[number] = lent
        return self.program.place(lent.whole()), number

    def bind(self, handle: int, array: Array) -> None:
        self.lent[handle] = Lent(array)
        for i, call in self.open:
            if handle in numbers_in(call[1:]):
                self.calls[i] = _ready(*self._closed(call))

    def _closed(self, call: Call) -> Call:
        """A call with arrays in place of the pieces of lent memory."""
        f, args, options = call
        places = {number: lent.memory for number, lent in self.lent.items()}
        return f, filled(args, places), filled(options, places)

    def first(self, f: Callable[[], Any]) -> Any:
        with self.capture.active():  # not traced
            return f()

    def run(self, f: Callable[[], Any]) -> Any:
        with Trial().active(), self.capture.active():
            return f()

    def record(self, f: Callable[[], Any]) -> Any:
        """What ``f()`` returns, its calls written down."""
        self.capture.recording = True
        try:
            with self.rewound(), self.program.active(), self.capture.active():
                value = f()
                self.capture.finish()
                return value
        finally:
            self.capture.recording = False

    @contextmanager
    def rewound(self) -> Iterator[None]:
        """Bring back what a step inside changes."""
        before = [place.copy() for place in self.places]
        try:
            yield
        finally:
            for place, values in zip(self.places, before, strict=True):
                place[...] = values
            self.capture.rewind()

    def lasting(self, array: Array) -> Array:
        lent = any(owner(array) is other.memory for other in self.lent.values())
        return array.copy() if lent else array

    def settled(self, array: Array) -> Array:
        if not isinstance(array, np.ndarray):
            return array
        whole = owner(self.program.place(array))
        form, other = [(x.shape, x.strides, x.dtype, address(x)) for x in (whole, array)]
        return whole if form == other else plain(array)

    def close(self) -> None:
        program = self.program
        sizes = dict(enumerate(program.sizes))
        calls, self.bytes = planned(program.calls, sizes, program.kept, self.lent.keys())
        self.harmless = len(calls) if program.harmless is None else program.harmless
        self.open = [(i, call) for i, call in enumerate(calls) if numbers_in(call[1:])]
        self.calls = [_ready(*self._closed(call)) for call in calls]
        program.calls.clear()

    def keep(self, arrays: list[Array]) -> None:
        """The calls hold what they read."""

    def copy(self, to: list[Array], values: list[Array]) -> None:
        for array, value in zip(to, values, strict=True):
            # in a recording a value may be a view of its place, changed there
            if not self.capture.recording or address(array) != address(value):
                np.copyto(array, value)

    def replay(self) -> bool:
        """Do what was recorded once more; False, and nothing done, where the step would now go
        another way."""
        for drawn in self.capture.drawn.values():
            drawn.advance()
        for lent in self.lent.values():
            lent.refresh()
        calls = iter(self.calls)
        with np.errstate(all="ignore"):  # the step warned when it was recorded
            try:
                for call in islice(calls, self.harmless):
                    call()
            except Exception:  # which the step raises itself, or Diverged
                self.capture.turn_back()
                return False
            for call in calls:
                call()
        return True
