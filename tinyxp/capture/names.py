"""The names that a function can reach: closures, globals, attributes, and what they hold.

A captured step depends on more than its inputs: on ``model.training``, on a number in a closure, on
the tensor that ``self.hidden`` stands for. All of them are collected here, so that a replay is done
only where none has changed, and so that names are seen which the step itself binds anew.
"""

import enum
import functools
import operator
import random
import types
from collections import deque
from collections.abc import Iterable, Iterator
from functools import partial
from operator import eq, getitem, is_
from typing import Any, NamedTuple

import numpy as np

from tinyxp.capture.code import (
    CalledCode,
    foreign,
    global_names,
    of_package,
    of_user,
    of_user_module,
)
from tinyxp.capture.namespaces import Cells, ClassAttributes, Slots, slots_of
from tinyxp.core.tensor import Tensor
from tinyxp.nn.module import Module

SIMPLE = (bool, int, float, complex, str, bytes, type(None))
PLAIN: tuple[type, ...] = (*SIMPLE, Tensor, np.generic, np.dtype, range, slice, enum.Enum)
PLAIN += (np.ufunc, types.MemberDescriptorType, types.GetSetDescriptorType)
# they change, or read what changes, unseen
HIDDEN = (Iterator, random.Random, operator.attrgetter, operator.methodcaller)
# what stands for other objects, and its attributes that hold them
WRAPPERS: dict[type, tuple[str, ...]] = {
    types.MethodType: ("__func__", "__self__"),
    types.BuiltinMethodType: ("__self__",),
    property: ("fget",),
    partial: ("func", "args", "keywords"),
    functools._lru_cache_wrapper: ("__wrapped__",),
}
BAGS = (set, frozenset, deque, np.ndarray)  # compared as a whole
LARGE = 64  # simple values; a larger collection is compared as a whole, too
MOST = 10_000  # names
UNKNOWN = object()  # the value of a name that is not there
REGISTRIES = ("_parameters", "_buffers", "_modules", "_hooks")


class Name(NamedTuple):
    """A name in a holder, and the value it had."""

    holder: Any
    key: Any
    value: Any
    label: str  # in words

    def now(self) -> Any:
        """Its value now."""
        try:
            return self.holder[self.key]
        except (KeyError, IndexError):
            return UNKNOWN

    def bind(self, value: Any) -> None:
        """Give it a value."""
        if value is UNKNOWN:
            del self.holder[self.key]
        else:
            self.holder[self.key] = value

    def changed(self) -> bool:
        """Whether it has another value now."""
        return not same(self.value, self.now())


def same(a: Any, b: Any) -> bool:
    """Whether these are one object, or equal numbers or strings of one type."""
    return a is b or (type(a) is type(b) and type(a) in SIMPLE and a == b and repr(a) == repr(b))


class Whole(NamedTuple):
    """A collection, or the attributes of an object, as they were."""

    holder: Any
    known: Any
    label: str
    dotted: bool = False  # whether it holds attributes
    contents: bool = False  # whether it is compared element by element

    def name(self, key: Any) -> str:
        """One of its names, in words."""
        return f"{self.label}.{key}".lstrip(".") if self.dotted else f"{self.label}[{key!r}]"

    def differs(self) -> bool:
        """Whether its elements have changed."""
        if isinstance(self.holder, np.ndarray):
            return self.holder.tobytes() != self.known.tobytes()
        if len(self.holder) != len(self.known):
            return True
        if not self.contents:
            return False
        now, then = [x.values() if isinstance(x, dict) else x for x in (self.holder, self.known)]
        return not (all(map(is_, now, then)) or all(map(same, now, then)))

    def restore(self) -> None:
        """Restore its elements, except those that are names of their own."""
        holder, known = self.holder, self.known
        if isinstance(holder, (list, np.ndarray)):
            holder[:] = known
        elif isinstance(holder, dict):
            for key in holder.keys() - known.keys():
                del holder[key]
            if self.contents:
                holder.update(known)
        elif isinstance(holder, (set, deque)):
            holder.clear()
            (holder.update if isinstance(holder, set) else holder.extend)(known)


class ReachableNames:
    """All names that ``root`` reaches, with their values when this is made; with ``code``, only
    those that its functions use. ``unknown`` lists values that cannot be compared."""

    def __init__(self, root: Any, code: CalledCode | None = None) -> None:
        self.names: list[Name] = []
        self.whole: list[Whole] = []
        self.unknown: list[tuple[str, str]] = []  # their names and types
        self._code = code
        self._used = None if code is None else code.attributes()
        self._seen: dict[int, Any] = {}
        self._waiting: list[tuple[Any, str]] = [(root, "")]
        while self._waiting and len(self.names) < MOST:
            self._visit(*self._waiting.pop())
        if code is not None and (unseen := code.unseen()):
            self.unknown.append((unseen, "names made up as it runs"))
        if self._waiting:
            self.unknown.append(("more names than are looked at", f"over {MOST:,}"))
        self.leave_out([])

    def leave_out(self, names: list[Name]) -> None:
        """Have ``intact`` skip some names."""
        places = {(id(name.holder), name.key) for name in names}
        self._rest = [name for name in self.names if (id(name.holder), name.key) not in places]
        rows = [name[:3] for name in self._rest]
        self._columns: Any = [*zip(*rows, strict=True)] or [(), (), ()]
        sized = [each for each in self.whole if not each.contents]
        self._sizes = [each.holder for each in sized], [len(each.known) for each in sized]
        self._contents = [each for each in self.whole if each.contents]

    def intact(self) -> bool:
        """Whether all names still have their values."""
        holders, sizes = self._sizes
        if not all(map(eq, map(len, holders), sizes)):
            return False
        if self._contents and any(map(Whole.differs, self._contents)):
            return False
        holders, keys, values = self._columns
        try:
            if all(map(is_, map(getitem, holders, keys), values)):
                return True
        except (KeyError, IndexError):
            return False
        return not any(name.changed() for name in self._rest)

    def changes(self) -> list[Name]:
        """The names that have other values now, with these; new names too."""
        found = [name._replace(value=name.now()) for name in self.names if name.changed()]
        for whole in self.whole:
            holder, known = whole.holder, whole.known
            if not whole.differs():
                continue
            if whole.contents:
                found.append(Name(holder, None, holder, whole.label))
                continue
            keys = range(len(known), len(holder)) if isinstance(holder, list) else holder.keys()
            new = [k for k in keys if isinstance(holder, list) or k not in known]
            found += [Name(holder, key, holder[key], whole.name(key)) for key in new]
        return found

    def restore(self) -> None:
        """Give all names the values that they had when this was made."""
        for whole in self.whole:
            if whole.differs():
                whole.restore()
        for name in self.names:
            if name.now() is not name.value:
                name.bind(name.value)

    def signature(self) -> list[Any]:
        """A value to compare with a later one: forms of tensors, numbers, identities."""
        names = [(id(name.holder), name.key, _form(name.value)) for name in self.names]
        return [*names, *[(id(each.holder), _size(each.known)) for each in self.whole]]

    # -- finding them --------------------------------------------------------------------------

    def _visit(self, x: Any, label: str) -> None:
        if id(x) in self._seen or isinstance(x, PLAIN):
            return
        self._seen[id(x)] = x
        if isinstance(x, types.FunctionType):
            self._function(x)
        elif isinstance(x, HIDDEN):
            self._refuse(x, label)
        elif isinstance(x, tuple(WRAPPERS)):
            for part in next(names for kind, names in WRAPPERS.items() if isinstance(x, kind)):
                self._later(getattr(x, part), label)
        elif isinstance(x, (dict, list)):
            self._holder(x, label)
        elif isinstance(x, (tuple, *BAGS)):
            self._bag(x, label)
        elif isinstance(x, type):
            if of_user(x):
                self._attributes(ClassAttributes(x), x.__name__)
        elif isinstance(x, types.ModuleType):
            if of_user_module(x):
                self._attributes(vars(x), x.__name__)
        elif hasattr(x, "step") and of_package(type(x)) and type(x).__name__ == "CapturedStep":
            self._later(x.step, label)
        elif isinstance(x, Module) or not of_package(type(x)):
            self._object(x, label or "self")

    def _refuse(self, x: Any, label: str) -> None:
        self.unknown.append((label, type(x).__name__))

    def _later(self, x: Any, label: str) -> None:
        self._waiting.append((x, label))

    def _function(self, f: types.FunctionType) -> None:
        self._later(vars(f) or None, f.__name__)
        own = not foreign(f.__code__.co_filename)
        if own and self._code is not None and f.__code__ not in self._code.codes:
            return
        if f.__closure__:
            self._names(Whole(Cells(f), {}, "", True), f.__code__.co_freevars)
        for part in (f.__defaults__, f.__kwdefaults__):
            self._later(part, f.__name__)
        if own:
            names = dict.fromkeys(global_names(f.__code__))
            there = [name for name in names if name in f.__globals__]
            self._names(Whole(f.__globals__, {}, "", True), there)

    def _object(self, x: Any, label: str) -> None:
        slots = slots_of(type(x))
        if not hasattr(x, "__dict__") and not slots:
            if not callable(x):
                self._refuse(x, label)
            return
        if slots:
            self._attributes(Slots(x, slots), label)
        attributes = getattr(x, "__dict__", {})
        own = of_user(type(x))
        self.whole.append(Whole(attributes, dict(attributes), label, True))
        self._attributes(attributes, label, every=not own)
        if isinstance(x, Module):
            for registry in REGISTRIES:
                self._holder(attributes[registry], label, dotted=registry != "_hooks")
        for cls in type(x).__mro__:
            self._later(cls, cls.__name__)

    def _attributes(self, attributes: Any, label: str, every: bool = False) -> None:
        """The attributes of an object, a class or a module that are used."""
        keys = [key for key in attributes if key not in (*REGISTRIES, "_transient")]
        if self._used is not None and not every:
            keys = [key for key in keys if key in self._used]
        elif not isinstance(attributes, dict) or "__builtins__" in attributes:
            keys = [key for key in keys if not key.startswith("__")]
        self._names(Whole(attributes, {}, label, True), keys)

    def _bag(self, x: Any, label: str) -> None:
        if isinstance(x, np.ndarray):
            if x.dtype.hasobject:
                self._refuse(x, label)
            self.whole.append(Whole(x, x.copy(), label, contents=True))
            return
        if not isinstance(x, (tuple, frozenset)):
            self.whole.append(Whole(x, list(x), label, contents=True))
        for part in x:
            self._later(part, label)

    def _holder(self, holder: Any, label: str, dotted: bool = False) -> None:
        values = holder.values() if isinstance(holder, dict) else holder
        large = len(holder) > LARGE and all(type(value) in SIMPLE for value in values)
        known = dict(holder) if isinstance(holder, dict) else list(holder)
        whole = Whole(holder, known, label, dotted, large)
        self.whole.append(whole)
        if not large:
            self._names(whole, range(len(holder)) if isinstance(holder, list) else list(holder))

    def _names(self, whole: Whole, keys: Iterable[Any]) -> None:
        for key in keys:
            try:
                value = whole.holder[key]
            except KeyError:  # an empty cell or slot
                value = UNKNOWN
            label = whole.name(key)
            if not isinstance(value, types.ModuleType):
                self.names.append(Name(whole.holder, key, value, label))
            self._later(value, label)


def _size(x: Any) -> int:
    return x.size if isinstance(x, np.ndarray) else len(x)


def _form(x: Any) -> Any:
    if isinstance(x, Tensor):
        return Tensor, x.shape, x.dtype, x.backend.name, x._leaf
    return repr(x) if isinstance(x, SIMPLE) else id(x)
