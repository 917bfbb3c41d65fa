"""Losses of numbers as modules, which hold their options; see ``functional`` for the formulas."""

from typing import Any

from tinyxp.core.tensor import Tensor
from tinyxp.errors import DTypeError
from tinyxp.nn import functional as F
from tinyxp.nn.loss import Loss

__all__ = [
    "GaussianNLLLoss",
    "HuberLoss",
    "L1Loss",
    "MSELoss",
    "PoissonNLLLoss",
    "SmoothL1Loss",
]


class MSELoss(Loss):
    """(input - target)² of equal shapes; see ``functional.mse_loss``.

    >>> tx.nn.MSELoss()(tx.asarray([1.0, 2.0]), tx.asarray([1.0, 4.0]))
    tensor(2.)
    """

    def forward(self, input: Tensor, target: Tensor) -> Any:
        return F.mse_loss(input, target, reduction=self.reduction)


class L1Loss(Loss):
    """|input - target| of equal shapes; see ``functional.l1_loss``.

    >>> tx.nn.L1Loss()(tx.asarray([1.0, 2.0]), tx.asarray([1.0, 4.0]))
    tensor(1.)
    """

    def forward(self, input: Tensor, target: Tensor) -> Any:
        return F.l1_loss(input, target, reduction=self.reduction)


class SmoothL1Loss(Loss):
    """A parabola up to a distance of β, then straight; see ``functional.smooth_l1_loss``.

    >>> tx.nn.SmoothL1Loss(reduction="sum")(tx.asarray([0.5, 3.0]), tx.zeros(2))
    tensor(2.625)
    """

    def __init__(
        self,
        size_average: Any = None,
        reduce: Any = None,
        reduction: str = "mean",
        beta: float = 1.0,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.beta = beta

    def forward(self, input: Tensor, target: Tensor) -> Any:
        return F.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class HuberLoss(Loss):
    """A parabola up to a distance of δ, then of slope δ; see ``functional.huber_loss``.

    Raises DTypeError for a delta that is no number.

    >>> tx.nn.HuberLoss("sum", delta=2.0)(tx.asarray([1.0, 3.0]), tx.zeros(2))
    tensor(4.5)
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        if not isinstance(delta, (int, float)):
            raise DTypeError(f"HuberLoss expects delta as a number, got {type(delta).__name__}")
        self.delta = delta

    def forward(self, input: Tensor, target: Tensor) -> Any:
        return F.huber_loss(input, target, self.reduction, self.delta)


class PoissonNLLLoss(Loss):
    """-ln of a Poisson distribution at the target; see ``functional.poisson_nll_loss``.

    >>> tx.nn.PoissonNLLLoss()(tx.asarray([0.0]), tx.asarray([2.0]))
    tensor(1.)
    """

    def __init__(
        self,
        log_input: bool = True,
        full: bool = False,
        size_average: Any = None,
        eps: float = 1e-8,
        reduce: Any = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_input, self.full, self.eps = log_input, full, eps

    def forward(self, log_input: Tensor, target: Tensor) -> Any:
        return F.poisson_nll_loss(
            log_input,
            target,
            self.log_input,
            self.full,
            eps=self.eps,
            reduction=self.reduction,
        )


class GaussianNLLLoss(Loss):
    """-ln of a normal distribution at the target; see ``functional.gaussian_nll_loss``.

    >>> tx.nn.GaussianNLLLoss()(tx.asarray([1.0]), tx.asarray([3.0]), tx.asarray([4.0]))
    tensor(1.1931472)
    """

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.full, self.eps = full, eps

    def forward(self, input: Tensor, target: Tensor, var: Tensor | float) -> Any:
        return F.gaussian_nll_loss(input, target, var, self.full, self.eps, self.reduction)
