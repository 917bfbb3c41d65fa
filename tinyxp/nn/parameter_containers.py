"""Containers of parameters: ParameterList and ParameterDict."""

import operator
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from tinyxp.core.tensor import Tensor
from tinyxp.errors import ArgumentError, DTypeError
from tinyxp.nn.containers import Indexed, NamedContainer, pairs, place
from tinyxp.nn.parameter import Parameter

__all__ = ["ParameterDict", "ParameterList"]


def _as_parameter(value: Any) -> Any:
    """Make a Tensor a Parameter; return anything else unchanged."""
    plain = isinstance(value, Tensor) and not isinstance(value, Parameter)
    return Parameter(value) if plain else value


class ParameterList(Indexed):
    """A list of parameters, which are registered; Tensors become Parameters.

    Other values are stored unchanged, and are not part of the state.

    >>> list(tx.nn.ParameterList([tx.zeros(2), tx.ones(3)]).state_dict())
    ['0', '1']
    """

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        self._size = 0
        self.extend(() if values is None else values)

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(self._size))

    def __getitem__(self, index: Any) -> Any:
        """Return the value at an index, or for a slice a ParameterList."""
        if isinstance(index, slice):
            return type(self)(list(self)[index])
        return getattr(self, str(place(index, self._size, "parameters")))

    def __setitem__(self, index: int, param: Any) -> None:
        setattr(self, str(place(index, self._size, "parameters")), _as_parameter(param))

    def append(self, value: Any) -> Self:
        """Add a value at the end."""
        setattr(self, str(self._size), _as_parameter(value))
        self._size += 1
        return self


class ParameterDict(NamedContainer):
    """A dict of parameters, which are registered; Tensors become Parameters.

    Other values are stored unchanged, and are not part of the state. The items of a plain dict are
    sorted by name, as in PyTorch; an OrderedDict, a ParameterDict or pairs keep their order.

    >>> list(tx.nn.ParameterDict({"b": tx.zeros(2), "a": tx.ones(3)}).state_dict())
    ['a', 'b']
    """

    _thing = "parameter"

    def __init__(self, parameters: Any = None) -> None:
        super().__init__()
        self._keys: dict[str, None] = {}
        self.update({} if parameters is None else parameters)

    def _names(self) -> Mapping[str, Any]:
        return self._keys

    def __reversed__(self) -> Iterator[str]:
        return reversed(self._keys)

    def __setitem__(self, key: str, value: Any) -> None:
        if not isinstance(key, str):
            raise DTypeError(
                f"the names of a ParameterDict must be strings, got {type(key).__name__}"
            )
        if key not in self._keys and hasattr(self, key):
            raise ArgumentError(f"{key!r} is an attribute of ParameterDict; choose another name")
        setattr(self, key, _as_parameter(value))
        self._keys[key] = None

    def __delitem__(self, key: str) -> None:
        super().__delitem__(key)
        del self._keys[key]

    def __or__(self, other: Any) -> "ParameterDict":
        new = self.copy()
        new.update(other)
        return new

    def __ior__(self, other: Any) -> Self:
        self.update(other)
        return self

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of that name, or ``default``."""
        return self[key] if key in self else default  # noqa: SIM401 - this is get

    def setdefault(self, key: str, default: Any = None) -> Any:
        """Return the value of that name, which is set to ``default`` if it is absent."""
        if key not in self:
            self[key] = default
        return self[key]

    def update(self, parameters: Any) -> None:
        """Add values by name, from a mapping or pairs (name, value)."""
        found = pairs("ParameterDict.update", parameters)
        plain = isinstance(parameters, Mapping) and not isinstance(parameters, OrderedDict)
        for key, value in sorted(found, key=operator.itemgetter(0)) if plain else found:
            self[key] = value

    def popitem(self) -> tuple[str, Any]:
        """Remove and return the last pair (name, value)."""
        if not self._keys:
            raise ArgumentError("popitem: the ParameterDict is empty")
        key = next(reversed(self._keys))
        return key, self.pop(key)

    def copy(self) -> "ParameterDict":
        """Return a new dict of the same parameters."""
        return ParameterDict(OrderedDict(self.items()))

    def fromkeys(self, keys: Iterable[str], default: Any = None) -> "ParameterDict":
        """Return a new dict with the same value for all of these names."""
        return ParameterDict([(key, default) for key in keys])
