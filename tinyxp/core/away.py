"""Tensors whose numbers lie in the memory of a recorded step, until somebody asks for them."""

import functools
from typing import Any

from tinyxp.backends import Array
from tinyxp.core.tensor import Tensor

SLOTS: dict[str, Any] = {
    "array": vars(Tensor)["array"],
    "grad": vars(Tensor)["_grad"],
    "_home": vars(Tensor)["_home"],
}
become = vars(object)["__class__"].__set__  # become(x, cls): x is an object of cls from now on


@functools.cache
def away(cls: type[Tensor]) -> type[Tensor]:
    """The class of tensors of ``cls`` whose numbers lie in a recording: they say that they are of
    ``cls``, and are again when somebody asks for their numbers, or gives them others.

    A class of its own, as it would slow down all other tensors.
    """

    def slot(name: str) -> property:
        def read(x: Any) -> Any:
            x._home.bring(x)
            return getattr(x, name)

        def write(x: Any, value: Any) -> None:
            x._home.bring(x)
            setattr(x, name, value)

        return property(read, write)

    names: dict[str, Any] = {name: slot(name) for name in ("array", "grad", "_grad")}
    names |= {"__slots__": (), "__class__": property(lambda x: cls)}
    return type(cls.__name__, (cls,), names)


def is_away(x: Tensor) -> bool:
    """Whether the numbers of ``x`` lie in a recording."""
    return type(x) is not x.__class__


def give(x: Tensor, data: Array, grad: Tensor | None) -> None:
    """Give ``x`` numbers, in the place of any that lie in a recording."""
    SLOTS["array"].__set__(x, data)
    SLOTS["grad"].__set__(x, grad)
    become(x, x.__class__)
