"""The linear layer, and the reshaping around it, with the sizes and first values of torch.nn."""

import math
from typing import Any

from tinyxp.core import Tensor
from tinyxp.nn import functional as F
from tinyxp.nn import init
from tinyxp.nn.module import Module
from tinyxp.nn.parameter import Parameter
from tinyxp.ops.creation import empty
from tinyxp.ops.shaping import normalize_axes, reshape
from tinyxp.random import Generator

__all__ = ["Identity", "Linear", "Flatten"]


class Identity(Module):
    """y = x; takes and ignores any arguments, as a stand-in for another module."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, x: Any) -> Any:
        return x


class Linear(Module):
    """y = x Wᵀ + b: (..., in_features) -> (..., out_features).

    ``weight`` (out_features, in_features) and ``bias`` (out_features) start from U(-b, b) with
    b = 1/√in_features. Raises ShapeError.

    >>> tx.nn.Linear(2, 3)(tx.ones((4, 2))).shape
    (4, 3)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: str | None = None,
        dtype: Any = None,
        *,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        weight = empty((out_features, in_features), device=device, dtype=dtype)
        self.weight = Parameter(weight)
        self.register_parameter(
            "bias", Parameter(empty(out_features, device=device, dtype=dtype)) if bias else None
        )
        self.reset_parameters(generator)

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw the first values anew."""
        init.default_(self.weight, self.bias, generator)

    def forward(self, x: Tensor) -> Any:
        return F.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


class Flatten(Module):
    """The axes from ``start_dim`` to ``end_dim`` as one: (N, d₁, d₂, …) -> (N, d₁ · d₂ · …).

    >>> tx.nn.Flatten()(tx.zeros((2, 3, 4))).shape
    (2, 12)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x: Tensor) -> Any:
        (start,) = normalize_axes(self.start_dim, x.ndim)
        (end,) = normalize_axes(self.end_dim, x.ndim)
        middle = math.prod(x.shape[start : end + 1])
        return reshape(x, (*x.shape[:start], middle, *x.shape[end + 1 :]))

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"
