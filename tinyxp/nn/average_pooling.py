"""Pooling by means and by p-norms; see ``functional`` for formulas and sources."""

from tinyxp.nn import functional as F
from tinyxp.nn.fields import FunctionalModule

__all__ = ["AvgPool1d", "AvgPool2d", "AvgPool3d", "LPPool1d", "LPPool2d", "LPPool3d"]

Sizes = int | tuple[int, ...]


class _AvgPool(
    FunctionalModule, shown="kernel_size={kernel_size}, stride={stride}, padding={padding}"
):
    kernel_size: Sizes
    stride: Sizes | None = None
    padding: Sizes = 0
    ceil_mode: bool = False
    count_include_pad: bool = True

    def __post_init__(self) -> None:
        if self.stride is None:
            self.stride = self.kernel_size


class AvgPool1d(_AvgPool, function=F.avg_pool1d):
    """The means of windows over one axis; see ``functional.avg_pool1d``."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("kernel_size", "stride", "padding"):
            value = getattr(self, name)
            setattr(self, name, value if isinstance(value, tuple) else (value,))


class AvgPool2d(_AvgPool, function=F.avg_pool2d):
    """The means of windows over two axes; see ``functional.avg_pool2d``.

    >>> tx.nn.AvgPool2d(2)(tx.ones((4, 8, 28, 28))).shape
    (4, 8, 14, 14)
    """

    divisor_override: int | None = None


class AvgPool3d(_AvgPool, function=F.avg_pool3d):
    """The means of windows over three axes; see ``functional.avg_pool3d``."""

    divisor_override: int | None = None


class _LPPool(FunctionalModule):
    norm_type: float
    kernel_size: Sizes
    stride: Sizes | None = None
    ceil_mode: bool = False


class LPPool1d(_LPPool, function=F.lp_pool1d):
    """The p-norms of windows over one axis; see ``functional.lp_pool1d``."""


class LPPool2d(_LPPool, function=F.lp_pool2d):
    """The p-norms of windows over two axes; see ``functional.lp_pool2d``.

    >>> tx.nn.LPPool2d(2, 2)(tx.asarray([[[3.0, 0.0], [0.0, 4.0]]]))
    tensor([[[5.]]])
    """


class LPPool3d(_LPPool, function=F.lp_pool3d):
    """The p-norms of windows over three axes; see ``functional.lp_pool3d``."""
