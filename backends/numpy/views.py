"""Views of memory: whose memory it is, where they lie in it, and their form without it."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np


class Piece(NamedTuple):
    """A view of memory that a program made: an array without its numbers."""

    number: int  # of the memory
    begin: int  # in bytes
    shape: tuple[int, ...]
    dtype: Any
    strides: tuple[int, ...]

    def array(self, memory: Any, begin: int = 0) -> Any:
        """The array, in a memory that begins there."""
        return np.ndarray(self.shape, self.dtype, memory, begin + self.begin, self.strides)


def address(x: Any) -> int:
    """The address of the first element of an array."""
    place: int = x.__array_interface__["data"][0]
    return place


def owner(array: Any) -> Any:
    """The array whose memory an array is a view of."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def map_tree(f: Callable[[Any], Any], x: Any) -> Any:
    """``f`` of everything in nested tuples, lists and dicts, which are kept."""
    if type(x) in (tuple, list):
        return type(x)([map_tree(f, part) for part in x])
    return {k: map_tree(f, part) for k, part in x.items()} if type(x) is dict else f(x)


def arrays_in(x: Any, kind: type = np.ndarray) -> Iterator[Any]:
    """All arrays, or all of another kind, in nested tuples, lists and dicts."""
    if isinstance(x, kind):
        yield x
    elif type(x) in (tuple, list, dict):
        for part in x.values() if type(x) is dict else x:
            yield from arrays_in(part, kind)
