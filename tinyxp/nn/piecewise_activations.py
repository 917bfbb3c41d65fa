"""Piecewise activations; see ``functional`` for formulas and sources."""

from dataclasses import KW_ONLY, InitVar
from typing import Any

from tinyxp.nn import functional as F
from tinyxp.nn.fields import FunctionalModule
from tinyxp.nn.init import constant_
from tinyxp.nn.parameter import Parameter
from tinyxp.ops.creation import empty
from tinyxp.random import Generator

__all__ = [
    "CELU", "ELU", "SELU", "Hardshrink", "Hardsigmoid", "Hardswish", "Hardtanh", "LeakyReLU",
    "PReLU", "RReLU", "ReLU", "ReLU6", "Softshrink", "Threshold",
]  # fmt: skip


class ReLU(FunctionalModule, function=F.relu):
    """y = max(x, 0); see ``functional.relu``.

    >>> tx.nn.ReLU()(tx.asarray([-1.0, 2.0]))
    tensor([0., 2.])
    """

    inplace: bool = False


class PReLU(
    FunctionalModule, function=F.prelu, learned=("weight",), shown="num_parameters={num_parameters}"
):
    """y = x above 0, else a x, with learned slopes ``weight`` (num_parameters), initially ``init``.

    ``num_parameters``: 1, or the number of channels; see ``functional.prelu``.

    >>> tx.nn.PReLU()(tx.asarray([-1.0, 2.0])).detach()
    tensor([-0.25,  2.  ])
    """

    num_parameters: int = 1
    init: float = 0.25
    device: InitVar[str | None] = None
    dtype: InitVar[Any] = None

    def __post_init__(self, device: str | None, dtype: Any) -> None:
        self.weight = Parameter(empty(self.num_parameters, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the slopes to ``init``."""
        constant_(self.weight, self.init)


class LeakyReLU(FunctionalModule, function=F.leaky_relu):
    """y = x above 0, else a x, a = ``negative_slope``; see ``functional.leaky_relu``.

    >>> tx.nn.LeakyReLU()(tx.asarray([-1.0, 2.0]))
    tensor([-0.01,  2.  ])
    """

    negative_slope: float = 0.01
    inplace: bool = False


class RReLU(FunctionalModule, function=F.rrelu):
    """y = x above 0, else a x; a ~ U(lower, upper) in training; see ``functional.rrelu``.

    >>> tx.nn.RReLU(0.25, 0.5).eval()(tx.asarray([-8.0, 2.0]))
    tensor([-3.,  2.])
    """

    lower: float = 1 / 8
    upper: float = 1 / 3
    inplace: bool = False
    _: KW_ONLY
    generator: Generator | None = None


class ELU(FunctionalModule, function=F.elu):
    """y = x above 0, else α (eˣ - 1); see ``functional.elu``.

    >>> tx.nn.ELU()(tx.asarray([-1000.0, 2.0]))
    tensor([-1.,  2.])
    """

    alpha: float = 1.0
    inplace: bool = False


class CELU(FunctionalModule, function=F.celu):
    """y = x above 0, else α (e^(x/α) - 1); see ``functional.celu``.

    >>> tx.nn.CELU(3.0)(tx.asarray([-1000.0, 2.0]))
    tensor([-3.,  2.])
    """

    alpha: float = 1.0
    inplace: bool = False


class SELU(FunctionalModule, function=F.selu):
    """y = λ x above 0, else λ α (eˣ - 1); see ``functional.selu``.

    >>> tx.nn.SELU()(tx.asarray([-1000.0, 2.0]))
    tensor([-1.7580993,  2.101402 ])
    """

    inplace: bool = False


class Hardtanh(FunctionalModule, function=F.hardtanh):
    """y = min(max(x, ``min_val``), ``max_val``); see ``functional.hardtanh``.

    >>> tx.nn.Hardtanh()(tx.asarray([-2.0, 0.5, 2.0]))
    tensor([-1. ,  0.5,  1. ])
    """

    min_val: float = -1.0
    max_val: float = 1.0
    inplace: bool = False


class ReLU6(Hardtanh):
    """y = min(max(x, 0), 6); see ``functional.relu6``.

    >>> tx.nn.ReLU6()(tx.asarray([-1.0, 2.0, 8.0]))
    tensor([0., 2., 6.])
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(0.0, 6.0, inplace)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class Hardsigmoid(FunctionalModule, function=F.hardsigmoid):
    """y = min(max(x + 3, 0), 6) / 6; see ``functional.hardsigmoid``.

    >>> tx.nn.Hardsigmoid()(tx.asarray([-4.0, 0.0, 4.0]))
    tensor([0. , 0.5, 1. ])
    """

    inplace: bool = False


class Hardswish(FunctionalModule, function=F.hardswish):
    """y = x · hardsigmoid(x); see ``functional.hardswish``.

    >>> tx.nn.Hardswish()(tx.asarray([0.0, 1.5, 4.0]))
    tensor([0.   , 1.125, 4.   ])
    """

    inplace: bool = False


class Hardshrink(FunctionalModule, function=F.hardshrink, shown="{lambd}"):
    """y = 0 between -λ and λ, else x; see ``functional.hardshrink``.

    >>> tx.nn.Hardshrink()(tx.asarray([-2.0, 0.5, 0.6]))
    tensor([-2. ,  0. ,  0.6])
    """

    lambd: float = 0.5


class Softshrink(FunctionalModule, function=F.softshrink, shown="{lambd}"):
    """y = 0 between -λ and λ, else x - λ sign(x); see ``functional.softshrink``.

    >>> tx.nn.Softshrink()(tx.asarray([-2.0, 0.5, 1.0]))
    tensor([-1.5,  0. ,  0.5])
    """

    lambd: float = 0.5


class Threshold(FunctionalModule, function=F.threshold):
    """y = x above ``threshold``, else ``value``; see ``functional.threshold``.

    >>> tx.nn.Threshold(1.0, 20.0)(tx.asarray([1.0, 2.0]))
    tensor([20.,  2.])
    """

    threshold: float
    value: float
    inplace: bool = False
