"""Distances and angles as modules, which hold their options; see ``functional`` for formulas."""

from typing import Any

from tinyxp.core.tensor import Tensor
from tinyxp.nn import functional as F
from tinyxp.nn.module import Module

__all__ = ["CosineSimilarity", "PairwiseDistance"]


class CosineSimilarity(Module):
    """The cosine of the angle between vectors; see ``functional.cosine_similarity``.

    >>> tx.nn.CosineSimilarity()(tx.asarray([[3.0, 4.0]]), tx.asarray([[0.0, 2.0]]))
    tensor([0.8])
    """

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__()
        self.dim, self.eps = dim, eps

    def forward(self, x1: Tensor, x2: Tensor) -> Any:
        return F.cosine_similarity(x1, x2, self.dim, self.eps)


class PairwiseDistance(Module):
    """‖x₁ - x₂ + ε‖ₚ of each pair of vectors; see ``functional.pairwise_distance``.

    >>> tx.nn.PairwiseDistance(p=1.0, eps=0.0)(tx.asarray([[3.0, 4.0]]), tx.asarray([[1.0, 1.0]]))
    tensor([5.])
    """

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        super().__init__()
        self.norm, self.eps, self.keepdim = p, eps, keepdim

    def forward(self, x1: Tensor, x2: Tensor) -> Any:
        return F.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)
