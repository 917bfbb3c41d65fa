"""Losses of probabilities as modules, which hold their options; see ``functional``."""

from typing import Any

from tinyxp.core.tensor import Tensor
from tinyxp.nn import functional as F
from tinyxp.nn.loss import Loss, WeightedLoss

__all__ = ["BCELoss", "BCEWithLogitsLoss", "KLDivLoss", "MultiLabelSoftMarginLoss"]


class BCELoss(WeightedLoss):
    """-(t ln p + (1 - t) ln(1 - p)); see ``functional.binary_cross_entropy``.

    >>> tx.nn.BCELoss()(tx.asarray([0.5, 0.0]), tx.asarray([1.0, 0.0]))
    tensor(0.3465736)
    """

    def forward(self, input: Tensor, target: Tensor) -> Any:
        return F.binary_cross_entropy(input, target, self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(WeightedLoss):
    """BCELoss of sigmoid(input), exact for any size; see ``functional``.

    >>> tx.nn.BCEWithLogitsLoss()(tx.asarray([1000.0, 0.0]), tx.asarray([1.0, 0.0]))
    tensor(0.3465736)
    """

    pos_weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: Any = None,
        reduce: Any = None,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: Tensor, target: Tensor) -> Any:
        return F.binary_cross_entropy_with_logits(
            input,
            target,
            self.weight,
            reduction=self.reduction,
            pos_weight=self.pos_weight,
        )


class MultiLabelSoftMarginLoss(WeightedLoss):
    """The mean of BCEWithLogitsLoss over classes; see ``functional.multilabel_soft_margin_loss``.

    >>> tx.nn.MultiLabelSoftMarginLoss()(tx.asarray([[1000.0, 0.0]]), tx.asarray([[1.0, 0.0]]))
    tensor(0.3465736)
    """

    def forward(self, input: Tensor, target: Tensor) -> Any:
        return F.multilabel_soft_margin_loss(input, target, self.weight, reduction=self.reduction)


class KLDivLoss(Loss):
    """t (ln t - input); the divergence is ``reduction="batchmean"``; see ``functional.kl_div``.

    >>> x, t = tx.log(tx.asarray([[0.5, 0.5]])), tx.asarray([[1.0, 0.0]])
    >>> tx.nn.KLDivLoss(reduction="batchmean")(x, t)
    tensor(0.6931472)
    """

    def __init__(
        self,
        size_average: Any = None,
        reduce: Any = None,
        reduction: str = "mean",
        log_target: bool = False,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_target = log_target

    def forward(self, input: Tensor, target: Tensor) -> Any:
        return F.kl_div(input, target, reduction=self.reduction, log_target=self.log_target)
