"""What a function does to tensors: which it reads, which it changes, and which it makes.

While it runs, properties stand in the place of the slots ``Tensor.array`` and ``Tensor.grad``, as
the observers of ``debug.instruments`` do (docs/adr/0007). So the tensors of a captured step are
known without a search, and nothing else of the library has to tell of them.
"""

import os
import threading
import weakref
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any, NamedTuple

from tinyxp.backends import Array, Backend
from tinyxp.backends.common.context import block, bound
from tinyxp.core.away import SLOTS
from tinyxp.core.tensor import Tensor

_lock = threading.RLock()  # the properties are seen by all threads: one function at a time
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: globals().update(_lock=threading.RLock()))


class Was(NamedTuple):
    """A tensor at some time."""

    array: Array
    grad: Tensor | None
    backend: Backend
    node: Any
    leaf: bool
    cut: str | None
    view: Any
    seen: Any  # by the view

    @classmethod
    def now(cls, x: Tensor) -> "Was":
        view = x._view
        seen = None if view is None else view.seen
        return cls(x.array, x.grad, x.backend, x._node, x._leaf, x._cut, view, seen)

    def restore(self, x: Tensor) -> None:
        """Bring ``x`` back to then."""
        x.array, x._grad, x.backend, x._node, x._leaf, x._cut, x._view, seen = self
        if x._view is not None:
            x._view.seen = seen


class Touched:
    """The tensors that a function touches, and those that it makes.

    ``before`` holds what each tensor from outside was when it was first read or written.
    """

    def __init__(self) -> None:
        self.before: dict[Tensor, Was] = {}
        self.made: weakref.WeakValueDictionary[int, Tensor] = weakref.WeakValueDictionary()
        self.written: dict[Tensor, None] = {}  # in place, so that views of them change too
        self.own: set[int] = set()  # ids of tensors from outside that are not to be noted

    def touch(self, x: Tensor) -> None:
        if x in self.before or id(x) in self.own or id(x) in self.made:
            return
        if missing(x, "array") and missing(x, "_home"):
            self.made[id(x)] = x
        else:
            with bound(_touched, None):
                self.before[x] = Was.now(x)

    def write(self, x: Tensor) -> None:
        """Note that ``x`` is written in place."""
        if id(x) not in self.made:
            self.written[x] = None

    def restore(self) -> None:
        """Bring all tensors back to what they were."""
        for x, was in self.before.items():
            was.restore(x)

    @block
    def watching(self) -> Iterator[None]:
        """Note what is done in the block."""
        with _lock:
            originals = {name: vars(Tensor)[name] for name in ("array", "grad")}
            for name, original in originals.items():
                setattr(Tensor, name, _noted(original))
            try:
                with bound(_touched, self):
                    yield
            finally:
                for name, original in originals.items():
                    setattr(Tensor, name, original)


_touched: ContextVar[Touched | None] = ContextVar("tinyxp_touched", default=None)
watching = _touched.get  # what notes what a function touches here, or None


def missing(x: Tensor, name: str) -> bool:
    """Whether a slot of ``x`` is empty."""
    try:
        SLOTS[name].__get__(x)
    except AttributeError:
        return True
    return False


def _noted(slot: Any) -> Any:
    def read(x: Tensor) -> Any:
        touched = watching()
        if touched is not None:
            touched.touch(x)
        return slot.__get__(x)

    def write(x: Tensor, value: Any) -> None:
        touched = watching()
        if touched is not None:
            touched.touch(x)
        slot.__set__(x, value)

    return property(read, write)
