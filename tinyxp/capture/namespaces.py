"""Closures, classes and slots as dicts: the values of their names can be read and replaced."""

from collections.abc import Iterator
from types import FunctionType
from typing import Any


class Slots:
    """The attributes of an object that has slots for them."""

    def __init__(self, x: Any, names: list[str]) -> None:
        self.places = {name: (x, name) for name in names}  # an object and its attribute

    def __iter__(self) -> Iterator[str]:
        return iter(self.places)

    def __getitem__(self, name: str) -> Any:
        try:
            return getattr(*self.places[name])
        except (AttributeError, ValueError):  # an empty slot or cell
            raise KeyError(name) from None

    def __setitem__(self, name: str, value: Any) -> None:
        setattr(*self.places[name], value)

    def __delitem__(self, name: str) -> None:
        delattr(*self.places[name])


class Cells(Slots):
    """The variables of a function's closure."""

    def __init__(self, f: FunctionType) -> None:
        cells = zip(f.__code__.co_freevars, f.__closure__ or (), strict=True)
        self.places = {name: (cell, "cell_contents") for name, cell in cells}


class ClassAttributes(Slots):
    """The attributes of a class."""

    def __init__(self, cls: type) -> None:
        super().__init__(cls, list(vars(cls)))

    def __getitem__(self, name: str) -> Any:
        value = vars(self.places[name][0])[name]
        return value.__func__ if isinstance(value, (staticmethod, classmethod)) else value


def slots_of(cls: type) -> list[str]:
    """The names of the slots of a class."""
    found = [vars(c).get("__slots__", ()) for c in cls.__mro__]
    names = [name for names in found for name in ([names] if isinstance(names, str) else names)]
    return [name for name in names if name not in ("__dict__", "__weakref__")]
