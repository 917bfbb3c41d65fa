"""Losses with a margin; see ``functional`` for formulas and sources."""

from collections.abc import Callable
from dataclasses import KW_ONLY, InitVar
from typing import Any

from tinyxp.core.tensor import Tensor
from tinyxp.errors import ArgumentError, ShapeError
from tinyxp.nn import functional as F
from tinyxp.nn.loss import Criterion, Loss

__all__ = [
    "CosineEmbeddingLoss", "HingeEmbeddingLoss", "MarginRankingLoss", "MultiLabelMarginLoss",
    "MultiMarginLoss", "SoftMarginLoss", "TripletMarginLoss", "TripletMarginWithDistanceLoss",
]  # fmt: skip


class _MarginLoss(Criterion):
    margin: float = 0.0
    size_average: InitVar[Any] = None
    reduce: InitVar[Any] = None
    reduction: str = "mean"


class HingeEmbeddingLoss(_MarginLoss, function=F.hinge_embedding_loss):
    """x at a target of 1, max(0, margin - x) at -1; see ``functional.hinge_embedding_loss``.

    >>> tx.nn.HingeEmbeddingLoss()(tx.asarray([0.5, 3.0]), tx.asarray([1, -1]))
    tensor(0.25)
    """

    margin: float = 1.0


class MarginRankingLoss(_MarginLoss, function=F.margin_ranking_loss):
    """max(0, margin - target · (input1 - input2)); see ``functional.margin_ranking_loss``.

    >>> tx.nn.MarginRankingLoss(0.5)(tx.asarray([1.0]), tx.asarray([3.0]), tx.asarray([1]))
    tensor(2.5)
    """


class SoftMarginLoss(Loss, function=F.soft_margin_loss):
    """ln(1 + e^(-target · input)); see ``functional.soft_margin_loss``.

    >>> tx.nn.SoftMarginLoss()(tx.asarray([0.0, -1000.0]), tx.asarray([1, -1]))
    tensor(0.3465736)
    """


class CosineEmbeddingLoss(_MarginLoss, function=F.cosine_embedding_loss):
    """1 - c at a target of 1, max(0, c - margin) at -1, c the cosine of two vectors.

    See ``functional.cosine_embedding_loss``.

    >>> x, y = tx.asarray([[3.0, 4.0]]), tx.asarray([[0.0, 2.0]])
    >>> tx.nn.CosineEmbeddingLoss(margin=0.5)(x, y, tx.asarray([-1]))
    tensor(0.3)
    """


class TripletMarginLoss(Criterion, function=F.triplet_margin_loss):
    """The anchor must be nearer to the positive; see ``functional.triplet_margin_loss``.

    Raises ArgumentError unless the margin is above 0.

    >>> a, p, n = tx.asarray([[0.0, 0.0]]), tx.asarray([[3.0, 4.0]]), tx.asarray([[0.0, 3.0]])
    >>> tx.nn.TripletMarginLoss(eps=0.0)(a, p, n)
    tensor(3.)
    """

    margin: float = 1.0
    p: float = 2.0
    eps: float = 1e-6
    swap: bool = False
    size_average: InitVar[Any] = None
    reduce: InitVar[Any] = None
    reduction: str = "mean"

    def __post_init__(self, size_average: Any = None, reduce: Any = None) -> None:
        super().__post_init__(size_average, reduce)
        _expect_positive(self.margin)


class TripletMarginWithDistanceLoss(Criterion, function=F.triplet_margin_with_distance_loss):
    """TripletMarginLoss with any distance; see ``functional.triplet_margin_with_distance_loss``.

    Raises ArgumentError unless the margin is above 0.

    >>> a, p, n = tx.asarray([[0.0, 0.0]]), tx.asarray([[3.0, 4.0]]), tx.asarray([[0.0, 3.0]])
    >>> far = lambda x1, x2: tx.max(tx.abs(x1 - x2), axis=-1)
    >>> tx.nn.TripletMarginWithDistanceLoss(distance_function=far)(a, p, n)
    tensor(2.)
    """

    _: KW_ONLY
    distance_function: Callable[[Tensor, Tensor], Any] | None = None
    margin: float = 1.0
    swap: bool = False
    reduction: str = "mean"

    def __post_init__(self, size_average: Any = None, reduce: Any = None) -> None:
        super().__post_init__(size_average, reduce)
        _expect_positive(self.margin)
        if self.distance_function is None:
            self.distance_function = F.pairwise_distance


def _expect_positive(margin: float) -> None:
    if not margin > 0:
        raise ArgumentError(f"the margin of a triplet loss must be above 0, got {margin}")


class MultiMarginLoss(Criterion, function=F.multi_margin_loss):
    """The score of the target must lead by a margin; see ``functional.multi_margin_loss``.

    Raises ArgumentError unless p is 1 or 2, ShapeError for a weight that is not (C).

    >>> tx.nn.MultiMarginLoss()(tx.asarray([[1.0, 0.5]]), tx.asarray([0]))
    tensor(0.25)
    """

    p: int = 1
    margin: float = 1.0
    weight: Tensor | None = None
    size_average: InitVar[Any] = None
    reduce: InitVar[Any] = None
    reduction: str = "mean"

    def __post_init__(self, size_average: Any = None, reduce: Any = None) -> None:
        super().__post_init__(size_average, reduce)
        if self.p not in (1, 2):
            raise ArgumentError(f"MultiMarginLoss expects p = 1 or p = 2, got {self.p}")
        if self.weight is not None and self.weight.ndim != 1:
            raise ShapeError(f"MultiMarginLoss expects a weight (C), got {self.weight.shape}")


class MultiLabelMarginLoss(Loss, function=F.multilabel_margin_loss):
    """The scores of all targets must lead by 1; see ``functional.multilabel_margin_loss``.

    >>> x, target = tx.asarray([[0.1, 0.2, 0.4, 0.8]]), tx.asarray([[3, 0, -1, 1]])
    >>> tx.nn.MultiLabelMarginLoss()(x, target)
    tensor(0.85)
    """
