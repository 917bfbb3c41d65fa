"""Padding of 1, 2 or 3 axes; see ``functional.pad`` for the modes."""

from typing import Any, ClassVar

from tinyxp.core.tensor import Tensor
from tinyxp.errors import ShapeError
from tinyxp.nn import functional as F
from tinyxp.nn.fields import FunctionalModule

__all__ = [
    "CircularPad1d", "CircularPad2d", "CircularPad3d", "ConstantPad1d", "ConstantPad2d",
    "ConstantPad3d", "ReflectionPad1d", "ReflectionPad2d", "ReflectionPad3d",
    "ReplicationPad1d", "ReplicationPad2d", "ReplicationPad3d", "ZeroPad1d", "ZeroPad2d",
    "ZeroPad3d",
]  # fmt: skip


class _Pad(FunctionalModule, shown="{padding}"):
    """``padding`` is one number for all margins, or (before, after) of the last axis first."""

    mode: ClassVar[str]
    padding: int | tuple[int, ...]

    def __post_init__(self) -> None:
        n, padding = 2 * self.axes, self.padding
        self.padding = tuple(padding) if isinstance(padding, (tuple, list)) else (padding,) * n
        if len(self.padding) != n:
            raise ShapeError(f"{type(self).__name__} expects 1 or {n} margins, got {padding}")

    def forward(self, input: Tensor) -> Any:
        return F.pad(input, self.padding, self.mode)


class _ConstantPad(_Pad, shown="padding={padding}, value={value}"):
    mode = "constant"
    value: float

    def forward(self, input: Tensor) -> Any:
        return F.pad(input, self.padding, self.mode, self.value)


class _ZeroPad(_ConstantPad, shown="{padding}"):
    def __init__(self, padding: int | tuple[int, ...]) -> None:
        super().__init__(padding, 0.0)


class _ReflectionPad(_Pad):
    mode = "reflect"


class _ReplicationPad(_Pad):
    mode = "replicate"


class _CircularPad(_Pad):
    mode = "circular"


class ConstantPad1d(_ConstantPad, axes=1):
    """Margins of a constant, on the last axis; see ``functional.pad``.

    >>> tx.nn.ConstantPad1d(1, 7.0)(tx.asarray([[1.0, 2.0, 3.0]]))
    tensor([[7., 1., 2., 3., 7.]])
    """


class ConstantPad2d(_ConstantPad, axes=2):
    """Margins of a constant, on the last two axes; see ``functional.pad``.

    >>> tx.nn.ConstantPad2d((2, 2, 1, 1), 7.0)(tx.ones((1, 1, 3, 3))).shape
    (1, 1, 5, 7)
    """


class ConstantPad3d(_ConstantPad, axes=3):
    """Margins of a constant, on the last three axes; see ``functional.pad``.

    >>> tx.nn.ConstantPad3d((2, 2, 1, 1, 0, 0), 7.0)(tx.ones((1, 1, 3, 3, 3))).shape
    (1, 1, 3, 5, 7)
    """


class ZeroPad1d(_ZeroPad, axes=1):
    """Margins of zeros, on the last axis; see ``functional.pad``.

    >>> tx.nn.ZeroPad1d(1)(tx.asarray([[1.0, 2.0, 3.0]]))
    tensor([[0., 1., 2., 3., 0.]])
    """


class ZeroPad2d(_ZeroPad, axes=2):
    """Margins of zeros, on the last two axes; see ``functional.pad``.

    >>> tx.nn.ZeroPad2d((2, 2, 1, 1))(tx.ones((1, 1, 3, 3))).shape
    (1, 1, 5, 7)
    """


class ZeroPad3d(_ZeroPad, axes=3):
    """Margins of zeros, on the last three axes; see ``functional.pad``.

    >>> tx.nn.ZeroPad3d((2, 2, 1, 1, 0, 0))(tx.ones((1, 1, 3, 3, 3))).shape
    (1, 1, 3, 5, 7)
    """


class ReflectionPad1d(_ReflectionPad, axes=1):
    """Margins of the elements reflected at the end, on the last axis; see ``functional.pad``.

    >>> tx.nn.ReflectionPad1d(1)(tx.asarray([[1.0, 2.0, 3.0]]))
    tensor([[2., 1., 2., 3., 2.]])
    """


class ReflectionPad2d(_ReflectionPad, axes=2):
    """Margins of the elements reflected at the end, on the last two axes; see ``functional.pad``.

    >>> tx.nn.ReflectionPad2d((2, 2, 1, 1))(tx.ones((1, 1, 3, 3))).shape
    (1, 1, 5, 7)
    """


class ReflectionPad3d(_ReflectionPad, axes=3):
    """Margins of the elements reflected at the end, on the last three axes; see ``functional.pad``.

    >>> tx.nn.ReflectionPad3d((2, 2, 1, 1, 0, 0))(tx.ones((1, 1, 3, 3, 3))).shape
    (1, 1, 3, 5, 7)
    """


class ReplicationPad1d(_ReplicationPad, axes=1):
    """Margins of the last element repeated, on the last axis; see ``functional.pad``.

    >>> tx.nn.ReplicationPad1d(1)(tx.asarray([[1.0, 2.0, 3.0]]))
    tensor([[1., 1., 2., 3., 3.]])
    """


class ReplicationPad2d(_ReplicationPad, axes=2):
    """Margins of the last element repeated, on the last two axes; see ``functional.pad``.

    >>> tx.nn.ReplicationPad2d((2, 2, 1, 1))(tx.ones((1, 1, 3, 3))).shape
    (1, 1, 5, 7)
    """


class ReplicationPad3d(_ReplicationPad, axes=3):
    """Margins of the last element repeated, on the last three axes; see ``functional.pad``.

    >>> tx.nn.ReplicationPad3d((2, 2, 1, 1, 0, 0))(tx.ones((1, 1, 3, 3, 3))).shape
    (1, 1, 3, 5, 7)
    """


class CircularPad1d(_CircularPad, axes=1):
    """Margins of the elements from the other end, on the last axis; see ``functional.pad``.

    >>> tx.nn.CircularPad1d(1)(tx.asarray([[1.0, 2.0, 3.0]]))
    tensor([[3., 1., 2., 3., 1.]])
    """


class CircularPad2d(_CircularPad, axes=2):
    """Margins of the elements from the other end, on the last two axes; see ``functional.pad``.

    >>> tx.nn.CircularPad2d((2, 2, 1, 1))(tx.ones((1, 1, 3, 3))).shape
    (1, 1, 5, 7)
    """


class CircularPad3d(_CircularPad, axes=3):
    """Margins of the elements from the other end, on the last three axes; see ``functional.pad``.

    >>> tx.nn.CircularPad3d((2, 2, 1, 1, 0, 0))(tx.ones((1, 1, 3, 3, 3))).shape
    (1, 1, 3, 5, 7)
    """
