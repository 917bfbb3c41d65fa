"""Losses of regression; see ``functional`` for formulas and sources."""

from dataclasses import KW_ONLY, InitVar
from typing import Any

from tinyxp.core.tensor import Tensor
from tinyxp.errors import DTypeError
from tinyxp.nn import functional as F
from tinyxp.nn.loss import Criterion, Loss

__all__ = ["GaussianNLLLoss", "HuberLoss", "L1Loss", "MSELoss", "PoissonNLLLoss", "SmoothL1Loss"]


class MSELoss(Loss, function=F.mse_loss):
    """(input - target)² of equal shapes; see ``functional.mse_loss``.

    >>> tx.nn.MSELoss()(tx.asarray([1.0, 2.0]), tx.asarray([1.0, 4.0]))
    tensor(2.)
    """


class L1Loss(Loss, function=F.l1_loss):
    """|input - target| of equal shapes; see ``functional.l1_loss``.

    >>> tx.nn.L1Loss()(tx.asarray([1.0, 2.0]), tx.asarray([1.0, 4.0]))
    tensor(1.)
    """


class SmoothL1Loss(Loss, function=F.smooth_l1_loss):
    """A parabola up to a distance of β, then a line; see ``functional.smooth_l1_loss``.

    >>> tx.nn.SmoothL1Loss(reduction="sum")(tx.asarray([0.5, 3.0]), tx.zeros(2))
    tensor(2.625)
    """

    beta: float = 1.0


class HuberLoss(Criterion, function=F.huber_loss):
    """A parabola up to a distance of δ, then a line of slope δ; see ``functional.huber_loss``.

    Raises DTypeError if delta is not a number.

    >>> tx.nn.HuberLoss("sum", delta=2.0)(tx.asarray([1.0, 3.0]), tx.zeros(2))
    tensor(4.5)
    """

    reduction: str = "mean"
    delta: float = 1.0

    def __post_init__(self, size_average: Any = None, reduce: Any = None) -> None:
        super().__post_init__(size_average, reduce)
        if not isinstance(self.delta, (int, float)):
            name = type(self.delta).__name__
            raise DTypeError(f"HuberLoss expects delta as a number, got {name}")


class PoissonNLLLoss(Criterion):
    """-ln of a Poisson distribution at the target; see ``functional.poisson_nll_loss``.

    >>> tx.nn.PoissonNLLLoss()(tx.asarray([0.0]), tx.asarray([2.0]))
    tensor(1.)
    """

    log_input: bool = True
    full: bool = False
    size_average: InitVar[Any] = None
    eps: float = 1e-8
    reduce: InitVar[Any] = None
    reduction: str = "mean"

    def forward(self, log_input: Tensor, target: Tensor) -> Any:
        return F.poisson_nll_loss(
            log_input, target, self.log_input, self.full, eps=self.eps, reduction=self.reduction
        )


class GaussianNLLLoss(Criterion, function=F.gaussian_nll_loss):
    """-ln of a normal distribution at the target; see ``functional.gaussian_nll_loss``.

    >>> tx.nn.GaussianNLLLoss()(tx.asarray([1.0]), tx.asarray([3.0]), tx.asarray([4.0]))
    tensor(1.1931472)
    """

    _: KW_ONLY
    full: bool = False
    eps: float = 1e-6
    reduction: str = "mean"
