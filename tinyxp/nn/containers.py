"""Containers of modules: Sequential, ModuleList and ModuleDict."""

import itertools
import operator
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from tinyxp.core.tensor import Tensor
from tinyxp.errors import ArgumentError, DTypeError, IndexingError
from tinyxp.nn.module import Module

__all__ = ["ModuleDict", "ModuleList", "Sequential"]


def place(index: Any, n: int, things: str) -> int:
    """Return an index as one from 0 up. Raises IndexingError."""
    i = operator.index(index)
    if not -n <= i < n:
        raise IndexingError(f"index {i} is out of range for {n} {things}")
    return i % n


def several(name: str, values: Any) -> list[Any]:
    """Return the values of an iterable. Raises DTypeError for a Tensor or anything else."""
    if not isinstance(values, Iterable) or isinstance(values, Tensor):
        raise DTypeError(f"{name} expects a list or another iterable, got {type(values).__name__}")
    return list(values)


def pairs(name: str, values: Any) -> list[tuple[str, Any]]:
    """Return the pairs of a mapping or an iterable. Raises DTypeError, ArgumentError."""
    if hasattr(values, "items"):
        return list(values.items())
    found: list[Any] = [tuple(several(name, pair)) for pair in several(name, values)]
    for i, pair in enumerate(found):
        if len(pair) != 2:
            raise ArgumentError(f"{name} expects pairs (name, value), got {len(pair)} at {i}")
    return found


class Indexed(Module):
    """The base of Sequential, ModuleList and ParameterList, whose values are named '0', '1', …"""

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if not name.isdigit()]

    def __iadd__(self, values: Iterable[Any]) -> Self:
        return self.extend(values)

    def append(self, value: Any) -> Self:
        raise NotImplementedError

    def extend(self, values: Iterable[Any]) -> Self:
        """Add values at the end."""
        for value in several(f"{type(self).__name__}.extend", values):
            self.append(value)
        return self


class _Numbered(Indexed):
    """The base of Sequential and ModuleList."""

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._list())

    def _list(self) -> list[Any]:
        return list(self._modules.values())

    def _name(self, index: Any) -> str:
        return list(self._modules)[place(index, len(self), "modules")]

    def _become(self, modules: list[Any]) -> None:
        """Replace the modules by these, numbered from 0."""
        self._modules.clear()
        self.extend(modules)

    def __getitem__(self, index: Any) -> Any:
        """Return the module at an index, or for a slice a container of the same kind."""
        if isinstance(index, slice):
            picked = list(self._modules.items())[index]
            # a Sequential keeps its names, a list numbers its modules from 0
            named = isinstance(self, Sequential)
            new = type(self)()
            for i, (name, module) in enumerate(picked):
                new.add_module(name if named else str(i), module)
            return new
        return self._modules[self._name(index)]

    def __setitem__(self, index: int, module: Module) -> None:
        self.add_module(self._name(index), module)

    def __delitem__(self, index: Any) -> None:
        """Remove modules; those after them are renumbered."""
        modules = self._list()
        del modules[index if isinstance(index, slice) else place(index, len(self), "modules")]
        self._become(modules)

    def append(self, module: Module) -> Self:
        """Add a module at the end."""
        self.add_module(str(len(self)), module)
        return self

    def insert(self, index: int, module: Module) -> Any:
        """Insert a module before ``index``; those after it are renumbered. Raises IndexingError."""
        modules, n = self._list(), len(self)
        if not isinstance(module, Module):
            raise DTypeError(f"insert expects an nn.Module, got {type(module).__name__}")
        if not -n <= index <= n:
            raise IndexingError(f"index {index} is out of range for an insertion in {n} modules")
        modules.insert(index, module)
        self._become(modules)
        return self

    def pop(self, index: Any = -1) -> Any:
        """Remove and return the module at an index."""
        module = self[index]
        del self[index]
        return module


class Sequential(_Numbered):
    """Modules applied one after the other: y = fₙ(… f₂(f₁(x))).

    Takes modules, or one dict of them by name. ``a + b`` applies b after a, ``a * 3`` applies the
    same modules three times.

    >>> tx.nn.Sequential(tx.nn.Linear(2, 3), tx.nn.ReLU())(tx.ones(2)).shape
    (3,)
    """

    def __init__(self, *modules: Any) -> None:
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            for name, module in modules[0].items():
                self.add_module(name, module)
        else:
            self.extend(modules)

    def forward(self, input: Any) -> Any:
        for module in self._list():
            input = module(input)
        return input

    def __add__(self, other: "Sequential") -> "Sequential":
        if not isinstance(other, Sequential):
            raise DTypeError(f"a Sequential can be added to another, got {type(other).__name__}")
        return Sequential(*self, *other)

    def __iadd__(self, other: Any) -> Self:  # type: ignore[misc]  # in place, so any class
        if not isinstance(other, Sequential):
            raise DTypeError(f"a Sequential can be added to another, got {type(other).__name__}")
        return self.extend(other)

    def __mul__(self, times: int) -> "Sequential":
        return Sequential(*self._repeated(times))

    __rmul__ = __mul__

    def __imul__(self, times: int) -> Self:
        self._become(self._repeated(times))
        return self

    def _repeated(self, times: int) -> list[Any]:
        if not isinstance(times, int):
            raise DTypeError(f"a Sequential is multiplied by an integer, got {times!r}")
        if times < 1:
            raise ArgumentError(f"a Sequential is multiplied by 1 or more, got {times}")
        return self._list() * times


class ModuleList(_Numbered):
    """A list of modules, which are registered; it has no ``forward``.

    >>> len(tx.nn.ModuleList(tx.nn.Linear(2, 2) for _ in range(3)))
    3
    """

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        self.extend(modules or ())

    def __add__(self, other: Iterable[Module]) -> "ModuleList":
        return ModuleList([*self, *other])

    def _children_repr(self) -> Iterable[tuple[str, str]]:
        """Adjacent equal modules are shown once: ``(0-11): 12 x Linear(…)``."""
        for text, run in itertools.groupby(super()._children_repr(), key=lambda shown: shown[1]):
            names = [name for name, _ in run]
            if len(names) == 1:
                yield names[0], text
            else:
                yield f"{names[0]}-{names[-1]}", f"{len(names)} x {text}"


class NamedContainer(Module):
    """The base of ModuleDict and ParameterDict: what they share with a dict."""

    _thing: str

    def _names(self) -> Mapping[str, Any]:
        """A dict that has the names as keys."""
        raise NotImplementedError

    def __len__(self) -> int:
        return len(self._names())

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __contains__(self, name: object) -> bool:
        return name in self._names()

    def __getitem__(self, name: str) -> Any:
        self._expect(name)
        return getattr(self, name)

    def __delitem__(self, name: str) -> None:
        self._expect(name)
        delattr(self, name)

    def _expect(self, name: str) -> None:
        if name not in self:
            raise ArgumentError(f"no {self._thing} is called {name!r}; there are {list(self)}")

    def keys(self) -> Iterable[str]:
        return self._names().keys()

    def values(self) -> Iterable[Any]:
        return [self[name] for name in self]

    def items(self) -> Iterable[tuple[str, Any]]:
        return [(name, self[name]) for name in self]

    def pop(self, name: str) -> Any:
        """Remove and return the value of that name."""
        value = self[name]
        del self[name]
        return value

    def clear(self) -> None:
        """Remove all values."""
        for name in list(self):
            del self[name]


class ModuleDict(NamedContainer):
    """A dict of modules, which are registered; it has no ``forward``.

    >>> list(tx.nn.ModuleDict({"a": tx.nn.ReLU()}))
    ['a']
    """

    _thing = "module"

    def __init__(self, modules: Any = None) -> None:
        super().__init__()
        self.update(modules or {})

    def _names(self) -> Mapping[str, Any]:
        return self._modules

    def __setitem__(self, name: str, module: Module) -> None:
        self.add_module(name, module)

    def update(self, modules: Any) -> None:
        """Add modules by name, from a mapping or pairs (name, module)."""
        for name, module in pairs("ModuleDict.update", modules):
            self.add_module(name, module)
