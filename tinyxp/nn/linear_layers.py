"""Linear and bilinear layers, and modules that reshape, with the initialization of torch.nn."""

import math
from dataclasses import KW_ONLY, InitVar
from typing import Any

from tinyxp.core.operation import expect_tensors
from tinyxp.core.tensor import Tensor
from tinyxp.errors import ArgumentError, DTypeError, ShapeError
from tinyxp.nn import functional as F
from tinyxp.nn import init
from tinyxp.nn.fields import FieldModule, FunctionalModule
from tinyxp.nn.module import Module
from tinyxp.nn.parameter import register_empty
from tinyxp.ops.shaping import flatten, normalize_axis, reshape
from tinyxp.random import Generator

__all__ = ["Bilinear", "Flatten", "Identity", "Linear", "Unflatten"]


class Identity(Module):
    """y = x; any arguments are accepted and ignored, so it can replace another module.

    >>> tx.nn.Identity()(tx.ones(2))
    tensor([1., 1.])
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Any) -> Any:
        return input


class Linear(
    FunctionalModule,
    function=F.linear,
    learned=("weight", "bias"),
    shown="in_features={in_features}, out_features={out_features}, bias={has_bias}",
):
    """y = x Wᵀ + b: (..., in_features) -> (..., out_features).

    ``weight`` (out_features, in_features) and ``bias`` (out_features) start from U(-b, b) with
    b = 1/√in_features. Raises ShapeError.

    >>> tx.nn.Linear(2, 3)(tx.ones((4, 2))).shape
    (4, 3)
    """

    in_features: int
    out_features: int
    bias: InitVar[bool] = True
    device: InitVar[str | None] = None
    dtype: InitVar[Any] = None
    _: KW_ONLY
    generator: InitVar[Generator | None] = None

    def __post_init__(
        self, bias: bool, device: str | None, dtype: Any, generator: Generator | None
    ) -> None:
        m, n = self.in_features, self.out_features
        register_empty(self, {"weight": (n, m), "bias": n if bias else None}, device, dtype)
        self.reset_parameters(generator)

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw new initial values."""
        init.default_(self.weight, self.bias, generator)


class Bilinear(
    FunctionalModule,
    function=F.bilinear,
    learned=("weight", "bias"),
    shown="in1_features={in1_features}, in2_features={in2_features}, "
    "out_features={out_features}, bias={has_bias}",
):
    """yₖ = Σᵢⱼ x₁ᵢ Wₖᵢⱼ x₂ⱼ + bₖ: (..., in1_features), (..., in2_features) -> (..., out_features).

    ``weight`` (out_features, in1_features, in2_features) and ``bias`` (out_features) start from
    U(-b, b) with b = 1/√in1_features. Raises ShapeError, ArgumentError.

    >>> tx.nn.Bilinear(2, 3, 5)(tx.ones((4, 2)), tx.ones((4, 3))).shape
    (4, 5)
    """

    in1_features: int
    in2_features: int
    out_features: int
    bias: InitVar[bool] = True
    device: InitVar[str | None] = None
    dtype: InitVar[Any] = None
    _: KW_ONLY
    generator: InitVar[Generator | None] = None

    def __post_init__(
        self, bias: bool, device: str | None, dtype: Any, generator: Generator | None
    ) -> None:
        m, n = self.in1_features, self.out_features
        if m <= 0:
            raise ArgumentError(f"Bilinear expects in1_features of 1 or more, got {m}")
        shapes = {"weight": (n, m, self.in2_features), "bias": n if bias else None}
        register_empty(self, shapes, device, dtype)
        self.reset_parameters(generator)

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw new initial values."""
        bound = 1 / math.sqrt(self.in1_features)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound, generator)


class Flatten(FieldModule):
    """Merge the axes from ``start_dim`` to ``end_dim``: (N, d₁, d₂, …) -> (N, d₁ · d₂ · …).

    >>> tx.nn.Flatten()(tx.zeros((2, 3, 4))).shape
    (2, 12)
    """

    start_dim: int = 1
    end_dim: int = -1

    def forward(self, input: Tensor) -> Any:
        return flatten(input, self.start_dim, self.end_dim)


class Unflatten(FieldModule):
    """Split the axis ``dim``: (N, d₁ · d₂ · …) -> (N, d₁, d₂, …). One of the sizes may be -1.

    Raises ShapeError unless their product is the length of the axis.

    >>> tx.nn.Unflatten(1, (3, 4))(tx.zeros((2, 12))).shape
    (2, 3, 4)
    """

    dim: int
    unflattened_size: tuple[int, ...]

    def __post_init__(self) -> None:
        dim, sizes = self.dim, self.unflattened_size
        if not isinstance(dim, int) or not isinstance(sizes, (tuple, list)):
            raise DTypeError(f"Unflatten expects an axis and a tuple of sizes, got {dim}, {sizes}")
        if not all(isinstance(n, int) for n in sizes):
            raise DTypeError(f"Unflatten expects sizes that are integers, got {sizes}")

    def forward(self, input: Tensor) -> Any:
        expect_tensors("Unflatten", input)
        dim = normalize_axis("Unflatten", self.dim, input.ndim)
        n, sizes = input.shape[dim], list(self.unflattened_size)
        known = math.prod(size for size in sizes if size != -1)
        if sizes.count(-1) == 1 and known and n % known == 0:
            sizes[sizes.index(-1)] = n // known
        if math.prod(sizes) != n or min(sizes, default=-1) < 0:
            raise ShapeError(
                f"Unflatten cannot split axis {dim} of length {n} into {self.unflattened_size}; "
                "the product of the sizes must be that length"
            )
        return reshape(input, (*input.shape[:dim], *sizes, *input.shape[dim + 1 :]))
