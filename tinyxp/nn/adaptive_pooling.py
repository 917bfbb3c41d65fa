"""Pooling to a given size as modules; see ``functional`` for the formulas."""

from typing import Any

from tinyxp.core.tensor import Tensor
from tinyxp.errors import ArgumentError
from tinyxp.nn import functional as F
from tinyxp.nn.module import Module
from tinyxp.random import Generator

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "FractionalMaxPool2d",
    "FractionalMaxPool3d",
]

Sizes = int | tuple[int | None, ...] | None


class _Adaptive(Module):
    axes: int

    def __init__(self, output_size: Sizes) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, input: Tensor) -> Any:
        return getattr(F, f"adaptive_avg_pool{self.axes}d")(input, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_Adaptive):
    """The means of ``output_size`` windows; see ``functional.adaptive_avg_pool1d``."""

    axes = 1


class AdaptiveAvgPool2d(_Adaptive):
    """The means of ``output_size`` windows; see ``functional.adaptive_avg_pool2d``.

    >>> tx.nn.AdaptiveAvgPool2d((1, None))(tx.ones((4, 8, 28, 28))).shape
    (4, 8, 1, 28)
    """

    axes = 2


class AdaptiveAvgPool3d(_Adaptive):
    """The means of ``output_size`` windows; see ``functional.adaptive_avg_pool3d``."""

    axes = 3


class _AdaptiveMax(_Adaptive):
    def __init__(self, output_size: Sizes, return_indices: bool = False) -> None:
        super().__init__(output_size)
        self.return_indices = return_indices

    def forward(self, input: Tensor) -> Any:
        pool = getattr(F, f"adaptive_max_pool{self.axes}d")
        return pool(input, self.output_size, self.return_indices)


class AdaptiveMaxPool1d(_AdaptiveMax):
    """The maxima of ``output_size`` windows; see ``functional.adaptive_max_pool1d``."""

    axes = 1


class AdaptiveMaxPool2d(_AdaptiveMax):
    """The maxima of ``output_size`` windows; see ``functional.adaptive_max_pool2d``.

    >>> tx.nn.AdaptiveMaxPool2d(5)(tx.ones((4, 8, 28, 28))).shape
    (4, 8, 5, 5)
    """

    axes = 2


class AdaptiveMaxPool3d(_AdaptiveMax):
    """The maxima of ``output_size`` windows; see ``functional.adaptive_max_pool3d``."""

    axes = 3


class _FractionalMaxPool(Module):
    axes: int

    def __init__(
        self,
        kernel_size: int | tuple[int, ...],
        output_size: int | tuple[int, ...] | None = None,
        output_ratio: float | tuple[float, ...] | None = None,
        return_indices: bool = False,
        _random_samples: Tensor | None = None,
        *,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        n = self.axes
        if (output_size is None) == (output_ratio is None):
            raise ArgumentError(
                f"{type(self).__name__} needs output_size or output_ratio, and not both"
            )
        ratios = output_ratio if isinstance(output_ratio, tuple) else (output_ratio,) * n
        if not all(ratio is None or 0 < ratio < 1 for ratio in ratios):
            raise ArgumentError(
                f"{type(self).__name__}: output_ratio lies in (0, 1), got {output_ratio}"
            )
        self.kernel_size, self.output_size = kernel_size, output_size
        self.output_ratio = None if output_ratio is None else ratios
        self.return_indices, self.generator = return_indices, generator
        self.register_buffer("_random_samples", _random_samples)

    def forward(self, input: Tensor) -> Any:
        return getattr(F, f"fractional_max_pool{self.axes}d")(
            input,
            self.kernel_size,
            self.output_size,
            self.output_ratio,
            self.return_indices,
            self._random_samples,
            generator=self.generator,
        )


class FractionalMaxPool2d(_FractionalMaxPool):
    """The maxima of windows at random places; see ``functional.fractional_max_pool2d``.

    >>> tx.nn.FractionalMaxPool2d(3, output_ratio=0.5)(tx.ones((4, 8, 28, 28))).shape
    (4, 8, 14, 14)
    """

    axes = 2


class FractionalMaxPool3d(_FractionalMaxPool):
    """The maxima of windows at random places; see ``functional.fractional_max_pool3d``."""

    axes = 3
