"""Parameter: a tensor that a module learns."""

from collections.abc import Mapping
from typing import Any, Self

from tinyxp import backends
from tinyxp.core.tensor import Tensor, to_array, wrap
from tinyxp.ops.creation import empty
from tinyxp.ops.creation import to as moved_to

__all__ = ["Parameter"]


class Parameter(Tensor):
    """A leaf tensor that a module learns: it requires grad, and assigning it registers it.

    ``Parameter(data, requires_grad=True)`` takes a Tensor, an array, numbers or nested lists.

    >>> tx.nn.Parameter([1.0, 2.0])
    Parameter(tensor([1., 2.], requires_grad=True))
    """

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        if isinstance(data, Tensor):
            self.array, self.backend = data.array, data.backend
        else:
            self.array, self.backend = to_array(data)
        self._grad = self._node = self._cut = self._view = None
        self._leaf = False
        self.requires_grad_(requires_grad)

    def __repr__(self) -> str:
        return f"Parameter({super().__repr__()})"

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Copy the values without the gradient, as in PyTorch: the first backward pass of a copied
        model must not add to the gradients of the original."""
        new = super().__deepcopy__(memo)
        new.grad = None
        return new

    def __reduce__(self) -> Any:
        return Parameter, (self.detach(), self._leaf)


def register_empty(module: Any, shapes: Mapping[str, Any], device: str | None, dtype: Any) -> None:
    """Register parameters of these shapes by name, which the caller then initializes; a shape of
    None registers None."""
    for name, shape in shapes.items():
        value = None if shape is None else Parameter(empty(shape, device=device, dtype=dtype))
        module.register_parameter(name, value)


def as_tensor(value: Any) -> Tensor:
    """Make a value of a state a Tensor on its own backend; arrays keep their dtype."""
    if isinstance(value, Tensor):
        return value.detach()
    with backends.using(backends.of(value) or backends.get("numpy")):
        return wrap(*to_array(value))


def like(value: Tensor, here: Tensor) -> Any:
    """Return ``value`` with the dtype, backend and device of ``here``."""
    return moved_to(moved_to(value, here.backend.name, dtype=here.dtype), here.device)
