"""Distances and cosines; see ``functional`` for formulas."""

from dataclasses import InitVar
from typing import Any

from tinyxp.core.tensor import Tensor
from tinyxp.nn import functional as F
from tinyxp.nn.fields import FunctionalModule

__all__ = ["CosineSimilarity", "PairwiseDistance"]


class CosineSimilarity(FunctionalModule, function=F.cosine_similarity, shown=""):
    """The cosine of the angle between vectors; see ``functional.cosine_similarity``.

    >>> tx.nn.CosineSimilarity()(tx.asarray([[3.0, 4.0]]), tx.asarray([[0.0, 2.0]]))
    tensor([0.8])
    """

    dim: int = 1
    eps: float = 1e-8


class PairwiseDistance(FunctionalModule, shown=""):
    """‖x₁ - x₂ + ε‖ₚ of each pair of vectors; see ``functional.pairwise_distance``.

    >>> tx.nn.PairwiseDistance(p=1.0, eps=0.0)(tx.asarray([[3.0, 4.0]]), tx.asarray([[1.0, 1.0]]))
    tensor([5.])
    """

    p: InitVar[float] = 2.0
    eps: float = 1e-6
    keepdim: bool = False

    def __post_init__(self, p: float) -> None:
        self.norm = p  # PyTorch's name

    def forward(self, x1: Tensor, x2: Tensor) -> Any:
        return F.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)
