"""Decorators for functions that do not tell traced arrays of a call by themselves."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from tinyxp.backends.common.capture import reads_numbers
from tinyxp.backends.numpy.replay.trace import Program, Traced, has_traced, tracing


def _decorator(trace: Callable[[Program, Any, Any, Any], Any]) -> Callable[[Any], Any]:
    """A decorator; while a program is written, ``trace(program, f, args, options)`` calls f."""

    def decorate(f: Callable[..., Any]) -> Any:
        @functools.wraps(f)
        def call(*args: Any, **options: Any) -> Any:
            program = tracing()
            return f(*args, **options) if program is None else trace(program, f, args, options)

        return call

    return functools.update_wrapper(decorate, trace)


@_decorator
def new_empty(program: Program, f: Any, args: Any, options: Any) -> Any:
    """For a function that returns an array without numbers."""
    return program.new(f(*args, **options))


@_decorator
def new_filled(program: Program, f: Any, args: Any, options: Any) -> Any:
    """For a function that returns an array of one number, which each replay fills again."""
    array = f(*args, **options)
    if array.size:
        program.number(array)
        program.append(np.ndarray.fill, (array, array.flat[0]), {}, [array])
    return program.new(array)


@_decorator
def constant(program: Program, f: Any, args: Any, options: Any) -> Any:
    """For a function that makes an array of Python's numbers. It becomes part of the program, else
    NumPy would look up numbers in it, by traced indices, without telling of it."""
    array = f(*args, **options)
    return array if type(array) is Traced else program.copy_of(array)


@_decorator
def repeat_call(program: Program, f: Any, args: Any, options: Any) -> Any:
    """For a function like ``np.repeat``, which does not tell of traced counts."""
    if has_traced([args[1:], options]):
        raise reads_numbers("repeat, whose length depends on them")
    return f(*args, **options)


@_decorator
def one_call(program: Program, f: Any, args: Any, options: Any) -> Any:
    """For a function that makes new arrays and is written down as one call."""
    if not has_traced((args, options)):
        return f(*args, **options)
    return program.call(f, args, options)
