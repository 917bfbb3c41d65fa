"""The CTC loss; see ``functional.ctc_loss`` for the formula."""

from tinyxp.nn import functional as F
from tinyxp.nn.loss import Criterion

__all__ = ["CTCLoss"]


class CTCLoss(Criterion, function=F.ctc_loss):
    """-ln of the probability of all alignments of a target; see ``functional.ctc_loss``.

    >>> log_probs = tx.log(tx.asarray([[0.5, 0.5], [0.5, 0.5]]))
    >>> tx.nn.CTCLoss()(log_probs, tx.asarray([1]), (2,), (1,))
    tensor(0.2876821)
    """

    blank: int = 0
    reduction: str = "mean"
    zero_infinity: bool = False
