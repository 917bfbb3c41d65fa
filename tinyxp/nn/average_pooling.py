"""Pooling by means and norms as modules; see ``functional`` for the formulas."""

from typing import Any

from tinyxp.core.tensor import Tensor
from tinyxp.nn import functional as F
from tinyxp.nn.module import Module

__all__ = ["AvgPool1d", "AvgPool2d", "AvgPool3d", "LPPool1d", "LPPool2d", "LPPool3d"]

Sizes = int | tuple[int, ...]


class _AvgPool(Module):
    axes: int

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding, self.ceil_mode = padding, ceil_mode
        self.count_include_pad, self.divisor_override = count_include_pad, divisor_override

    def forward(self, input: Tensor) -> Any:
        return getattr(F, f"avg_pool{self.axes}d")(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool1d(_AvgPool):
    """The means of windows over one axis; see ``functional.avg_pool1d``."""

    axes = 1

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        n = self.axes
        kernel_size, stride, padding = (
            value if isinstance(value, tuple) else (value,) * n
            for value in (kernel_size, kernel_size if stride is None else stride, padding)
        )
        super().__init__(kernel_size, stride, padding, ceil_mode, count_include_pad)

    def forward(self, input: Tensor) -> Any:
        return F.avg_pool1d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
        )


class AvgPool2d(_AvgPool):
    """The means of windows over two axes; see ``functional.avg_pool2d``.

    >>> tx.nn.AvgPool2d(2)(tx.ones((4, 8, 28, 28))).shape
    (4, 8, 14, 14)
    """

    axes = 2


class AvgPool3d(_AvgPool):
    """The means of windows over three axes; see ``functional.avg_pool3d``."""

    axes = 3


class _LPPool(Module):
    axes: int

    def __init__(
        self,
        norm_type: float,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.norm_type, self.kernel_size = norm_type, kernel_size
        self.stride, self.ceil_mode = stride, ceil_mode

    def forward(self, input: Tensor) -> Any:
        pool = getattr(F, f"lp_pool{self.axes}d")
        return pool(input, self.norm_type, self.kernel_size, self.stride, self.ceil_mode)

    def extra_repr(self) -> str:
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_LPPool):
    """The p-norms of windows over one axis; see ``functional.lp_pool1d``."""

    axes = 1


class LPPool2d(_LPPool):
    """The p-norms of windows over two axes; see ``functional.lp_pool2d``.

    >>> tx.nn.LPPool2d(2, 2)(tx.asarray([[[3.0, 0.0], [0.0, 4.0]]]))
    tensor([[[5.]]])
    """

    axes = 2


class LPPool3d(_LPPool):
    """The p-norms of windows over three axes; see ``functional.lp_pool3d``."""

    axes = 3
