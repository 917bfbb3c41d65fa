"""Tensors whose numbers stay in the memory of a captured step until somebody asks for them."""

import functools
from typing import Any

from tinyxp.backends import Array
from tinyxp.core.tensor import Tensor

SLOTS: dict[str, Any] = {
    "array": vars(Tensor)["array"],
    "grad": vars(Tensor)["_grad"],
    "_home": vars(Tensor)["_home"],
}
become = vars(object)["__class__"].__set__  # become(x, cls): make x an object of cls


@functools.cache
def deferred_class(cls: type[Tensor]) -> type[Tensor]:
    """The class of tensors of ``cls`` whose numbers stay in a recording. Their ``__class__`` is
    ``cls``, and they are of ``cls`` again once somebody reads their numbers or assigns others.

    It is a class of its own because it would slow down all other tensors.
    """

    def slot(name: str) -> property:
        def read(x: Any) -> Any:
            x._home.fetch(x)
            return getattr(x, name)

        def write(x: Any, value: Any) -> None:
            x._home.fetch(x)
            setattr(x, name, value)

        return property(read, write)

    names: dict[str, Any] = {name: slot(name) for name in ("array", "grad", "_grad")}
    names |= {"__slots__": (), "__class__": property(lambda x: cls)}
    return type(cls.__name__, (cls,), names)


def is_deferred(x: Tensor) -> bool:
    """Whether the numbers of ``x`` are in a recording."""
    return type(x) is not x.__class__


def assign(x: Tensor, array: Array, grad: Tensor | None) -> None:
    """Give ``x`` an array and a gradient, without fetching those in a recording."""
    SLOTS["array"].__set__(x, array)
    SLOTS["grad"].__set__(x, grad)
    become(x, x.__class__)
