"""Normalisation as modules, which hold the learned scale and shift."""

from typing import Any

from tinyxp.core import Tensor
from tinyxp.nn import functional as F
from tinyxp.nn import init
from tinyxp.nn.module import Module
from tinyxp.nn.parameter import Parameter
from tinyxp.ops.creation import ones, zeros

__all__ = ["LayerNorm"]


class LayerNorm(Module):
    """y = (x - mean) / √(var + eps) · weight + bias over the trailing axes ``normalized_shape``.

    Source: Ba et al. 2016. Raises ShapeError.

    >>> tx.nn.LayerNorm(3)(tx.asarray([[1.0, 2.0, 3.0]])).detach()
    tensor([[-1.2247356,  0.       ,  1.2247356]])
    """

    def __init__(
        self,
        normalized_shape: int | tuple[int, ...],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else normalized_shape
        self.normalized_shape, self.eps = tuple(shape), eps
        self.elementwise_affine = elementwise_affine
        weight = Parameter(ones(shape, device=device, dtype=dtype)) if elementwise_affine else None
        self.register_parameter("weight", weight)
        has_bias = elementwise_affine and bias
        self.register_parameter(
            "bias", Parameter(zeros(shape, device=device, dtype=dtype)) if has_bias else None
        )

    def reset_parameters(self) -> None:
        """Set the weight to ones and the bias to zeros."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Any:
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        affine = f"elementwise_affine={self.elementwise_affine}"
        return f"{self.normalized_shape}, eps={self.eps}, {affine}, bias={self.bias is not None}"
