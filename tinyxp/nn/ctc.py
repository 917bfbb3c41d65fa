"""CTC as a module, which holds its options; see ``functional.ctc_loss`` for the formula."""

from typing import Any

from tinyxp.core.tensor import Tensor
from tinyxp.nn import functional as F
from tinyxp.nn.loss import Loss

__all__ = ["CTCLoss"]


class CTCLoss(Loss):
    """A sequence is right if it is so in any alignment; see ``functional.ctc_loss``.

    >>> log_probs = tx.log(tx.asarray([[0.5, 0.5], [0.5, 0.5]]))
    >>> tx.nn.CTCLoss()(log_probs, tx.asarray([1]), (2,), (1,))
    tensor(0.2876821)
    """

    def __init__(
        self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False
    ) -> None:
        super().__init__(reduction=reduction)
        self.blank, self.zero_infinity = blank, zero_infinity

    def forward(
        self, log_probs: Tensor, targets: Tensor, input_lengths: Any, target_lengths: Any
    ) -> Any:
        return F.ctc_loss(
            log_probs,
            targets,
            input_lengths,
            target_lengths,
            self.blank,
            self.reduction,
            self.zero_infinity,
        )
