"""Closures, classes and slots as dicts: the values of their names can be read and replaced."""

from collections.abc import Iterator
from types import FunctionType
from typing import Any


class Cells:
    """The variables of a function's closure."""

    def __init__(self, f: FunctionType) -> None:
        self.cells = dict(zip(f.__code__.co_freevars, f.__closure__ or (), strict=True))

    def __getitem__(self, name: str) -> Any:
        try:
            return self.cells[name].cell_contents
        except ValueError:  # not bound yet
            raise KeyError(name) from None

    def __setitem__(self, name: str, value: Any) -> None:
        self.cells[name].cell_contents = value

    def __delitem__(self, name: str) -> None:
        del self.cells[name].cell_contents


class Slots:
    """The attributes of an object that has slots for them."""

    def __init__(self, x: Any, names: list[str]) -> None:
        self.x, self.names = x, names

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __getitem__(self, name: str) -> Any:
        try:
            return getattr(self.x, name)
        except AttributeError:
            raise KeyError(name) from None

    def __setitem__(self, name: str, value: Any) -> None:
        setattr(self.x, name, value)

    def __delitem__(self, name: str) -> None:
        delattr(self.x, name)


class ClassAttributes(Slots):
    """The attributes of a class."""

    def __init__(self, cls: type) -> None:
        super().__init__(cls, list(vars(cls)))

    def __getitem__(self, name: str) -> Any:
        value = vars(self.x)[name]
        return value.__func__ if isinstance(value, (staticmethod, classmethod)) else value


def slots_of(cls: type) -> list[str]:
    """The names of the slots of a class."""
    found = [vars(c).get("__slots__", ()) for c in cls.__mro__]
    names = [name for names in found for name in ([names] if isinstance(names, str) else names)]
    return [name for name in names if name not in ("__dict__", "__weakref__")]
