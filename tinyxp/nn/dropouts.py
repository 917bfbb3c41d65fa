"""Dropout as modules, which are off in evaluation."""

from typing import Any

from tinyxp.backends.errors import ArgumentError
from tinyxp.core import Tensor
from tinyxp.nn import functional as F
from tinyxp.nn.module import Module
from tinyxp.random import Generator

__all__ = ["Dropout"]


class Dropout(Module):
    """While training, 0 with probability p and x / (1 - p) otherwise; else x as it is.

    Raises ArgumentError for p outside of [0, 1].

    >>> tx.nn.Dropout(0.5).eval()(tx.ones(2))
    tensor([1., 1.])
    """

    def __init__(self, p: float = 0.5, *, generator: Generator | None = None) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ArgumentError(f"a dropout probability lies in [0, 1], got {p}")
        self.p, self.generator = p, generator

    def forward(self, x: Tensor) -> Any:
        return F.dropout(x, self.p, self.training, generator=self.generator)

    def extra_repr(self) -> str:
        return f"p={self.p}"
