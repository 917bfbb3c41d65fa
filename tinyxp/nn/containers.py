"""Modules that hold modules: in a row, in a list, in a dict."""

import itertools
import operator
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from tinyxp.backends.errors import ArgumentError, IndexingError
from tinyxp.nn.module import Module

__all__ = ["Sequential", "ModuleList", "ModuleDict"]


class _Numbered(Module):
    """What Sequential and ModuleList share: children named '0', '1', …"""

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._list())

    def _list(self) -> list[Any]:
        return list(self._modules.values())

    def _name(self, index: Any) -> str:
        i, n = operator.index(index), len(self)
        if not -n <= i < n:
            raise IndexingError(f"index {i} is out of range for {n} modules")
        return list(self._modules)[i]

    def __getitem__(self, index: Any) -> Any:
        """The module at an index; a slice gives a container of the same kind."""
        if isinstance(index, slice):
            picked = list(self._modules.items())[index]
            # a Sequential keeps the names that it was given, a list counts anew
            named = isinstance(self, Sequential)
            new = type(self)()
            for i, (name, module) in enumerate(picked):
                new.add_module(name if named else str(i), module)
            return new
        return self._modules[self._name(index)]

    def __setitem__(self, index: int, module: Module) -> None:
        self.add_module(self._name(index), module)

    def append(self, module: Module) -> Self:
        """Add a module at the end."""
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add modules at the end."""
        for module in list(modules):
            self.append(module)
        return self


class Sequential(_Numbered):
    """Modules applied one after the other: y = fₙ(… f₂(f₁(x))).

    Takes modules, or one dict of them by name.

    >>> tx.nn.Sequential(tx.nn.Linear(2, 3), tx.nn.ReLU())
    Sequential(
      (0): Linear(in_features=2, out_features=3, bias=True)  # weight (3, 2), bias (3,): 9 parameters
      (1): ReLU()
    )  # 9 parameters
    """

    def __init__(self, *modules: Any) -> None:
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            for name, module in modules[0].items():
                self.add_module(name, module)
        else:
            self.extend(modules)

    def forward(self, x: Any) -> Any:
        for module in self._list():
            x = module(x)
        return x


class ModuleList(_Numbered):
    """A list of modules whose parameters are registered; it has no forward of its own.

    >>> len(tx.nn.ModuleList(tx.nn.Linear(2, 2) for _ in range(3)))
    3
    """

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        self.extend(modules or ())

    def _shown(self) -> Iterable[tuple[str, str]]:
        """Equal neighbours once: ``(0-11): 12 x Linear(…)``."""
        for text, run in itertools.groupby(super()._shown(), key=lambda shown: shown[1]):
            names = [name for name, _ in run]
            if len(names) == 1:
                yield names[0], text
            else:
                yield f"{names[0]}-{names[-1]}", f"{len(names)} x {text}"

    def insert(self, index: int, module: Module) -> None:
        """Put a module before ``index``; those after it are renumbered."""
        modules = self._list()
        modules.insert(index, module)
        self._modules.clear()
        self.extend(modules)


class ModuleDict(Module):
    """A dict of modules whose parameters are registered; it has no forward of its own.

    >>> list(tx.nn.ModuleDict({"a": tx.nn.ReLU()}))
    ['a']
    """

    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        super().__init__()
        self.update(modules or {})

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, name: object) -> bool:
        return name in self._modules

    def __getitem__(self, name: str) -> Any:
        if name not in self._modules:
            raise ArgumentError(f"no module is called {name!r}; there are {list(self._modules)}")
        return self._modules[name]

    def __setitem__(self, name: str, module: Module) -> None:
        self.add_module(name, module)

    def __delitem__(self, name: str) -> None:
        del self._modules[name]

    def keys(self) -> Iterable[str]:
        return self._modules.keys()

    def values(self) -> Iterable[Any]:
        return self._modules.values()

    def items(self) -> Iterable[tuple[str, Any]]:
        return self._modules.items()

    def update(self, modules: Mapping[str, Module]) -> None:
        """Add modules by name."""
        for name, module in modules.items():
            self.add_module(name, module)
