"""The gradient that a tensor holds: a tensor of its shape and dtype on its backend."""

from typing import Any

from tinyxp.core.tensor import Tensor
from tinyxp.errors import BackendError, DTypeError, GradientError, ShapeError


def expect_like(what: str, value: Any, x: Tensor) -> None:
    """Raise unless ``value`` is a Tensor on the backend of x, with its shape and its dtype."""
    if not isinstance(value, Tensor):
        raise DTypeError(f"{what} must be a Tensor, got {type(value).__name__}")
    if value.backend is not x.backend:
        raise BackendError(
            f"{what} lies on {value.backend.name!r}, its tensor on {x.backend.name!r}; "
            f"move it: g.to({x.backend.name!r})"
        )
    if value.array.shape != x.array.shape:
        raise ShapeError(f"{what} must have its tensor's shape {x.shape}, got {value.shape}")
    if value.array.dtype != x.array.dtype:
        raise DTypeError(f"{what} must have its tensor's dtype {x.dtype!r}, got {value.dtype!r}")


def assign(self: Tensor, grad: Tensor | None) -> None:
    """``x.grad = g``: None, or a tensor like x."""
    if grad is self:
        raise GradientError("a tensor cannot be its own gradient; clone it")
    if grad is not None:
        expect_like("a gradient", grad, self)
    self._grad = grad


slot = Tensor._grad
Tensor.grad = property(  # type: ignore[assignment]
    slot.__get__, assign, slot.__delete__, "The gradient, once one was computed."
)
