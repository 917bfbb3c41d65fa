"""The layers that a model is built of. Sizes, defaults and first values are those of torch.nn."""

import math
from typing import Any

from tinyxp.backends.errors import ArgumentError
from tinyxp.core import Tensor
from tinyxp.nn import functional as F
from tinyxp.nn import init
from tinyxp.nn.module import Module
from tinyxp.nn.parameter import Parameter
from tinyxp.ops.creation import empty, ones, zeros
from tinyxp.ops.shaping import normalize_axes, reshape
from tinyxp.random import Generator


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


class Embedding(Module):
    """y[...] = weight[x[...]]: integers (...) -> (..., embedding_dim).

    ``weight`` (num_embeddings, embedding_dim) starts from N(0, 1); the row ``padding_idx`` starts
    as zeros and gets no gradient. Raises IndexingError, DTypeError, ArgumentError.

    >>> tx.nn.Embedding(10, 3)(tx.asarray([[1, 9]])).shape
    (1, 2, 3)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        device: str | None = None,
        dtype: Any = None,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        n = num_embeddings
        if padding_idx is not None and not -n <= padding_idx < n:
            raise ArgumentError(f"padding_idx {padding_idx} is out of range for {n} embeddings")
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = None if padding_idx is None else padding_idx % n
        self.weight = Parameter(empty((n, embedding_dim), device=device, dtype=dtype))
        self.reset_parameters(generator)

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw the first values anew."""
        init.normal_(self.weight, generator=generator)
        if self.padding_idx is not None:
            weight = self.weight.detach()
            weight[self.padding_idx] = 0.0
            self.weight.data = weight.data

    def forward(self, x: Tensor) -> Any:
        return F.embedding(x, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"


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


class Dropout(Module):
    """While training, 0 with probability p and x / (1 - p) otherwise; else x as it is.

    Raises ArgumentError for p outside of [0, 1].

    >>> tx.nn.Dropout(0.5).eval()(tx.ones(2))
    tensor([1., 1.])
    """

    def __init__(self, p: float = 0.5, *, generator: Generator | None = None) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ArgumentError(f"a dropout probability lies in [0, 1], got {p}")
        self.p, self.generator = p, generator

    def forward(self, x: Tensor) -> Any:
        return F.dropout(x, self.p, self.training, generator=self.generator)

    def extra_repr(self) -> str:
        return f"p={self.p}"


class Identity(Module):
    """y = x; takes and ignores any arguments, as a stand-in for another module."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, x: Any) -> Any:
        return x


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
