"""Losses with a margin as modules, which hold their options; see ``functional``."""

from collections.abc import Callable
from typing import Any

from tinyxp.core.tensor import Tensor
from tinyxp.errors import ArgumentError, ShapeError
from tinyxp.nn import functional as F
from tinyxp.nn.loss import Loss, WeightedLoss

__all__ = [
    "CosineEmbeddingLoss",
    "HingeEmbeddingLoss",
    "MarginRankingLoss",
    "MultiLabelMarginLoss",
    "MultiMarginLoss",
    "SoftMarginLoss",
    "TripletMarginLoss",
    "TripletMarginWithDistanceLoss",
]


class HingeEmbeddingLoss(Loss):
    """x at a target of 1, max(0, margin - x) at -1; see ``functional.hinge_embedding_loss``.

    >>> tx.nn.HingeEmbeddingLoss()(tx.asarray([0.5, 3.0]), tx.asarray([1, -1]))
    tensor(0.25)
    """

    def __init__(
        self,
        margin: float = 1.0,
        size_average: Any = None,
        reduce: Any = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input: Tensor, target: Tensor) -> Any:
        return F.hinge_embedding_loss(input, target, self.margin, reduction=self.reduction)


class MarginRankingLoss(Loss):
    """Of two scores one is to be higher; see ``functional.margin_ranking_loss``.

    >>> tx.nn.MarginRankingLoss(0.5)(tx.asarray([1.0]), tx.asarray([3.0]), tx.asarray([1]))
    tensor(2.5)
    """

    def __init__(
        self,
        margin: float = 0.0,
        size_average: Any = None,
        reduce: Any = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Any:
        return F.margin_ranking_loss(input1, input2, target, self.margin, reduction=self.reduction)


class SoftMarginLoss(Loss):
    """ln(1 + e^(-target · input)); see ``functional.soft_margin_loss``.

    >>> tx.nn.SoftMarginLoss()(tx.asarray([0.0, -1000.0]), tx.asarray([1, -1]))
    tensor(0.3465736)
    """

    def forward(self, input: Tensor, target: Tensor) -> Any:
        return F.soft_margin_loss(input, target, reduction=self.reduction)


class CosineEmbeddingLoss(Loss):
    """Two vectors are to be alike, or not; see ``functional.cosine_embedding_loss``.

    >>> x, y = tx.asarray([[3.0, 4.0]]), tx.asarray([[0.0, 2.0]])
    >>> tx.nn.CosineEmbeddingLoss(margin=0.5)(x, y, tx.asarray([-1]))
    tensor(0.3)
    """

    def __init__(
        self,
        margin: float = 0.0,
        size_average: Any = None,
        reduce: Any = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Any:
        return F.cosine_embedding_loss(
            input1, input2, target, self.margin, reduction=self.reduction
        )


class TripletMarginLoss(Loss):
    """The anchor is to be nearer to the positive; see ``functional.triplet_margin_loss``.

    Raises ArgumentError unless the margin is above 0.

    >>> a, p, n = tx.asarray([[0.0, 0.0]]), tx.asarray([[3.0, 4.0]]), tx.asarray([[0.0, 3.0]])
    >>> tx.nn.TripletMarginLoss(eps=0.0)(a, p, n)
    tensor(3.)
    """

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        size_average: Any = None,
        reduce: Any = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin, self.p, self.eps, self.swap = _positive(margin), p, eps, swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Any:
        return F.triplet_margin_loss(
            anchor,
            positive,
            negative,
            self.margin,
            self.p,
            self.eps,
            self.swap,
            reduction=self.reduction,
        )


class TripletMarginWithDistanceLoss(Loss):
    """TripletMarginLoss with any distance; see ``functional.triplet_margin_with_distance_loss``.

    Raises ArgumentError unless the margin is above 0.

    >>> a, p, n = tx.asarray([[0.0, 0.0]]), tx.asarray([[3.0, 4.0]]), tx.asarray([[0.0, 3.0]])
    >>> far = lambda x1, x2: tx.max(tx.abs(x1 - x2), axis=-1)
    >>> tx.nn.TripletMarginWithDistanceLoss(distance_function=far)(a, p, n)
    tensor(2.)
    """

    def __init__(
        self,
        *,
        distance_function: Callable[[Tensor, Tensor], Any] | None = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction=reduction)
        self.distance_function = (
            F.pairwise_distance if distance_function is None else distance_function
        )
        self.margin, self.swap = _positive(margin), swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Any:
        return F.triplet_margin_with_distance_loss(
            anchor,
            positive,
            negative,
            distance_function=self.distance_function,
            margin=self.margin,
            swap=self.swap,
            reduction=self.reduction,
        )


def _positive(margin: float) -> float:
    if not margin > 0:
        raise ArgumentError(f"a triplet's margin is above 0, got {margin}")
    return margin


class MultiMarginLoss(WeightedLoss):
    """The right class is to lead by a margin; see ``functional.multi_margin_loss``.

    Raises ArgumentError unless p is 1 or 2, ShapeError for a weight that is not (C).

    >>> tx.nn.MultiMarginLoss()(tx.asarray([[1.0, 0.5]]), tx.asarray([0]))
    tensor(0.25)
    """

    def __init__(
        self,
        p: int = 1,
        margin: float = 1.0,
        weight: Tensor | None = None,
        size_average: Any = None,
        reduce: Any = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        if p not in (1, 2):
            raise ArgumentError(f"MultiMarginLoss knows p = 1 and p = 2, got {p}")
        if weight is not None and weight.ndim != 1:
            raise ShapeError(f"MultiMarginLoss expects a weight (C), got {weight.shape}")
        self.p, self.margin = p, margin

    def forward(self, input: Tensor, target: Tensor) -> Any:
        return F.multi_margin_loss(
            input, target, self.p, self.margin, self.weight, reduction=self.reduction
        )


class MultiLabelMarginLoss(Loss):
    """All right classes are to lead by 1; see ``functional.multilabel_margin_loss``.

    >>> x, target = tx.asarray([[0.1, 0.2, 0.4, 0.8]]), tx.asarray([[3, 0, -1, 1]])
    >>> tx.nn.MultiLabelMarginLoss()(x, target)
    tensor(0.85)
    """

    def forward(self, input: Tensor, target: Tensor) -> Any:
        return F.multilabel_margin_loss(input, target, reduction=self.reduction)
