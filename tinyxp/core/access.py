"""What a function does to tensors: which it reads, which it changes, and which it makes.

While it runs, properties replace the slots ``Tensor.array`` and ``Tensor.grad``, as the observers
of ``debug.observers`` do (docs/adr/0007). So the tensors of a captured step are known without a
search, and nothing else in the library has to report them.
"""

import os
import threading
import weakref
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any, NamedTuple

from tinyxp.backends import Array, Backend
from tinyxp.backends.common.context import block, bound
from tinyxp.core.deferred import SLOTS
from tinyxp.core.tensor import Tensor

_lock = threading.RLock()  # all threads see the properties: one function at a time
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: globals().update(_lock=threading.RLock()))


class Was(NamedTuple):
    """A tensor as it was at some time."""

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
        """Make ``x`` what it was."""
        x.array, x._grad, x.backend, x._node, x._leaf, x._cut, x._view, seen = self
        if x._view is not None:
            x._view.seen = seen


class AccessLog:
    """The tensors that a function reads or changes, and those that it makes.

    ``before`` holds what each tensor from outside was when it was first read or written.
    """

    def __init__(self) -> None:
        self.before: dict[Tensor, Was] = {}
        self.made: weakref.WeakValueDictionary[int, Tensor] = weakref.WeakValueDictionary()
        self.written: dict[Tensor, None] = {}  # in place, so that views of them change too
        self.ignored: set[int] = set()  # ids of tensors from outside that are not noted

    def note(self, x: Tensor) -> None:
        """Note that ``x`` is read or changed."""
        if x in self.before or id(x) in self.ignored or id(x) in self.made:
            return
        if is_empty(x, "array") and is_empty(x, "_home"):
            self.made[id(x)] = x
        else:
            with bound(_log, None):
                self.before[x] = Was.now(x)

    def note_write(self, x: Tensor) -> None:
        """Note that ``x`` is written in place."""
        if id(x) not in self.made:
            self.written[x] = None

    def restore(self) -> None:
        """Make all tensors what they were."""
        for x, was in self.before.items():
            was.restore(x)

    @block
    def active(self) -> Iterator[None]:
        """Note what is done inside a ``with`` block."""
        with _lock:
            originals = {name: vars(Tensor)[name] for name in ("array", "grad")}
            for name, original in originals.items():
                setattr(Tensor, name, _logged(original))
            try:
                with bound(_log, self):
                    yield
            finally:
                for name, original in originals.items():
                    setattr(Tensor, name, original)


_log: ContextVar[AccessLog | None] = ContextVar("tinyxp_access_log", default=None)
access_log = _log.get  # the log that is active here, or None


def is_empty(x: Tensor, name: str) -> bool:
    """Whether a slot of ``x`` is empty."""
    try:
        SLOTS[name].__get__(x)
    except AttributeError:
        return True
    return False


def _logged(slot: Any) -> property:
    def read(x: Tensor) -> Any:
        if (log := access_log()) is not None:
            log.note(x)
        return slot.__get__(x)

    def write(x: Tensor, value: Any) -> None:
        if (log := access_log()) is not None:
            log.note(x)
        slot.__set__(x, value)

    return property(read, write)
