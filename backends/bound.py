"""A context variable with another value inside a ``with`` block."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

T = TypeVar("T")


@contextmanager
def bound(variable: ContextVar[T], value: T) -> Iterator[None]:
    """Give a variable a value, and back what it had when the block ends, however it ends."""
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)
