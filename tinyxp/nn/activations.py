"""Activations as modules; see ``functional`` for the formulas."""

from typing import Any

from tinyxp.core import Tensor
from tinyxp.nn import functional as F
from tinyxp.nn.module import Module

__all__ = ["ReLU", "GELU", "SiLU", "Sigmoid", "Tanh", "Softmax"]


class ReLU(Module):
    """y = max(x, 0)."""

    def forward(self, x: Tensor) -> Any:
        return F.relu(x)


class GELU(Module):
    """y = x Φ(x); ``approximate="tanh"`` for GPT-2's form."""

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, x: Tensor) -> Any:
        return F.gelu(x, approximate=self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class SiLU(Module):
    """y = x · sigmoid(x)."""

    def forward(self, x: Tensor) -> Any:
        return F.silu(x)


class Sigmoid(Module):
    """y = 1 / (1 + e⁻ˣ)."""

    def forward(self, x: Tensor) -> Any:
        return F.sigmoid(x)


class Tanh(Module):
    """y = tanh x."""

    def forward(self, x: Tensor) -> Any:
        return F.tanh(x)


class Softmax(Module):
    """y = e^x / Σ e^x along the axis ``dim``."""

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Tensor) -> Any:
        return F.softmax(x, dim=self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"
