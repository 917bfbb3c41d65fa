"""Observers are notified of every call, every vjp, and every value that enters or leaves tinyxp.

The engine does not know them. While there is an observer, wrappers replace a few of the engine's
methods in the whole process and notify the observers of the calling context. Without observers the
original methods are back, so that nothing costs time (docs/adr/0007).
"""

import functools
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any

from tinyxp.backends import Array
from tinyxp.backends.common.context import block, bound
from tinyxp.core import primitive, shortcuts, tape, views
from tinyxp.core import tensor as core
from tinyxp.core.composite import Composite
from tinyxp.core.primitive import Primitive
from tinyxp.core.tape import Node
from tinyxp.core.tensor import Tensor
from tinyxp.core.value import Value
from tinyxp.debug.origins import bare
from tinyxp.debug.sites import of_library
from tinyxp.nn import parameter
from tinyxp.ops import creation


class Observer:
    """The base of observers; a subclass overrides the events that it needs."""

    def on_call(self, op: Any, args: tuple[Any, ...], static: dict[str, Any], y: Any) -> None:
        """An operation returned ``y``."""

    def on_pull(self, op: Any, node: Node, g: Any, recording: bool, parts: Sequence[Any]) -> None:
        """The vjp of ``op`` turned the gradient ``g`` of a node into those of its parents."""

    def on_detach(self, x: Tensor, y: Tensor) -> None:
        """``x.detach()`` returned ``y``."""

    def on_write(self, x: Tensor, value: Tensor, recording: bool) -> None:
        """A write in place gives ``x`` the numbers of ``value``."""

    def on_switch(self, recording: bool) -> None:
        """A block that switches recording on or off begins."""

    def on_switch_back(self, recording: bool) -> None:
        """Such a block ends."""

    def on_exit(self, x: Tensor, way: str, value: Any) -> Any:
        """``x`` leaves tinyxp by ``way`` as ``value``; the user gets the value returned here."""
        return value

    def on_enter(self, obj: Any, array: Array) -> None:
        """The user's ``obj`` became ``array``, the array of a new tensor."""


_observers: ContextVar[tuple[Observer, ...]] = ContextVar("tinyxp_observers", default=())
observers = _observers.get  # those of this context
_lock = threading.Lock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: globals().update(_lock=threading.Lock()))
# puts the original methods back; empty while they are in place
_undo: list[Callable[[], None]] = []
_active = 0


@block
def observing(observer: Observer) -> Iterator[Observer]:
    """Notify ``observer`` of the events in this context."""
    global _active
    with _lock:
        _active += 1
        for owner, name, wrap in WRAPPED if _active == 1 else ():
            _undo.append(functools.partial(setattr, owner, name, owner.__dict__[name]))
            setattr(owner, name, wrap(owner.__dict__[name]))
    try:
        with bound(_observers, (*_observers.get(), observer)):
            yield observer
    finally:
        with _lock:
            _active -= 1
            while _active == 0 and _undo:
                _undo.pop()()


# -- the wrappers -----------------------------------------------------------------------------


def _telling(event: str) -> Callable[[Any], Any]:
    """Wrap a method so that it tells ``event`` its arguments and its result."""

    def wrap(original: Any) -> Any:
        def call(self: Any, *args: Any) -> Any:
            y = original(self, *bare(args))
            for observer in _observers.get():
                getattr(observer, event)(self, *args, y)
            return y

        return call

    return wrap


def _take(original: Any) -> Any:
    def take(x: Tensor, value: Tensor, recording: bool) -> None:
        for observer in _observers.get():
            observer.on_write(x, value, recording)
        original(x, value, recording)

    return take


def _leaving(way: str) -> Callable[[Any], Any]:
    def wrap(original: Any) -> Any:
        def leave(self: Tensor, *args: Any, **options: Any) -> Any:
            value = original(self, *args, **options)
            if not of_library(sys._getframe(1).f_code.co_filename):
                for observer in _observers.get():
                    value = observer.on_exit(self, way, value)
            return value

        return leave

    return wrap


def _array(slot: Any) -> Any:
    return property(
        _leaving(".array")(slot.__get__), lambda self, array: slot.__set__(self, bare(array))
    )


def _data(prop: Any) -> Any:
    def assign(self: Tensor, value: Any) -> None:
        for observer in _observers.get() if isinstance(value, Tensor) else ():
            observer.on_write(self, value, False)
        prop.fset(self, value)

    return property(prop.fget, assign)


class _Recording:
    """The switch of ``no_grad`` that notifies observers."""

    def __init__(self, switch: ContextVar[bool]) -> None:
        self.switch, self.get = switch, switch.get

    def set(self, recording: bool) -> Any:
        for observer in _observers.get():
            observer.on_switch(recording)
        return self.switch.set(recording)

    def reset(self, token: Any) -> None:
        recording = self.switch.get()
        self.switch.reset(token)
        for observer in _observers.get():
            observer.on_switch_back(recording)


def _entering(original: Any) -> Any:
    def to_array(obj: Any, *args: Any, **options: Any) -> Any:
        array, backend = original(bare(obj), *args, **options)
        for observer in _observers.get():
            observer.on_enter(obj, array)
        return array, backend

    return to_array


OF_OPS = ("call", "pull")
WAYS = {name: f"{name}()" for name in ("numpy", "item", "tolist")}
WAYS |= {f"__{name}__": f"{name}()" for name in ("float", "int", "complex")}
WAYS |= {"__array__": "np.asarray()", "__dlpack__": "DLPack"}
WRAPPED: tuple[tuple[Any, str, Callable[[Any], Any]], ...] = (
    *((op, name, _telling(f"on_{name}")) for op in (Primitive, Composite) for name in OF_OPS),
    (Tensor, "detach", _telling("on_detach")),
    (Tensor, "array", _array),
    (Tensor, "data", _data),
    (views, "_take", _take),
    *((Value if name in vars(Value) else Tensor, name, _leaving(w)) for name, w in WAYS.items()),
    *((home, "to_array", _entering) for home in (core, primitive, creation, parameter)),
    (tape, "grad_enabled", _Recording),
    (shortcuts, "Plain", lambda _: type(None)),  # no shortcuts: every call is observed
)
