"""A step on NumPy, recorded call by call and replayed without the rest of its Python."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from types import SimpleNamespace
from typing import Any

import numpy as np

from tinyxp.backends import Array
from tinyxp.backends.common.capture import Capture, Draws, Recording, Update, no_capture
from tinyxp.backends.numpy.memory import orders
from tinyxp.backends.numpy.replay.plan import fill, lay_out, numbers_in
from tinyxp.backends.numpy.replay.trace import Call, Program, SideBySide, no_tracing, plain, tracing
from tinyxp.backends.numpy.views import address, owner

BY_NAME = np.maximum, np.minimum  # they take ``out`` by name alone
SMALL, FULL = 1 << 14, 1 << 16  # elements of a small place, and of memory for some of them


class HostCounter:
    """Where random words begin in a step: ``offset`` blocks after its first."""

    def __init__(self, draws: Draws, offset: int) -> None:
        self.draws, self.offset = draws, offset

    def __index__(self) -> int:
        return self.draws.begin + self.offset

    @property
    def seed(self) -> int:
        return int(self.draws.generator.seed)


class HostCapture(Capture):
    """On NumPy, what changes from step to step is computed by a call among the others."""

    def source(self, array: Array) -> Array:
        program = tracing()
        return program.place(array) if self.recording and program is not None else array

    def numbers(self, count: int, compute: Callable[[], list[float]]) -> Array:
        def write(numbers: Array) -> None:
            numbers[:] = compute()

        program: Any = tracing()
        numbers = program.new(np.asarray(compute()))
        program.append(write, (plain(numbers),), {}, [numbers])
        return numbers

    def counter(self, generator: Any, start: int) -> HostCounter:
        draws = self.draws.setdefault(id(generator), Draws(generator, start))
        return HostCounter(draws, start - draws.begin)

    def call_update(
        self, places: list[Array], gradients: list[Array], update: Update, copied: bool
    ) -> None:
        program: Any = tracing()

        def call(*arrays: list[Array]) -> None:
            given = [[x.copy() for x in xs] if copied else xs for xs in arrays]
            for place, x in zip(arrays[0], update(*given), strict=True):
                place[...] = x

        arguments = plain(places), plain(gradients)
        with no_tracing(), no_capture():
            call(*arguments)
        program.append(call, arguments, {}, places)

    def state(self, arrays: list[Array]) -> list[Array]:
        program: Any = tracing()
        program.changed = True
        return [program.place(array) for array in arrays]


def fast_call(f: Callable[..., Any], args: Any, options: Any) -> Callable[[], Any]:
    """A call as NumPy takes it fastest: an argument by place costs half a microsecond less."""
    if isinstance(f, SideBySide):
        return partial(f, *[[fast_call(*call) for call in part] for part in args])
    names, ufunc = options.keys(), getattr(f, "__self__", None)
    if isinstance(f, np.ufunc) and names == {"out"} and f.nout == 1 and f not in BY_NAME:
        return partial(f, *args, options["out"])
    if isinstance(ufunc, np.ufunc) and f.__name__ == "reduce" and len(args) == 1:
        rest = {"axis": 0, "dtype": None, "out": None, "keepdims": False} | options
        if len(rest) == 4 or (len(rest) == 5 and rest.pop("where", None) is True):
            return partial(f, *args, *rest.values())
    return partial(f, *args, **options)


def empty_with_strides(array: Array) -> Array:
    """An empty array with the very strides of ``array``."""
    steps = [(n - 1) * s for n, s in zip(array.shape, array.strides, strict=True) if n]
    begin = -sum(step for step in steps if step < 0)
    size = begin + sum(step for step in steps if step > 0) + array.itemsize
    memory = np.empty(size, np.uint8)
    return np.ndarray(array.shape, array.dtype, memory, begin, array.strides)


class Lent:
    """An array from outside that calls read where it lies, or a copy if it has gaps."""

    def __init__(self, array: Array) -> None:
        self.array = array
        inner = array.transpose(orders(array.strides)[0])
        self.copied = not inner.flags.c_contiguous
        if self.copied:
            self.whole = empty_with_strides(array)
            self.memory = owner(self.whole)
        else:
            # an object of whose memory NumPy makes an array that has another owner
            flat = inner.reshape(-1).view(np.uint8)
            lent: Any = SimpleNamespace(array=flat, __array_interface__=flat.__array_interface__)
            self.memory = np.asarray(lent)
            self.whole = np.ndarray(array.shape, array.dtype, self.memory, 0, array.strides)
        self.refresh()

    def refresh(self) -> None:
        """Read again what had to be copied."""
        if self.copied:
            np.copyto(self.whole, self.array)


class Trial(Program):
    """The program of a trial run, which compares results and needs no calls."""

    def append(self, *call: Any) -> None:
        """Drop it."""

    def ask(self, question: Callable[[Any], Any], array: Any) -> Any:
        return question(array)

    def side_by_side(self, pool: Any, functions: Iterable[Callable[[], Any]]) -> list[Any]:
        return [f() for f in functions]


class HostRecording(Recording):
    """The calls of a step."""

    exact = True

    def __init__(self) -> None:
        self.capture = HostCapture()
        self.program = Program()
        self.places: list[Array] = []
        self.room: dict[Any, Array] = {}  # for small places, by dtype
        self.calls: list[Callable[[], Any]] = []
        self.bytes = 0  # of memory between the calls
        self.harmless = 0  # calls before the first that changes what outlives a replay
        self.lent: dict[int, Lent] = {}  # what calls read from outside, by the number of its memory
        self.open: list[tuple[int, Call]] = []  # these calls, with a Piece for each such array

    def place(self, array: Array) -> Array:
        # small ones lie one after another, because an optimizer takes them as one array
        array = plain(array)
        if not array.flags.c_contiguous:  # the order of sums follows the order in memory
            place = empty_with_strides(array)
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
        return self.program.place(lent.whole), number

    def bind(self, handle: int, array: Array) -> None:
        self.lent[handle] = Lent(array)
        for i, call in self.open:
            if handle in numbers_in(call):
                self.calls[i] = self._closed(call)

    def _closed(self, call: Call) -> Callable[[], Any]:
        """A call with arrays in place of the pieces of lent memory."""
        places = {number: lent.memory for number, lent in self.lent.items()}
        return fast_call(*fill(call, places))

    def first(self, f: Callable[[], Any]) -> Any:
        with self.capture.active():  # not traced
            return f()

    def run(self, f: Callable[[], Any]) -> Any:
        with Trial().active(), self.capture.active():
            return f()

    def record(self, f: Callable[[], Any]) -> Any:
        self.capture.recording = True
        try:
            with self.restoring(), self.program.active(), self.capture.active():
                value = f()
                self.capture.finish()
                return value
        finally:
            self.capture.recording = False

    @contextmanager
    def restoring(self) -> Iterator[None]:
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

    def final(self, array: Array) -> Array:
        if not isinstance(array, np.ndarray):
            return array
        whole = owner(self.program.place(array))
        form, other = [(x.shape, x.strides, x.dtype, address(x)) for x in (whole, array)]
        return whole if form == other else plain(array)

    def close(self, arrays: list[Array]) -> None:  # the calls hold what they read
        program = self.program
        sizes = dict(enumerate(program.sizes))
        calls, self.bytes = lay_out(program.calls, sizes, program.kept, self.lent.keys())
        self.harmless = len(calls) if program.harmless is None else program.harmless
        self.open = [(i, call) for i, call in enumerate(calls) if numbers_in(call)]
        self.calls = [self._closed(call) for call in calls]
        program.calls.clear()

    def copy(self, to: list[Array], values: list[Array]) -> None:
        for array, value in zip(to, values, strict=True):
            # in a recording a value may be a view of its place, changed there
            if not self.capture.recording or address(array) != address(value):
                np.copyto(array, value)

    def replay(self) -> bool:
        for draws in self.capture.draws.values():
            draws.advance()
        for lent in self.lent.values():
            lent.refresh()
        calls = iter(self.calls)
        with np.errstate(all="ignore"):  # the step warned when it was recorded
            try:
                for call in islice(calls, self.harmless):
                    call()
            except Exception:  # Diverged, or an error that the step itself will raise
                self.capture.turn_back()
                return False
            for call in calls:
                call()
        return True
