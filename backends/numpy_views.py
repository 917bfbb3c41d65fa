"""Views of memory: whose it is, where they lie in it, and what is left of them without it."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np


class Piece(NamedTuple):
    """A view of memory that a program made: what an array is without its numbers."""

    number: int  # of the memory
    begin: int  # in bytes
    shape: tuple[int, ...]
    dtype: Any
    strides: tuple[int, ...]

    def array(self, memory: Any, begin: int = 0) -> Any:
        """The array, where its memory begins there."""
        return np.ndarray(self.shape, self.dtype, memory, begin + self.begin, self.strides)


def address(x: Any) -> int:
    """Where the first element of an array lies."""
    place: int = x.__array_interface__["data"][0]
    return place


def owner(array: Any) -> Any:
    """The array whose memory an array is a view of."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def arrays_in(x: Any) -> Iterator[Any]:
    """All arrays in nested tuples, lists and dicts."""
    if isinstance(x, np.ndarray):
        yield x
    elif type(x) in (tuple, list):
        for part in x:
            yield from arrays_in(part)
    elif type(x) is dict:
        yield from arrays_in(list(x.values()))
