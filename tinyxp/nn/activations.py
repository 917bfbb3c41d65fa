"""Smooth activations and softmax; see ``functional`` for formulas and sources."""

from typing import Any

from tinyxp.core.operation import expect_tensors
from tinyxp.core.tensor import Tensor
from tinyxp.errors import ShapeError
from tinyxp.nn import functional as F
from tinyxp.nn.fields import FunctionalModule
from tinyxp.nn.module import Module

__all__ = [
    "GELU", "GLU", "LogSigmoid", "LogSoftmax", "Mish", "SiLU", "Sigmoid", "Softmax",
    "Softmax2d", "Softmin", "Softplus", "Softsign", "Tanh", "Tanhshrink",
]  # fmt: skip


class GELU(FunctionalModule, function=F.gelu):
    """y = x Φ(x); ``approximate="tanh"`` for GPT-2's form; see ``functional.gelu``.

    >>> tx.nn.GELU()(tx.asarray([-1.0, 2.0], dtype=tx.float64))
    tensor([-0.15865525,  1.95449974], dtype=float64)
    """

    approximate: str = "none"


class Sigmoid(FunctionalModule, function=F.sigmoid):
    """y = 1 / (1 + e⁻ˣ); see ``functional.sigmoid``.

    >>> tx.nn.Sigmoid()(tx.asarray([-1000.0, 0.0]))
    tensor([0. , 0.5])
    """


class LogSigmoid(FunctionalModule, function=F.logsigmoid):
    """y = ln sigmoid(x); see ``functional.logsigmoid``.

    >>> tx.nn.LogSigmoid()(tx.asarray([-1000.0, 0.0]))
    tensor([-1.000000e+03, -6.931472e-01])
    """


class SiLU(FunctionalModule, function=F.silu):
    """y = x · sigmoid(x); see ``functional.silu``.

    >>> tx.nn.SiLU()(tx.asarray([0.0, 2.0]))
    tensor([0.      , 1.761594])
    """

    inplace: bool = False


class Mish(FunctionalModule, function=F.mish):
    """y = x · tanh(ln(1 + eˣ)); see ``functional.mish``.

    >>> tx.nn.Mish()(tx.asarray([0.0, 2.0]))
    tensor([0.       , 1.9439589])
    """

    inplace: bool = False


class Softplus(FunctionalModule, function=F.softplus):
    """y = ln(1 + e^(βx)) / β, and x where βx is above ``threshold``; see ``functional.softplus``.

    >>> tx.nn.Softplus()(tx.asarray([0.0, 1000.0]))
    tensor([6.931472e-01, 1.000000e+03])
    """

    beta: float = 1.0
    threshold: float = 20.0


class Softsign(FunctionalModule, function=F.softsign):
    """y = x / (1 + |x|); see ``functional.softsign``.

    >>> tx.nn.Softsign()(tx.asarray([-1.0, 3.0]))
    tensor([-0.5 ,  0.75])
    """


class Tanh(FunctionalModule, function=F.tanh):
    """y = tanh x.

    >>> tx.nn.Tanh()(tx.asarray([0.0, 1.0]))
    tensor([0.       , 0.7615942])
    """


class Tanhshrink(FunctionalModule, function=F.tanhshrink):
    """y = x - tanh x; see ``functional.tanhshrink``.

    >>> tx.nn.Tanhshrink()(tx.asarray([0.0, 1.0]))
    tensor([0.        , 0.23840582])
    """


class GLU(FunctionalModule, function=F.glu):
    """y = a · sigmoid(b), a and b the halves of x along ``dim``; see ``functional.glu``.

    >>> tx.nn.GLU()(tx.asarray([1.0, 2.0, 0.0, 0.0]))
    tensor([0.5, 1. ])
    """

    dim: int = -1


class Softmax(FunctionalModule, function=F.softmax):
    """y = e^x / Σ e^x along the axis ``dim``; see ``functional.softmax``.

    >>> tx.nn.Softmax(dim=0)(tx.asarray([0.0, 0.0]))
    tensor([0.5, 0.5])
    """

    dim: int | None = None


class Softmin(FunctionalModule, function=F.softmin):
    """y = softmax(-x) along the axis ``dim``; see ``functional.softmin``.

    >>> tx.nn.Softmin(dim=0)(tx.asarray([0.0, 0.0, 1000.0]))
    tensor([0.5, 0.5, 0. ])
    """

    dim: int | None = None


class LogSoftmax(FunctionalModule, function=F.log_softmax):
    """y = x - ln Σ e^x along the axis ``dim``; see ``functional.log_softmax``.

    >>> tx.nn.LogSoftmax(dim=0)(tx.asarray([0.0, 0.0]))
    tensor([-0.6931472, -0.6931472])
    """

    dim: int | None = None


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
