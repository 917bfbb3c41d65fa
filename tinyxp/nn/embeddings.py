"""Embeddings: a learned vector for each index."""

from typing import Any

from tinyxp.backends.errors import ArgumentError
from tinyxp.core import Tensor
from tinyxp.nn import functional as F
from tinyxp.nn import init
from tinyxp.nn.module import Module
from tinyxp.nn.parameter import Parameter
from tinyxp.ops.creation import empty
from tinyxp.random import Generator

__all__ = ["Embedding"]


class Embedding(Module):
    """y[...] = weight[x[...]]: integers (...) -> (..., embedding_dim).

    ``weight`` (num_embeddings, embedding_dim) starts from N(0, 1); the row ``padding_idx`` starts
    as zeros and gets no gradient. Raises IndexingError, DTypeError, ArgumentError.

    >>> tx.nn.Embedding(10, 3)(tx.asarray([[1, 9]])).shape
    (1, 2, 3)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        device: str | None = None,
        dtype: Any = None,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        n = num_embeddings
        if padding_idx is not None and not -n <= padding_idx < n:
            raise ArgumentError(f"padding_idx {padding_idx} is out of range for {n} embeddings")
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = None if padding_idx is None else padding_idx % n
        self.weight = Parameter(empty((n, embedding_dim), device=device, dtype=dtype))
        self.reset_parameters(generator)

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw the first values anew."""
        init.normal_(self.weight, generator=generator)
        if self.padding_idx is not None:
            weight = self.weight.detach()
            weight[self.padding_idx] = 0.0
            self.weight.data = weight.data

    def forward(self, x: Tensor) -> Any:
        return F.embedding(x, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"
