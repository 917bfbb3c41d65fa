"""Tracing NumPy: what a step computes is written down call by call, to be called again.

A ``Traced`` array is an ndarray that writes down, in the active ``Program``, every call of NumPy's
that takes it as an argument, with the memory of the result. All results are Traced too. A replay
makes the same calls on the same memory, and runs none of the step's other Python.

A value that the step looks at (``if x.any()``) becomes a question of the program: each replay asks
it again, and stops at an answer that differs from the recorded one (``Diverged``).
"""

import operator
import weakref
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from contextvars import ContextVar
from functools import partial
from typing import Any

import numpy as np

from tinyxp.backends.common.capture import Diverged, reads_numbers, too_late
from tinyxp.backends.common.context import bound, run_on_threads
from tinyxp.backends.numpy.views import Piece, address, arrays_in, map_tree, owner
from tinyxp.errors import CaptureError

Call = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]

_program: ContextVar["Program | None"] = ContextVar("tinyxp_program", default=None)
tracing = _program.get  # the program that is written here, or None


def _functions(names: str) -> set[Any]:
    return {getattr(np, name) for name in names.split()}


# they tell of arrays without a look at their numbers
ABOUT = _functions(
    "can_cast iscomplexobj isrealobj may_share_memory ndim result_type shape shares_memory size"
)
# the length of their results depends on numbers
OF_ANY_LENGTH = _functions(
    "argwhere compress extract flatnonzero intersect1d nonzero setdiff1d setxor1d union1d unique "
    "unique_all unique_counts unique_inverse unique_values"
)
IN_PLACE = {np.copyto, np.ndarray.fill, np.ndarray.put, np.ndarray.sort, np.put, np.put_along_axis}


def no_tracing() -> AbstractContextManager[None]:
    """A ``with`` block whose calls are no part of a program."""
    return bound(_program, None)


class Program:
    """Calls of NumPy's functions, in their order, each with the arrays it reads and writes."""

    def __init__(self) -> None:
        self.calls: list[Call] = []  # with a Piece in place of each array that was made here
        self.sizes: list[int] = []  # bytes of the memories that were made here, by number
        self.numbers: dict[int, int] = {}  # of those that still live, by the id of their owner
        self.kept: dict[int, np.ndarray] = {}  # memory that outlives a replay, by number
        self.lasting: set[int] = set()  # ids of owners of all memory that outlives a replay
        self.changed = False  # whether such memory has been written
        self.harmless: int | None = None  # calls before the first that may write such memory

    def side_by_side(self, pool: Executor, functions: Iterable[Callable[[], Any]]) -> list[Any]:
        """The results of functions, the calls of each of which run on a thread of their own in a
        replay. The functions make arrays, and change none of each other's."""
        before, results, parts = self.calls, [], []
        for f in functions:
            self.calls = []
            results.append(f())
            parts.append(self.calls)
        self.calls = before
        self.append(SideBySide(pool), tuple(parts), {})
        return results

    def active(self) -> AbstractContextManager[None]:
        """Make this the program that ``tracing()`` returns."""
        return bound(_program, self)

    def place(self, array: Any) -> "Traced":
        """An array whose memory outlives a replay, for calls to read and write."""
        whole = owner(array)
        self.lasting.add(id(whole))
        if id(whole) in self.numbers:
            self.kept[self.numbers[id(whole)]] = whole
        traced: Traced = array.view(Traced)
        return traced

    def new(self, array: Any) -> "Traced":
        """An array of which the calls write every number before they read it."""
        self.number(array)
        traced: Traced = array.view(Traced)
        return traced

    def copy_of(self, array: Any) -> "Traced":
        """A copy of an array that is the same each time. Each replay makes it anew, because the
        step may write into it, or look up numbers in it."""
        y = np.empty_like(array)
        traced = self.new(y)
        self.append(np.copyto, (y, array), {}, [y])
        y[...] = array
        return traced

    def number(self, array: Any) -> None:
        """Number the memory of an array that was made here; it may be freed while recording."""
        if id(array) not in self.numbers:
            self.numbers[id(array)] = len(self.sizes)
            self.sizes.append(array.nbytes)
            weakref.finalize(array, self.numbers.pop, id(array), None).atexit = False

    def piece(self, x: Any) -> Any:
        """An argument of a call as it is written down."""
        whole = owner(x) if isinstance(x, np.ndarray) else None
        number = self.numbers.get(id(whole))
        if number is None:
            return x
        return Piece(number, address(x) - address(whole), x.shape, x.dtype, x.strides)

    def append(self, f: Callable[..., Any], args: Any, options: Any, written: Any = ()) -> None:
        """Write down a call, and which arrays it writes."""
        for array in written:
            key = id(owner(array))
            if key not in self.numbers and key not in self.lasting:
                raise CaptureError(
                    "this step writes into an array that was made outside of it or by a function "
                    "that cannot be traced, such as np.empty; make it of the step's tensors"
                )
            if key in self.lasting:
                self.changed = True
        if self.changed and self.harmless is None:
            self.harmless = len(self.calls)
        self.calls.append(map_tree(self.piece, (f, args, options)))

    def _trace(self, f: Any, result: Any, args: Any, options: Any) -> tuple["Traced", bool]:
        """A result of ``f`` as a traced array, and whether it is a view of an argument."""
        if not isinstance(result, (np.ndarray, np.generic)):
            raise reads_numbers(getattr(f, "__name__", str(f)))
        result = np.asarray(result)
        if any(np.may_share_memory(x, result) for x in arrays_in((args, options))):
            return result.view(Traced), True
        return self.new(result if result.base is None else result.copy(order="K")), False

    def ask(self, question: Callable[[Any], Any], array: Any) -> Any:
        """The answer now; a replay stops where the answer differs."""
        answer = question(array)
        if self.changed:
            raise too_late()
        self.append(_expect, (question, array, answer), {})
        return answer

    def call(self, f: Callable[..., Any], args: Any, options: Any) -> Any:
        """The result of a function of NumPy's, which is written down unless it is a view."""
        repeats = f in (np.repeat, np.ndarray.repeat) and has_traced(args[1:])
        if repeats or f in OF_ANY_LENGTH:
            raise reads_numbers(f"{f.__name__}, whose length depends on them")
        args, options = plain(args), plain(options)
        result = f(*args, **options)
        if f in IN_PLACE:
            self.append(f, args, options, args[:1])
            return result
        if f is np.count_nonzero and type(result) is not np.ndarray:
            return self.ask(partial(f, **options), *args)
        if f in ABOUT:
            return result
        if isinstance(result, (tuple, list)):
            parts = [self._trace(f, part, args, options) for part in result]
            to = [None if is_view else plain(part) for part, is_view in parts]
            if written := [array for array in to if array is not None]:
                self.append(_copy_parts, (to, f, args, options), {}, written)
            found = [part for part, _ in parts]
            return type(result)(*found) if hasattr(result, "_fields") else type(result)(found)
        traced, is_view = self._trace(f, result, args, options)
        if is_view:
            return traced
        if f in (np.ndarray.copy, np.ndarray.astype):
            self.append(np.copyto, (plain(traced), args[0]), {"casting": "unsafe"}, [traced])
        elif f is np.concatenate:
            self.append(f, args, options | {"out": plain(traced)}, [traced])
        elif f in (np.ndarray.reshape, np.reshape) and result.flags.c_contiguous:
            self.append(np.copyto, (plain(traced).reshape(args[0].shape), args[0]), {}, [traced])
        else:
            self.append(_copy, (plain(traced), f, args, options), {}, [traced])
        return traced


class SideBySide:
    """Lists of calls, each run on a thread of a pool."""

    def __init__(self, pool: Executor) -> None:
        self.pool = pool

    def __call__(self, *parts: list[Callable[[], Any]]) -> None:
        run_on_threads(self.pool, [partial(_run, part) for part in parts])


def run_parts(pool: Executor, functions: Iterable[Callable[[], Any]]) -> list[Any]:
    """``Backend.run_parts``: on the threads of a pool, in a step that is recorded too."""
    if (program := tracing()) is not None:
        return program.side_by_side(pool, functions)
    return run_on_threads(pool, functions)


def _run(calls: list[Callable[[], Any]]) -> None:
    for call in calls:
        call()


def _expect(question: Callable[[Any], Any], array: Any, answer: Any) -> None:
    if question(array) != answer:
        raise Diverged


def _copy(to: Any, f: Callable[..., Any], args: Any, options: Any) -> None:
    to[...] = f(*args, **options)


def _copy_parts(to: list[Any], f: Callable[..., Any], args: Any, options: Any) -> None:
    for array, part in zip(to, f(*args, **options), strict=True):
        if array is not None:
            array[...] = part


def plain(x: Any) -> Any:
    """The same with NumPy's own arrays in place of traced ones."""
    return map_tree(lambda part: part.view(np.ndarray) if type(part) is Traced else part, x)


def has_traced(x: Any) -> bool:
    """Whether there are traced arrays in nested arguments."""
    return any(type(array) is Traced for array in arrays_in(x))


class Traced(np.ndarray):
    """An array whose calls the active program writes down."""

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **options: Any
    ) -> Any:
        program = tracing()
        f = ufunc if method == "__call__" else getattr(ufunc, method)
        args, options = plain(inputs), plain(options)
        if out is not None:
            options["out"] = plain(out) if len(out) > 1 else plain(out[0])
        result = f(*args, **options)
        if program is None:
            return result
        if method == "at":
            program.append(f, args, options, args[:1])
            return None
        if out is None:
            several = isinstance(result, tuple)
            parts = [np.asarray(part) for part in (result if several else [result])]
            out = tuple(program.new(part) for part in parts)
            options["out"] = tuple(parts) if several else parts[0]
        if method == "__call__":
            args = _with_arrays(ufunc, args)
        program.append(f, args, options, [x for x in out if x is not None])
        return out if len(out) > 1 else out[0]

    def __array_function__(self, f: Any, types: Any, args: Any, options: Any) -> Any:
        program = tracing()
        if program is None:
            return f(*plain(args), **plain(options))
        if f is np.empty_like:
            return program.new(f(*plain(args), **plain(options)))
        if f is np.ones_like:
            return program.copy_of(f(*plain(args), **plain(options)))
        return program.call(f, args, options)

    def __getitem__(self, index: Any) -> Any:
        program = tracing()
        if program is None:
            return plain(self)[plain(index)]
        if any(x.dtype == bool for x in arrays_in(index)):
            raise reads_numbers("x[mask], whose length depends on the mask")
        return program.call(operator.getitem, (self, index), {})

    def __setitem__(self, index: Any, value: Any) -> None:
        program, args = tracing(), plain((self, index, value))
        operator.setitem(*args)
        if program is not None:
            program.append(operator.setitem, args, {}, args[:1])

    def __iter__(self) -> Any:
        return (self[i, ...] for i in range(len(self)))


def _with_arrays(ufunc: np.ufunc, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Python's numbers as arrays of the dtype they have beside the others: a microsecond faster."""
    weak = [type(x) if type(x) in (int, float) else np.asarray(x).dtype for x in args]
    if not any(type(x) in (int, float) for x in args):
        return args
    dtypes = ufunc.resolve_dtypes((*weak, *[None] * ufunc.nout))
    return tuple(
        np.asarray(x, dtype) if type(x) in (int, float) else x
        for x, dtype in zip(args, dtypes[: len(args)], strict=True)
    )


# the methods that NumPy does not ask a subclass about, because they are no ufuncs; all others
# return views
_METHODS = (
    "argmax argmin argpartition argsort astype choose compress copy cumprod cumsum diagonal dot "
    "fill flatten partition put ravel repeat reshape round searchsorted sort take trace"
)
_LOOKS = dict.fromkeys(("item", "tolist", "__bool__", "__int__", "__index__"), "biu") | {
    "__bool__": "biufc",
    **dict.fromkeys(("nonzero", "tobytes", "tofile", "__complex__", "__float__"), ""),
}


def _method(f: Any) -> Any:
    def method(self: Any, *args: Any, **options: Any) -> Any:
        program = tracing()
        if program is None:
            return f(plain(self), *plain(args), **plain(options))
        return program.call(f, (self, *args), options)

    return method


def _look(f: Any, kinds: str) -> Any:
    """A look at the numbers of an array: for dtypes of these kinds a question of the program, and
    an error for others, real numbers above all, which differ each time."""

    def look(self: Any, *args: Any) -> Any:
        program = tracing()
        if program is None:
            return f(plain(self), *args)
        if self.dtype.kind not in kinds:
            raise reads_numbers(f.__name__)
        return program.ask(lambda x: f(x, *args), plain(self))

    return look


for _name in _METHODS.split():
    setattr(Traced, _name, _method(getattr(np.ndarray, _name)))
for _name, _kinds in _LOOKS.items():
    setattr(Traced, _name, _look(getattr(np.ndarray, _name), _kinds))
