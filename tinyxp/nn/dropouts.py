"""Dropout modules, active in training only; see ``functional`` for formulas and sources."""

from dataclasses import KW_ONLY

from tinyxp.nn import functional as F
from tinyxp.nn.fields import FunctionalModule
from tinyxp.nn.functional.dropouts import probability
from tinyxp.random import Generator

__all__ = ["AlphaDropout", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "FeatureAlphaDropout"]


class _Dropout(FunctionalModule, shown="p={p}, inplace={inplace}"):
    p: float = 0.5
    inplace: bool = False
    _: KW_ONLY
    generator: Generator | None = None

    def __post_init__(self) -> None:
        probability(self.p)  # only checks it: p stays as it was passed, and repr shows it so


class Dropout(_Dropout, function=F.dropout):
    """In training, 0 with probability p and x / (1 - p) otherwise; in evaluation x.

    Raises ArgumentError for p outside of [0, 1].

    >>> tx.nn.Dropout(0.5).eval()(tx.ones(2))
    tensor([1., 1.])
    """


class Dropout1d(_Dropout, function=F.dropout1d):
    """``Dropout`` of whole channels: (N, C, L) or (C, L); see ``functional.dropout1d``.

    >>> tx.nn.Dropout1d(0.5).eval()(tx.ones((1, 2)))
    tensor([[1., 1.]])
    """


class Dropout2d(_Dropout, function=F.dropout2d):
    """``Dropout`` of whole channels: (N, C, H, W); see ``functional.dropout2d``.

    >>> tx.nn.Dropout2d(0.5).eval()(tx.ones((1, 1, 1, 2)))
    tensor([[[[1., 1.]]]])
    """


class Dropout3d(_Dropout, function=F.dropout3d):
    """``Dropout`` of whole channels: (N, C, D, H, W) or (C, D, H, W).

    >>> tx.nn.Dropout3d(0.5).eval()(tx.ones((1, 1, 1, 2)))
    tensor([[[[1., 1.]]]])
    """


class AlphaDropout(_Dropout, function=F.alpha_dropout):
    """Dropout that keeps mean 0 and variance 1, for ``SELU``; see ``functional.alpha_dropout``.

    >>> tx.nn.AlphaDropout(0.5).eval()(tx.ones(2))
    tensor([1., 1.])
    """


class FeatureAlphaDropout(_Dropout, function=F.feature_alpha_dropout):
    """``AlphaDropout`` of whole channels: (N, C, ...).

    >>> tx.nn.FeatureAlphaDropout(0.5).eval()(tx.ones((1, 2)))
    tensor([[1., 1.]])
    """
