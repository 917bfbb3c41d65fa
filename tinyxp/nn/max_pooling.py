"""Max pooling and its partial inverse; see ``functional`` for formulas."""

from typing import Any

from tinyxp.core.tensor import Tensor
from tinyxp.nn import functional as F
from tinyxp.nn.fields import FunctionalModule

__all__ = ["MaxPool1d", "MaxPool2d", "MaxPool3d", "MaxUnpool1d", "MaxUnpool2d", "MaxUnpool3d"]

Sizes = int | tuple[int, ...]


class _MaxPool(
    FunctionalModule,
    shown="kernel_size={kernel_size}, stride={stride}, padding={padding}, dilation={dilation}, "
    "ceil_mode={ceil_mode}",
):
    kernel_size: Sizes
    stride: Sizes | None = None
    padding: Sizes = 0
    dilation: Sizes = 1
    return_indices: bool = False
    ceil_mode: bool = False

    def __post_init__(self) -> None:
        if self.stride is None:
            self.stride = self.kernel_size


class MaxPool1d(_MaxPool, function=F.max_pool1d):
    """The maxima of windows over one axis; see ``functional.max_pool1d``."""


class MaxPool2d(_MaxPool, function=F.max_pool2d):
    """The maxima of windows over two axes; see ``functional.max_pool2d``.

    >>> tx.nn.MaxPool2d(2)(tx.ones((4, 8, 28, 28))).shape
    (4, 8, 14, 14)
    """


class MaxPool3d(_MaxPool, function=F.max_pool3d):
    """The maxima of windows over three axes; see ``functional.max_pool3d``."""


class _MaxUnpool(FunctionalModule):
    kernel_size: Sizes
    stride: Sizes | None = None
    padding: Sizes = 0

    def __post_init__(self) -> None:
        stride = self.kernel_size if self.stride is None else self.stride
        self.kernel_size, self.stride, self.padding = (
            value if isinstance(value, tuple) else (value,) * self.axes
            for value in (self.kernel_size, stride, self.padding)
        )

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Any:
        sizes = self.kernel_size, self.stride, self.padding
        return self._function(input, indices, *sizes, output_size)


class MaxUnpool1d(_MaxUnpool, function=F.max_unpool1d, axes=1):
    """Maxima at their original positions on one axis; see ``functional.max_unpool1d``."""


class MaxUnpool2d(_MaxUnpool, function=F.max_unpool2d, axes=2):
    """Maxima at their original positions on two axes; see ``functional.max_unpool2d``.

    >>> pool, unpool = tx.nn.MaxPool2d(2, return_indices=True), tx.nn.MaxUnpool2d(2)
    >>> unpool(*pool(tx.ones((1, 4, 4)))).shape
    (1, 4, 4)
    """


class MaxUnpool3d(_MaxUnpool, function=F.max_unpool3d, axes=3):
    """Maxima at their original positions on three axes; see ``functional.max_unpool3d``."""
