"""What modules of losses have in common: the reduction, and a weight that is not learned."""

from typing import Any

from tinyxp.core.tensor import Tensor
from tinyxp.nn.functional.reduction import named
from tinyxp.nn.module import Module


class Loss(Module):
    """``reduction`` is "mean", "sum" or "none"; the arguments before it are its old form."""

    def __init__(self, size_average: Any = None, reduce: Any = None, reduction: str = "mean"):
        super().__init__()
        old = size_average is not None or reduce is not None
        self.reduction = named(reduction, size_average, reduce) if old else reduction


class WeightedLoss(Loss):
    """A loss with a weight, a buffer."""

    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: Any = None,
        reduce: Any = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)
