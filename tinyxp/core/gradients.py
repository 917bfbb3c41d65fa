"""The gradient that a tensor holds: what is assigned has its shape and dtype, and its place."""

from tinyxp.core.tensor import Tensor
from tinyxp.errors import BackendError, DTypeError, GradientError, ShapeError


def assign(self: Tensor, grad: Tensor | None) -> None:
    """``x.grad = g``: None, or a tensor that lies and looks as x does."""
    if grad is None:
        self._grad = None
        return
    if not isinstance(grad, Tensor):
        raise DTypeError(f"a gradient is a Tensor or None, got {type(grad).__name__}")
    if grad is self:
        raise GradientError("a tensor cannot be its own gradient; clone it")
    if grad.backend is not self.backend:
        raise BackendError(
            f"the gradient lies on {grad.backend.name!r}, the tensor on {self.backend.name!r}; "
            f"move it: g.to({self.backend.name!r})"
        )
    ours, theirs = self.array, grad.array
    if theirs.dtype != ours.dtype:
        raise DTypeError(f"the gradient of a {self.dtype!r} has its dtype, got {grad.dtype!r}")
    if theirs.shape != ours.shape:
        raise ShapeError(f"the gradient of {self.shape} has its shape, got {grad.shape}")
    self._grad = grad


slot = Tensor._grad
Tensor.grad = property(  # type: ignore[assignment]
    slot.__get__, assign, slot.__delete__, "The gradient, once one was computed."
)
