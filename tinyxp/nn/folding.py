"""Unfold and Fold: sliding windows as columns, and back; see ``functional`` for formulas."""

from tinyxp.nn import functional as F
from tinyxp.nn.fields import FunctionalModule

__all__ = ["Fold", "Unfold"]

Sizes = int | tuple[int, ...]


class Unfold(FunctionalModule, function=F.unfold):
    """The windows of images as columns; see ``functional.unfold``.

    >>> tx.nn.Unfold((2, 3))(tx.ones((2, 5, 3, 4))).shape
    (2, 30, 4)
    """

    kernel_size: Sizes
    dilation: Sizes = 1
    padding: Sizes = 0
    stride: Sizes = 1


class Fold(FunctionalModule, function=F.fold):
    """Sum columns at the positions of their windows in an image; see ``functional.fold``.

    >>> tx.nn.Fold((4, 5), (2, 2))(tx.ones((1, 12, 12))).shape
    (1, 3, 4, 5)
    """

    output_size: Sizes
    kernel_size: Sizes
    dilation: Sizes = 1
    padding: Sizes = 0
    stride: Sizes = 1
