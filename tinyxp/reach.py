"""What a function can reach by name: closures, globals, attributes, and what they hold.

A captured step depends on more than its inputs: on ``model.training``, on a number in a closure, on
the tensor that ``self.hidden`` stands for. All that it reaches by name is known here, so that a
replay is only done where nothing of it has changed, and so that what the step itself binds anew is
seen.
"""

import dis
import sys
import sysconfig
import types
from collections.abc import Callable, Iterable, Iterator, KeysView
from functools import cache, partial
from operator import getitem, is_
from os import path
from typing import Any, NamedTuple

from tinyxp.core import Tensor
from tinyxp.debug.sites import of_library
from tinyxp.nn.module import Module

SIMPLE = (bool, int, float, complex, str, bytes, type(None))
MOST = 10_000  # names; of a program that holds more, the others are not looked at
UNKNOWN = object()  # what a name stands for that is not there
REGISTRIES = ("_parameters", "_buffers", "_modules", "_hooks")
STANDARD = tuple(path.abspath(sysconfig.get_path(name)) for name in ("stdlib", "purelib"))


class Cells:
    """The variables of a closure, as a dict has them."""

    def __init__(self, names: tuple[str, ...], cells: tuple[Any, ...]) -> None:
        self.cells = dict(zip(names, cells, strict=True))

    def keys(self) -> KeysView[str]:
        """The names."""
        return self.cells.keys()

    def copy(self) -> dict[str, Any]:
        """The names with what they stand for."""
        return {name: self[name] for name in self.cells}

    def __len__(self) -> int:
        return len(self.cells)

    def __getitem__(self, name: str) -> Any:
        try:
            return self.cells[name].cell_contents
        except ValueError:  # not bound yet
            return UNKNOWN

    def __setitem__(self, name: str, value: Any) -> None:
        self.cells[name].cell_contents = value

    def __delitem__(self, name: str) -> None:
        del self.cells[name].cell_contents


class Name(NamedTuple):
    """A name in a holder, which is a dict, a list or ``Cells``, and what it stood for."""

    holder: Any
    key: Any
    value: Any
    label: str  # in words

    def now(self) -> Any:
        """What it stands for now."""
        try:
            return self.holder[self.key]
        except (KeyError, IndexError):
            return UNKNOWN

    def bind(self, value: Any) -> None:
        """Have it stand for ``value``."""
        if value is UNKNOWN:
            del self.holder[self.key]
        else:
            self.holder[self.key] = value

    def changed(self) -> bool:
        """Whether it stands for something else now."""
        now = self.now()
        simple = type(now) is type(self.value) and type(now) in SIMPLE
        return now is not self.value and not (simple and now == self.value)


class Whole(NamedTuple):
    """A holder all of whose names are known, as it was."""

    holder: Any
    known: Any
    label: str
    attributes: bool = False  # whether it holds those of an object

    def name(self, key: Any) -> str:
        """One of its names, in words."""
        dotted = self.attributes or not isinstance(self.holder, (list, dict))
        return f"{self.label}.{key}".lstrip(".") if dotted else f"{self.label}[{key!r}]"

    def resized(self) -> bool:
        """Whether it has more names now, or fewer."""
        return len(self.holder) != len(self.known)


class Code:
    """The functions of the user's that ran in a call, and the names that stand in them."""

    def __init__(self) -> None:
        self.codes: set[types.CodeType] = set()

    def run(self, f: Callable[[], Any]) -> Any:
        """``f()``, noting which functions run."""
        before = sys.getprofile()

        def note(frame: types.FrameType, event: str, arg: Any) -> None:
            if event == "call" and not foreign(frame.f_code.co_filename):
                self.codes.add(frame.f_code)

        sys.setprofile(note)
        try:
            return f()
        finally:
            sys.setprofile(before)

    def names(self, *instructions: str) -> dict[str, str]:
        """What some instructions name, and the line of the first that does."""
        found: dict[str, str] = {}
        for code in list(self.codes):  # more of them may run just now
            line = code.co_firstlineno
            for step in dis.get_instructions(code):
                line = step.starts_line or line
                if step.opname in instructions:
                    found.setdefault(step.argval, f"{path.basename(code.co_filename)}:{line}")
        return found


class Reach:
    """All names that ``root`` reaches, with what they stand for when this is made; those alone that
    the functions of ``code`` use, if it is given."""

    def __init__(self, root: Any, code: Code | None = None) -> None:
        self.names: list[Name] = []
        self.whole: list[Whole] = []
        self._code = code
        self._attributes = set(code.names("LOAD_ATTR", "LOAD_METHOD")) if code else set()
        self._stored = set(code.names("STORE_ATTR")) if code else set()
        self._seen: dict[int, Any] = {}
        self._waiting: list[tuple[Any, str]] = [(root, "")]
        while self._waiting and len(self.names) < MOST:
            self._visit(*self._waiting.pop())
        self.leave_out([])

    def leave_out(self, names: list[Name]) -> None:
        """Have ``intact`` pass over some names."""
        places = {(id(name.holder), name.key) for name in names}
        self._rest = [name for name in self.names if (id(name.holder), name.key) not in places]
        there = [name for name in self._rest if name.value is not UNKNOWN]
        self._columns = list(zip(*[name[:3] for name in there], strict=True)) or [(), (), ()]
        self._absent = [name for name in self._rest if name.value is UNKNOWN]

    def intact(self) -> bool:
        """Whether all names still stand for the same."""
        if any(map(Whole.resized, self.whole)):
            return False
        holders, keys, values = self._columns
        try:
            same = all(map(is_, map(getitem, holders, keys), values))
        except (KeyError, IndexError):
            return False
        same = same and all(name.now() is UNKNOWN for name in self._absent)
        return same or not any(name.changed() for name in self._rest)

    def changes(self) -> list[Name]:
        """The names that now stand for something else, with that."""
        found = [name._replace(value=name.now()) for name in self.names if name.changed()]
        for whole in self.whole:
            holder, size = whole.holder, len(whole.known)
            keys = range(size, len(holder)) if isinstance(holder, list) else holder.keys()
            new = [k for k in keys if isinstance(holder, list) or k not in whole.known]
            found += [Name(holder, key, holder[key], whole.name(key)) for key in new]
        return found

    def restore(self) -> None:
        """Have all names stand for what they stood for when this was made."""
        for whole in self.whole:
            if isinstance(whole.holder, list):
                whole.holder[:] = whole.known
            elif whole.resized():
                for key in whole.holder.keys() - whole.known.keys():
                    del whole.holder[key]
        for name in self.names:
            if name.now() is not name.value:
                name.bind(name.value)

    def signature(self) -> list[Any]:
        """What can be compared with another look: tensors by their form, numbers, identities."""
        return [(id(name.holder), name.key, _form(name.value)) for name in self.names]

    # -- finding them --------------------------------------------------------------------------

    def _visit(self, x: Any, label: str) -> None:
        if id(x) in self._seen or isinstance(x, (Tensor, type, types.ModuleType, *SIMPLE)):
            return
        self._seen[id(x)] = x
        if isinstance(x, types.FunctionType):
            self._function(x)
        elif isinstance(x, types.MethodType):
            self._later(x.__func__, label)
            self._later(x.__self__, label or "self")
        elif isinstance(x, partial):
            for part in (x.func, x.args, x.keywords):
                self._later(part, label)
        elif type(x) in (dict, list):
            self._holder(x, label)
        elif type(x) in (tuple, set, frozenset):
            for part in x:
                self._later(part, label)
        elif isinstance(x, Module) or (of_user(type(x)) and hasattr(x, "__dict__")):
            self._object(x, label or "self")

    def _later(self, x: Any, label: str) -> None:
        self._waiting.append((x, label))

    def _function(self, f: types.FunctionType) -> None:
        own = not foreign(f.__code__.co_filename)
        if own and self._code is not None and f.__code__ not in self._code.codes:
            return
        if f.__closure__:
            self._holder(Cells(f.__code__.co_freevars, f.__closure__), "")
        if own:
            held, kinds = f.__globals__, (type, types.ModuleType)
            names = [name for name in _globals(f.__code__) if name in held]
            names = [name for name in dict.fromkeys(names) if not isinstance(held[name], kinds)]
            self._names(Whole(held, {}, "", True), names)

    def _object(self, x: Any, label: str) -> None:
        attributes, own = vars(x), of_user(type(x))
        whole = Whole(attributes, dict(attributes), label, True)
        keys = [key for key in attributes if key not in (*REGISTRIES, "_transient")]
        if self._code is None:
            self.whole.append(whole)
        elif own:
            keys = [key for key in keys if key in self._attributes or key == "training"]
            missing = [key for key in self._stored - attributes.keys() if not hasattr(x, key)]
            self.names += [Name(attributes, key, UNKNOWN, whole.name(key)) for key in missing]
        self._names(whole, keys)
        if isinstance(x, Module):
            for registry in REGISTRIES:
                self._holder(attributes[registry], label, attributes=registry != "_hooks")
        for cls in type(x).__mro__ if own else ():
            if of_user(cls):
                for f in vars(cls).values():
                    self._later(getattr(f, "__func__", f), "")

    def _holder(self, holder: Any, label: str, attributes: bool = False) -> None:
        whole = Whole(holder, holder.copy(), label, attributes)
        self.whole.append(whole)
        self._names(whole, range(len(holder)) if isinstance(holder, list) else list(holder.keys()))

    def _names(self, whole: Whole, keys: Iterable[Any]) -> None:
        for key in keys:
            value, label = whole.holder[key], whole.name(key)
            self.names.append(Name(whole.holder, key, value, label))
            self._later(value, label)


def _form(x: Any) -> Any:
    if isinstance(x, Tensor):
        return Tensor, x.shape, x.dtype, x.backend.name, x._leaf
    return x if isinstance(x, SIMPLE) else id(x)


def _globals(code: types.CodeType) -> Iterator[str]:
    """The globals that a code may use, and the functions inside it."""
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_GLOBAL", "STORE_GLOBAL"):
            yield step.argval
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from _globals(inner)


@cache
def foreign(file: str) -> bool:
    """Whether a file is of a library, whose globals are its own affair."""
    return of_library(file) or path.abspath(file).startswith(STANDARD)


def of_user(cls: type) -> bool:
    """Whether a class is the user's own."""
    module = sys.modules.get(cls.__module__)
    if module is None or cls.__module__ == "builtins":
        return False
    file = getattr(module, "__file__", None)
    return cls.__module__ == "__main__" if file is None else not foreign(file)
