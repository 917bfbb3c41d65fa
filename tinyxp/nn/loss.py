"""The base classes of losses: the reduction, and a weight that is not learned."""

from dataclasses import InitVar
from typing import Any

from tinyxp.core.tensor import Tensor
from tinyxp.nn.fields import FunctionalModule
from tinyxp.nn.functional.reduction import resolve_reduction


class Criterion(FunctionalModule, shown=""):
    """A loss with a field ``reduction``: "mean", "sum" or "none".

    ``size_average`` and ``reduce`` are the older form of it, which PyTorch still accepts.
    """

    def __post_init__(self, size_average: Any = None, reduce: Any = None) -> None:
        if size_average is not None or reduce is not None:
            self.reduction = resolve_reduction("mean", size_average, reduce)


class Loss(Criterion):
    """A loss whose options begin with the reduction."""

    size_average: InitVar[Any] = None
    reduce: InitVar[Any] = None
    reduction: str = "mean"


class WeightedLoss(Criterion):
    """A loss whose options begin with a weight, which is a buffer."""

    weight: Tensor | None = None
    size_average: InitVar[Any] = None
    reduce: InitVar[Any] = None
    reduction: str = "mean"
