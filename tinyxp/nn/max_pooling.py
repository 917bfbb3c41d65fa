"""Pooling by maxima and its partial inverse as modules; see ``functional`` for the formulas."""

from typing import Any

from tinyxp.core.tensor import Tensor
from tinyxp.nn import functional as F
from tinyxp.nn.module import Module

__all__ = [
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "MaxUnpool1d",
    "MaxUnpool2d",
    "MaxUnpool3d",
]

Sizes = int | tuple[int, ...]


class _MaxPool(Module):
    axes: int

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        dilation: Sizes = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding, self.dilation = padding, dilation
        self.return_indices, self.ceil_mode = return_indices, ceil_mode

    def forward(self, input: Tensor) -> Any:
        return getattr(F, f"max_pool{self.axes}d")(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.ceil_mode,
            self.return_indices,
        )

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """The maxima of windows over one axis; see ``functional.max_pool1d``."""

    axes = 1


class MaxPool2d(_MaxPool):
    """The maxima of windows over two axes; see ``functional.max_pool2d``.

    >>> tx.nn.MaxPool2d(2)(tx.ones((4, 8, 28, 28))).shape
    (4, 8, 14, 14)
    """

    axes = 2


class MaxPool3d(_MaxPool):
    """The maxima of windows over three axes; see ``functional.max_pool3d``."""

    axes = 3


class _MaxUnpool(Module):
    axes: int

    def __init__(self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0) -> None:
        super().__init__()
        n = self.axes
        self.kernel_size, self.stride, self.padding = (
            value if isinstance(value, tuple) else (value,) * n
            for value in (kernel_size, kernel_size if stride is None else stride, padding)
        )

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Any:
        unpool = getattr(F, f"max_unpool{self.axes}d")
        return unpool(input, indices, self.kernel_size, self.stride, self.padding, output_size)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpool):
    """Maxima put back where they were on one axis; see ``functional.max_unpool1d``."""

    axes = 1


class MaxUnpool2d(_MaxUnpool):
    """Maxima put back where they were on two axes; see ``functional.max_unpool2d``.

    >>> pool, unpool = tx.nn.MaxPool2d(2, return_indices=True), tx.nn.MaxUnpool2d(2)
    >>> unpool(*pool(tx.ones((1, 4, 4)))).shape
    (1, 4, 4)
    """

    axes = 2


class MaxUnpool3d(_MaxUnpool):
    """Maxima put back where they were on three axes; see ``functional.max_unpool3d``."""

    axes = 3
