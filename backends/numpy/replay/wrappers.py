"""Functions of NumPy's that do not tell a traced array of a call, wrapped so that they do."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from tinyxp.backends.common.capture import reads_numbers
from tinyxp.backends.numpy.replay.trace import Traced, has_traced, tracing


def made(f: Callable[..., Any], filled: bool = True) -> Any:
    """Have an array of one number, or of none, made anew each time: whoever asked for it may write
    into it."""

    @functools.wraps(f)
    def traced(*args: Any, **options: Any) -> Any:
        array, program = f(*args, **options), tracing()
        if program is None:
            return array
        if filled and array.size:
            program.number(array)
            program.append(np.ndarray.fill, (array, array.flat[0]), {}, [array])
        return program.new(array)

    return traced


def constant(f: Callable[..., Any]) -> Any:
    """Have an array that ``f`` makes of numbers be part of the program: NumPy looks up numbers in a
    plain one, by traced indices, without telling of it."""

    @functools.wraps(f)
    def traced(*args: Any, **options: Any) -> Any:
        array, program = f(*args, **options), tracing()
        if program is None or type(array) is Traced:
            return array
        return program.copy_of(array)

    return traced


def repeats(f: Callable[..., Any]) -> Any:
    """``f``, a function like ``np.repeat``, which does not tell of traced counts."""

    @functools.wraps(f)
    def call(x: Any, /, repeats: Any, **options: Any) -> Any:
        if tracing() is not None and has_traced([repeats]):
            raise reads_numbers("repeat, whose length depends on them")
        return f(x, repeats, **options)

    return call


def whole(f: Callable[..., Any]) -> Any:
    """Have ``f`` written down as one call: it makes new arrays of those that it is given, in ways
    that cannot be traced or need not be."""

    @functools.wraps(f)
    def traced(*args: Any, **options: Any) -> Any:
        program = tracing()
        if program is None or not has_traced((args, options)):
            return f(*args, **options)
        return program.call(f, args, options)

    return traced
