"""Pooling to a given output size; see ``functional`` for formulas and sources."""

from dataclasses import KW_ONLY

from tinyxp.core.tensor import Tensor
from tinyxp.errors import ArgumentError
from tinyxp.nn import functional as F
from tinyxp.nn.fields import FunctionalModule
from tinyxp.random import Generator

__all__ = [
    "AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveAvgPool3d", "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d", "AdaptiveMaxPool3d", "FractionalMaxPool2d", "FractionalMaxPool3d",
]  # fmt: skip

Sizes = int | tuple[int | None, ...] | None


class _Adaptive(FunctionalModule, shown="output_size={output_size}"):
    output_size: Sizes


class AdaptiveAvgPool1d(_Adaptive, function=F.adaptive_avg_pool1d):
    """The means of ``output_size`` windows; see ``functional.adaptive_avg_pool1d``."""


class AdaptiveAvgPool2d(_Adaptive, function=F.adaptive_avg_pool2d):
    """The means of ``output_size`` windows; see ``functional.adaptive_avg_pool2d``.

    >>> tx.nn.AdaptiveAvgPool2d((1, None))(tx.ones((4, 8, 28, 28))).shape
    (4, 8, 1, 28)
    """


class AdaptiveAvgPool3d(_Adaptive, function=F.adaptive_avg_pool3d):
    """The means of ``output_size`` windows; see ``functional.adaptive_avg_pool3d``."""


class _AdaptiveMax(_Adaptive):
    return_indices: bool = False


class AdaptiveMaxPool1d(_AdaptiveMax, function=F.adaptive_max_pool1d):
    """The maxima of ``output_size`` windows; see ``functional.adaptive_max_pool1d``."""


class AdaptiveMaxPool2d(_AdaptiveMax, function=F.adaptive_max_pool2d):
    """The maxima of ``output_size`` windows; see ``functional.adaptive_max_pool2d``.

    >>> tx.nn.AdaptiveMaxPool2d(5)(tx.ones((4, 8, 28, 28))).shape
    (4, 8, 5, 5)
    """


class AdaptiveMaxPool3d(_AdaptiveMax, function=F.adaptive_max_pool3d):
    """The maxima of ``output_size`` windows; see ``functional.adaptive_max_pool3d``."""


class _FractionalMaxPool(FunctionalModule, shown=""):
    kernel_size: int | tuple[int, ...]
    output_size: int | tuple[int, ...] | None = None
    output_ratio: float | tuple[float, ...] | None = None
    return_indices: bool = False
    _random_samples: Tensor | None = None
    _: KW_ONLY
    generator: Generator | None = None

    def __post_init__(self) -> None:
        name, ratio = type(self).__name__, self.output_ratio
        if (self.output_size is None) == (ratio is None):
            raise ArgumentError(f"{name} needs output_size or output_ratio, and not both")
        if ratio is not None:
            self.output_ratio = ratio if isinstance(ratio, tuple) else (ratio,) * self.axes
            if not all(0 < each < 1 for each in self.output_ratio):
                raise ArgumentError(f"{name}: output_ratio lies in (0, 1), got {ratio}")


class FractionalMaxPool2d(_FractionalMaxPool, function=F.fractional_max_pool2d, axes=2):
    """The maxima of windows at random positions; see ``functional.fractional_max_pool2d``.

    >>> tx.nn.FractionalMaxPool2d(3, output_ratio=0.5)(tx.ones((4, 8, 28, 28))).shape
    (4, 8, 14, 14)
    """


class FractionalMaxPool3d(_FractionalMaxPool, function=F.fractional_max_pool3d, axes=3):
    """The maxima of windows at random positions; see ``functional.fractional_max_pool3d``."""
