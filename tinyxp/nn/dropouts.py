"""Dropout as modules, which are off in evaluation; see ``functional`` for formulas."""

from typing import Any

from tinyxp.core.tensor import Tensor
from tinyxp.nn import functional as F
from tinyxp.nn.functional.dropouts import probability
from tinyxp.nn.module import Module
from tinyxp.random import Generator

__all__ = [
    "AlphaDropout",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
    "FeatureAlphaDropout",
]


class _Dropout(Module):
    def __init__(
        self, p: float = 0.5, inplace: bool = False, *, generator: Generator | None = None
    ) -> None:
        super().__init__()
        probability(p)  # raises; what is kept is what was given, as its repr shows
        self.p, self.inplace, self.generator = p, inplace, generator

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """While training, 0 with probability p and x / (1 - p) otherwise; else x as it is.

    Raises ArgumentError for p outside of [0, 1].

    >>> tx.nn.Dropout(0.5).eval()(tx.ones(2))
    tensor([1., 1.])
    """

    def forward(self, input: Tensor) -> Any:
        place = self.p, self.training, self.inplace
        return F.dropout(input, *place, generator=self.generator)


class Dropout1d(_Dropout):
    """``Dropout`` of whole channels: (N, C, L) or (C, L); see ``functional.dropout1d``.

    >>> tx.nn.Dropout1d(0.5).eval()(tx.ones((1, 2)))
    tensor([[1., 1.]])
    """

    def forward(self, input: Tensor) -> Any:
        place = self.p, self.training, self.inplace
        return F.dropout1d(input, *place, generator=self.generator)


class Dropout2d(_Dropout):
    """``Dropout`` of whole channels: (N, C, H, W); see ``functional.dropout2d``.

    >>> tx.nn.Dropout2d(0.5).eval()(tx.ones((1, 1, 1, 2)))
    tensor([[[[1., 1.]]]])
    """

    def forward(self, input: Tensor) -> Any:
        place = self.p, self.training, self.inplace
        return F.dropout2d(input, *place, generator=self.generator)


class Dropout3d(_Dropout):
    """``Dropout`` of whole channels: (N, C, D, H, W) or (C, D, H, W).

    >>> tx.nn.Dropout3d(0.5).eval()(tx.ones((1, 1, 1, 2)))
    tensor([[[[1., 1.]]]])
    """

    def forward(self, input: Tensor) -> Any:
        place = self.p, self.training, self.inplace
        return F.dropout3d(input, *place, generator=self.generator)


class AlphaDropout(_Dropout):
    """Dropout that keeps mean 0 and variance 1, for ``SELU``; see ``functional.alpha_dropout``.

    >>> tx.nn.AlphaDropout(0.5).eval()(tx.ones(2))
    tensor([1., 1.])
    """

    def forward(self, input: Tensor) -> Any:
        place = self.p, self.training, self.inplace
        return F.alpha_dropout(input, *place, generator=self.generator)


class FeatureAlphaDropout(_Dropout):
    """``AlphaDropout`` of whole channels: (N, C, ...).

    >>> tx.nn.FeatureAlphaDropout(0.5).eval()(tx.ones((1, 2)))
    tensor([[1., 1.]])
    """

    def forward(self, input: Tensor) -> Any:
        place = self.p, self.training, self.inplace
        return F.feature_alpha_dropout(input, *place, generator=self.generator)
