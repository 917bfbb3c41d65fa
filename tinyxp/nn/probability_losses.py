"""Losses of probabilities; see ``functional`` for formulas and sources."""

from tinyxp.core.tensor import Tensor
from tinyxp.nn import functional as F
from tinyxp.nn.loss import Loss, WeightedLoss

__all__ = ["BCELoss", "BCEWithLogitsLoss", "KLDivLoss", "MultiLabelSoftMarginLoss"]


class BCELoss(WeightedLoss, function=F.binary_cross_entropy):
    """-(t ln p + (1 - t) ln(1 - p)); see ``functional.binary_cross_entropy``.

    >>> tx.nn.BCELoss()(tx.asarray([0.5, 0.0]), tx.asarray([1.0, 0.0]))
    tensor(0.3465736)
    """


class BCEWithLogitsLoss(WeightedLoss, function=F.binary_cross_entropy_with_logits):
    """BCELoss of sigmoid(input), exact for any size; see ``functional``.

    >>> tx.nn.BCEWithLogitsLoss()(tx.asarray([1000.0, 0.0]), tx.asarray([1.0, 0.0]))
    tensor(0.3465736)
    """

    pos_weight: Tensor | None = None


class MultiLabelSoftMarginLoss(WeightedLoss, function=F.multilabel_soft_margin_loss):
    """The mean of BCEWithLogitsLoss over classes; see ``functional.multilabel_soft_margin_loss``.

    >>> tx.nn.MultiLabelSoftMarginLoss()(tx.asarray([[1000.0, 0.0]]), tx.asarray([[1.0, 0.0]]))
    tensor(0.3465736)
    """


class KLDivLoss(Loss, function=F.kl_div):
    """t (ln t - input); the divergence is ``reduction="batchmean"``; see ``functional.kl_div``.

    >>> x, t = tx.log(tx.asarray([[0.5, 0.5]])), tx.asarray([[1.0, 0.0]])
    >>> tx.nn.KLDivLoss(reduction="batchmean")(x, t)
    tensor(0.6931472)
    """

    log_target: bool = False
