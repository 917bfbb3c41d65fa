"""Smooth activations and softmax as modules, ``nn.GELU()(x)``; see ``functional`` for formulas."""

from typing import Any

from tinyxp.core.operation import expect_tensors
from tinyxp.core.tensor import Tensor
from tinyxp.errors import ShapeError
from tinyxp.nn import functional as F
from tinyxp.nn.module import Module

__all__ = [
    "GELU",
    "GLU",
    "LogSigmoid",
    "LogSoftmax",
    "Mish",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softmax2d",
    "Softmin",
    "Softplus",
    "Softsign",
    "Tanh",
    "Tanhshrink",
]


class InPlace(Module):
    """What activations share that can write over their input: (...) -> (...)."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def options(self) -> str:
        """What ``extra_repr`` shows in front of ``inplace``."""
        return ""

    def extra_repr(self) -> str:
        shown = [self.options(), "inplace=True" if self.inplace else ""]
        return ", ".join(filter(None, shown))


class GELU(Module):
    """y = x Φ(x); ``approximate="tanh"`` for GPT-2's form; see ``functional.gelu``.

    >>> tx.nn.GELU()(tx.asarray([-1.0, 2.0], dtype=tx.float64))
    tensor([-0.15865525,  1.95449974], dtype=float64)
    """

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, input: Tensor) -> Any:
        return F.gelu(input, self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class Sigmoid(Module):
    """y = 1 / (1 + e⁻ˣ); see ``functional.sigmoid``.

    >>> tx.nn.Sigmoid()(tx.asarray([-1000.0, 0.0]))
    tensor([0. , 0.5])
    """

    def forward(self, input: Tensor) -> Any:
        return F.sigmoid(input)


class LogSigmoid(Module):
    """y = ln sigmoid(x); see ``functional.logsigmoid``.

    >>> tx.nn.LogSigmoid()(tx.asarray([-1000.0, 0.0]))
    tensor([-1.000000e+03, -6.931472e-01])
    """

    def forward(self, input: Tensor) -> Any:
        return F.logsigmoid(input)


class SiLU(InPlace):
    """y = x · sigmoid(x); see ``functional.silu``.

    >>> tx.nn.SiLU()(tx.asarray([0.0, 2.0]))
    tensor([0.      , 1.761594])
    """

    def forward(self, input: Tensor) -> Any:
        return F.silu(input, self.inplace)


class Mish(InPlace):
    """y = x · tanh(ln(1 + eˣ)); see ``functional.mish``.

    >>> tx.nn.Mish()(tx.asarray([0.0, 2.0]))
    tensor([0.       , 1.9439589])
    """

    def forward(self, input: Tensor) -> Any:
        return F.mish(input, self.inplace)


class Softplus(Module):
    """y = ln(1 + e^(βx)) / β, and x where βx is above ``threshold``; see ``functional.softplus``.

    >>> tx.nn.Softplus()(tx.asarray([0.0, 1000.0]))
    tensor([6.931472e-01, 1.000000e+03])
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta, self.threshold = beta, threshold

    def forward(self, input: Tensor) -> Any:
        return F.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class Softsign(Module):
    """y = x / (1 + |x|); see ``functional.softsign``.

    >>> tx.nn.Softsign()(tx.asarray([-1.0, 3.0]))
    tensor([-0.5 ,  0.75])
    """

    def forward(self, input: Tensor) -> Any:
        return F.softsign(input)


class Tanh(Module):
    """y = tanh x.

    >>> tx.nn.Tanh()(tx.asarray([0.0, 1.0]))
    tensor([0.       , 0.7615942])
    """

    def forward(self, input: Tensor) -> Any:
        return F.tanh(input)


class Tanhshrink(Module):
    """y = x - tanh x; see ``functional.tanhshrink``.

    >>> tx.nn.Tanhshrink()(tx.asarray([0.0, 1.0]))
    tensor([0.        , 0.23840582])
    """

    def forward(self, input: Tensor) -> Any:
        return F.tanhshrink(input)


class GLU(Module):
    """y = a · sigmoid(b), a and b the halves of x along ``dim``; see ``functional.glu``.

    >>> tx.nn.GLU()(tx.asarray([1.0, 2.0, 0.0, 0.0]))
    tensor([0.5, 1. ])
    """

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Any:
        return F.glu(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class _Along(Module):
    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Softmax(_Along):
    """y = e^x / Σ e^x along the axis ``dim``; see ``functional.softmax``.

    >>> tx.nn.Softmax(dim=0)(tx.asarray([0.0, 0.0]))
    tensor([0.5, 0.5])
    """

    def forward(self, input: Tensor) -> Any:
        return F.softmax(input, self.dim)


class Softmin(_Along):
    """y = softmax(-x) along the axis ``dim``; see ``functional.softmin``.

    >>> tx.nn.Softmin(dim=0)(tx.asarray([0.0, 0.0, 1000.0]))
    tensor([0.5, 0.5, 0. ])
    """

    def forward(self, input: Tensor) -> Any:
        return F.softmin(input, self.dim)


class LogSoftmax(_Along):
    """y = x - ln Σ e^x along the axis ``dim``; see ``functional.log_softmax``.

    >>> tx.nn.LogSoftmax(dim=0)(tx.asarray([0.0, 0.0]))
    tensor([-0.6931472, -0.6931472])
    """

    def forward(self, input: Tensor) -> Any:
        return F.log_softmax(input, self.dim)


class Softmax2d(Module):
    """Softmax over the channels of each pixel: (N, C, H, W) or (C, H, W). Raises ShapeError.

    >>> tx.nn.Softmax2d()(tx.zeros((2, 1, 1))).flatten()
    tensor([0.5, 0.5])
    """

    def forward(self, input: Tensor) -> Any:
        expect_tensors("Softmax2d", input)
        if input.ndim not in (3, 4):
            raise ShapeError(f"Softmax2d expects (N, C, H, W) or (C, H, W), got {input.shape}")
        return F.softmax(input, -3)
