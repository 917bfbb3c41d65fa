"""Activations made of pieces, as modules, ``nn.ReLU()(x)``; see ``functional`` for formulas."""

from typing import Any

from tinyxp.core.tensor import Tensor
from tinyxp.nn import functional as F
from tinyxp.nn.activations import InPlace
from tinyxp.nn.init import constant_
from tinyxp.nn.module import Module
from tinyxp.nn.parameter import Parameter
from tinyxp.ops.creation import empty
from tinyxp.random import Generator

__all__ = [
    "CELU",
    "ELU",
    "SELU",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LeakyReLU",
    "PReLU",
    "RReLU",
    "ReLU",
    "ReLU6",
    "Softshrink",
    "Threshold",
]


class ReLU(InPlace):
    """y = max(x, 0); see ``functional.relu``.

    >>> tx.nn.ReLU()(tx.asarray([-1.0, 2.0]))
    tensor([0., 2.])
    """

    def forward(self, input: Tensor) -> Any:
        return F.relu(input, self.inplace)


class PReLU(Module):
    """y = x above 0, else a x, the slopes ``weight`` (num_parameters) learned from ``init`` on.

    ``num_parameters``: 1, or the number of channels; see ``functional.prelu``.

    >>> tx.nn.PReLU()(tx.asarray([-1.0, 2.0])).detach()
    tensor([-0.25,  2.  ])
    """

    def __init__(
        self,
        num_parameters: int = 1,
        init: float = 0.25,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.num_parameters, self.init = num_parameters, init
        self.weight = Parameter(empty(num_parameters, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the slopes to ``init``."""
        constant_(self.weight, self.init)

    def forward(self, input: Tensor) -> Any:
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class LeakyReLU(InPlace):
    """y = x above 0, else a x, a = ``negative_slope``; see ``functional.leaky_relu``.

    >>> tx.nn.LeakyReLU()(tx.asarray([-1.0, 2.0]))
    tensor([-0.01,  2.  ])
    """

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.negative_slope = negative_slope

    def forward(self, input: Tensor) -> Any:
        return F.leaky_relu(input, self.negative_slope, self.inplace)

    def options(self) -> str:
        return f"negative_slope={self.negative_slope}"


class RReLU(InPlace):
    """y = x above 0, else a x; a ~ U(lower, upper) in training; see ``functional.rrelu``.

    >>> tx.nn.RReLU(0.25, 0.5).eval()(tx.asarray([-8.0, 2.0]))
    tensor([-3.,  2.])
    """

    def __init__(
        self,
        lower: float = 1 / 8,
        upper: float = 1 / 3,
        inplace: bool = False,
        *,
        generator: Generator | None = None,
    ) -> None:
        super().__init__(inplace)
        self.lower, self.upper, self.generator = lower, upper, generator

    def forward(self, input: Tensor) -> Any:
        place = self.lower, self.upper, self.training, self.inplace
        return F.rrelu(input, *place, generator=self.generator)

    def options(self) -> str:
        return f"lower={self.lower}, upper={self.upper}"


class _Alpha(InPlace):
    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.alpha = alpha

    def options(self) -> str:
        return f"alpha={self.alpha}"


class ELU(_Alpha):
    """y = x above 0, else α (eˣ - 1); see ``functional.elu``.

    >>> tx.nn.ELU()(tx.asarray([-1000.0, 2.0]))
    tensor([-1.,  2.])
    """

    def forward(self, input: Tensor) -> Any:
        return F.elu(input, self.alpha, self.inplace)


class CELU(_Alpha):
    """y = x above 0, else α (e^(x/α) - 1); see ``functional.celu``.

    >>> tx.nn.CELU(3.0)(tx.asarray([-1000.0, 2.0]))
    tensor([-3.,  2.])
    """

    def forward(self, input: Tensor) -> Any:
        return F.celu(input, self.alpha, self.inplace)


class SELU(InPlace):
    """y = λ x above 0, else λ α (eˣ - 1); see ``functional.selu``.

    >>> tx.nn.SELU()(tx.asarray([-1000.0, 2.0]))
    tensor([-1.7580993,  2.101402 ])
    """

    def forward(self, input: Tensor) -> Any:
        return F.selu(input, self.inplace)


class Hardtanh(InPlace):
    """y = x held between ``min_val`` and ``max_val``; see ``functional.hardtanh``.

    >>> tx.nn.Hardtanh()(tx.asarray([-2.0, 0.5, 2.0]))
    tensor([-1. ,  0.5,  1. ])
    """

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.min_val, self.max_val = min_val, max_val

    def forward(self, input: Tensor) -> Any:
        return F.hardtanh(input, self.min_val, self.max_val, self.inplace)

    def options(self) -> str:
        return f"min_val={self.min_val}, max_val={self.max_val}"


class ReLU6(Hardtanh):
    """y = min(max(x, 0), 6); see ``functional.relu6``.

    >>> tx.nn.ReLU6()(tx.asarray([-1.0, 2.0, 8.0]))
    tensor([0., 2., 6.])
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(0.0, 6.0, inplace)

    def options(self) -> str:
        return ""


class Hardsigmoid(InPlace):
    """y = min(max(x + 3, 0), 6) / 6; see ``functional.hardsigmoid``.

    >>> tx.nn.Hardsigmoid()(tx.asarray([-4.0, 0.0, 4.0]))
    tensor([0. , 0.5, 1. ])
    """

    def forward(self, input: Tensor) -> Any:
        return F.hardsigmoid(input, self.inplace)


class Hardswish(InPlace):
    """y = x · hardsigmoid(x); see ``functional.hardswish``.

    >>> tx.nn.Hardswish()(tx.asarray([0.0, 1.5, 4.0]))
    tensor([0.   , 1.125, 4.   ])
    """

    def forward(self, input: Tensor) -> Any:
        return F.hardswish(input, self.inplace)


class _Shrink(Module):
    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def extra_repr(self) -> str:
        return f"{self.lambd}"


class Hardshrink(_Shrink):
    """y = 0 between -λ and λ, else x; see ``functional.hardshrink``.

    >>> tx.nn.Hardshrink()(tx.asarray([-2.0, 0.5, 0.6]))
    tensor([-2. ,  0. ,  0.6])
    """

    def forward(self, input: Tensor) -> Any:
        return F.hardshrink(input, self.lambd)


class Softshrink(_Shrink):
    """y = 0 between -λ and λ, else x nearer to 0 by λ; see ``functional.softshrink``.

    >>> tx.nn.Softshrink()(tx.asarray([-2.0, 0.5, 1.0]))
    tensor([-1.5,  0. ,  0.5])
    """

    def forward(self, input: Tensor) -> Any:
        return F.softshrink(input, self.lambd)


class Threshold(InPlace):
    """y = x above ``threshold``, else ``value``; see ``functional.threshold``.

    >>> tx.nn.Threshold(1.0, 20.0)(tx.asarray([1.0, 2.0]))
    tensor([20.,  2.])
    """

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.threshold, self.value = threshold, value

    def forward(self, input: Tensor) -> Any:
        return F.threshold(input, self.threshold, self.value, self.inplace)

    def options(self) -> str:
        return f"threshold={self.threshold}, value={self.value}"
