"""Where the arrays of a program lie: two share memory if the last call that uses one comes before
the first that uses the other."""

import math
from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np

from tinyxp.backends.numpy.replay.trace import Call, SideBySide
from tinyxp.backends.numpy.views import Piece, address, arrays_in, map_tree

ALIGNED = 64  # bytes, a line of the cache


class Arena:
    """Stretches of one memory, given out from the lowest free place that is large enough."""

    def __init__(self) -> None:
        self.size = 0  # bytes
        self.free: list[tuple[int, int]] = []  # begin and end, in order, none touching the next

    def take(self, size: int) -> int:
        """Take ``size`` bytes into use; returns where they begin.

        >>> arena = Arena()
        >>> [arena.take(64), arena.take(128), arena.size]
        [0, 64, 192]
        >>> arena.give(0, 64)
        >>> [arena.take(128), arena.take(64)]
        [192, 0]
        """
        for i, (begin, end) in enumerate(self.free):
            if end - begin >= size:
                self.free[i : i + 1] = [(begin + size, end)] if end - begin > size else []
                return begin
        begin = self.size
        if self.free and self.free[-1][1] == begin:  # the last stretch is free, and too short
            begin = self.free.pop()[0]
        self.size = begin + size
        return begin

    def give(self, begin: int, size: int) -> None:
        """Free bytes that were taken."""
        stretches: list[tuple[int, int]] = []
        for first, last in sorted([*self.free, (begin, begin + size)]):
            if stretches and stretches[-1][1] == first:
                stretches[-1] = stretches[-1][0], last
            else:
                stretches.append((first, last))
        self.free = stretches


def lay_out(
    calls: list[Call], sizes: dict[int, int], kept: dict[int, Any], lent: Collection[int] = ()
) -> tuple[list[Call], int]:
    """Calls with arrays in place of their pieces, and the bytes of the arenas of these arrays.

    ``sizes`` are the bytes of memories, by number. Memory in ``kept`` stays where it is, and pieces
    of ``lent`` memory stay pieces. Of lists of calls that run side by side, each has an arena for
    the memory that it alone uses.
    """
    calls, total = list(calls), 0
    own = {number: size for number, size in sizes.items() if number not in kept}
    for i, (f, args, options) in enumerate(calls):
        if isinstance(f, SideBySide):
            users = Counter(number for part in _lists(calls) for number in numbers_in(part))
            parts = []
            for part in args:
                inner = {n: own[n] for n in numbers_in(part) if n in own and users[n] == 1}
                own = {n: size for n, size in own.items() if n not in inner}
                parts.append(_lay_out(part, inner))
                total += parts[-1][1]
            calls[i] = f, tuple(part for part, _ in parts), options
    calls, size = _lay_out(calls, own)
    places = {
        number: array.ravel(order="K").view(np.uint8)
        for number, array in kept.items()
        if number not in lent
    }
    return _once(fill(calls, places)), total + size


def _lay_out(calls: list[Call], own: dict[int, int]) -> tuple[list[Call], int]:
    """Calls with arrays in place of the pieces of memories in ``own``, and the bytes of these."""
    used = [[n for n in numbers_in(call) if n in own] for call in calls]
    last = {number: i for i, numbers in enumerate(used) for number in numbers}
    arena, begins = Arena(), dict[int, int]()
    for i, numbers in enumerate(used):
        ends = {number for number in numbers if last[number] == i}  # no later call uses them
        for number in numbers:
            if number not in begins:
                before = _predecessor(calls[i], number, own, ends & begins.keys())
                if before is None:
                    begins[number] = arena.take(_round_up(own[number]))
                else:
                    begins[number] = begins[before]
                    ends.remove(before)
        for number in ends:
            arena.give(begins[number], _round_up(own[number]))
    memory = np.empty(arena.size + ALIGNED, np.uint8)
    memory = memory[-address(memory) % ALIGNED :]
    places = {n: memory[begin : begin + own[n]] for n, begin in begins.items()}
    return fill(calls, places), arena.size


def fill(calls: Any, places: dict[int, Any]) -> Any:
    """Calls with arrays in place of the pieces of the memories in ``places``."""

    def array(x: Any) -> Any:
        return x.array(places[x.number]) if type(x) is Piece and x.number in places else x

    return map_tree(array, calls)


def _once(calls: Any) -> Any:
    """Calls with one array for equal views; NumPy takes half a microsecond to compare two."""
    seen: dict[Any, Any] = {}

    def first(x: Any) -> Any:
        if not isinstance(x, np.ndarray):
            return x
        return seen.setdefault((address(x), x.shape, x.strides, x.dtype), x)

    return map_tree(first, calls)


def _predecessor(call: Call, number: int, own: dict[int, int], ends: set[int]) -> int | None:
    """Of the memories that a call is the last to use, one that the result of an elementwise
    function may overwrite, which uses the cache once and not twice."""
    f, args, options = call
    y = options.get("out")
    if not isinstance(f, np.ufunc) or f.signature is not None or type(y) is not Piece:
        return None
    given = [x for x in args if type(x) is Piece]
    for x in given:
        alike = y._replace(number=x.number, dtype=x.dtype) == x
        whole = own.get(x.number) == own[number] == x.dtype.itemsize * math.prod(x.shape)
        once = [other.number for other in given].count(x.number) == 1
        if alike and whole and once and x.number in ends and x.dtype.itemsize == y.dtype.itemsize:
            return x.number
    return None


def _lists(calls: list[Call]) -> Iterator[Any]:
    """The arguments of each call; in place of a call of lists side by side, each of the lists."""
    for f, args, options in calls:
        yield from args if isinstance(f, SideBySide) else ((args, options),)


def numbers_in(arguments: Any) -> list[int]:
    """The memories in nested arguments, each once."""
    return list(dict.fromkeys(piece.number for piece in arrays_in(arguments, Piece)))


def _round_up(size: int) -> int:
    return -(-size // ALIGNED) * ALIGNED
