"""Padding as modules, for 1, 2 or 3 axes; see ``functional.pad`` for the modes."""

from typing import Any

from tinyxp.core.tensor import Tensor
from tinyxp.errors import ShapeError
from tinyxp.nn import functional as F
from tinyxp.nn.module import Module

__all__ = [
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
]


class _Pad(Module):
    """``padding`` is one number for all margins, or (before, after) of the last axis first."""

    mode: str
    axes: int

    def __init__(self, padding: int | tuple[int, ...]) -> None:
        super().__init__()
        n = 2 * self.axes
        several = isinstance(padding, (tuple, list))
        self.padding = tuple(padding) if several else (padding,) * n  # type: ignore[arg-type]
        if len(self.padding) != n:
            raise ShapeError(f"{type(self).__name__} expects 1 or {n} margins, got {padding}")

    def forward(self, input: Tensor) -> Any:
        return F.pad(input, self.padding, self.mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPad(_Pad):
    mode = "constant"

    def __init__(self, padding: int | tuple[int, ...], value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Any:
        return F.pad(input, self.padding, self.mode, self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class _ZeroPad(_ConstantPad):
    def __init__(self, padding: int | tuple[int, ...]) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ReflectionPad(_Pad):
    mode = "reflect"


class _ReplicationPad(_Pad):
    mode = "replicate"


class _CircularPad(_Pad):
    mode = "circular"


class ConstantPad1d(_ConstantPad):
    """Margins of a constant, on the last axis; see ``functional.pad``.

    >>> tx.nn.ConstantPad1d(1, 7.0)(tx.asarray([[1.0, 2.0, 3.0]]))
    tensor([[7., 1., 2., 3., 7.]])
    """

    axes = 1


class ConstantPad2d(_ConstantPad):
    """Margins of a constant, on the last two axes; see ``functional.pad``.

    >>> tx.nn.ConstantPad2d((2, 2, 1, 1), 7.0)(tx.ones((1, 1, 3, 3))).shape
    (1, 1, 5, 7)
    """

    axes = 2


class ConstantPad3d(_ConstantPad):
    """Margins of a constant, on the last three axes; see ``functional.pad``.

    >>> tx.nn.ConstantPad3d((2, 2, 1, 1, 0, 0), 7.0)(tx.ones((1, 1, 3, 3, 3))).shape
    (1, 1, 3, 5, 7)
    """

    axes = 3


class ZeroPad1d(_ZeroPad):
    """Margins of zeros, on the last axis; see ``functional.pad``.

    >>> tx.nn.ZeroPad1d(1)(tx.asarray([[1.0, 2.0, 3.0]]))
    tensor([[0., 1., 2., 3., 0.]])
    """

    axes = 1


class ZeroPad2d(_ZeroPad):
    """Margins of zeros, on the last two axes; see ``functional.pad``.

    >>> tx.nn.ZeroPad2d((2, 2, 1, 1))(tx.ones((1, 1, 3, 3))).shape
    (1, 1, 5, 7)
    """

    axes = 2


class ZeroPad3d(_ZeroPad):
    """Margins of zeros, on the last three axes; see ``functional.pad``.

    >>> tx.nn.ZeroPad3d((2, 2, 1, 1, 0, 0))(tx.ones((1, 1, 3, 3, 3))).shape
    (1, 1, 3, 5, 7)
    """

    axes = 3


class ReflectionPad1d(_ReflectionPad):
    """Margins of the elements reflected at the end, on the last axis; see ``functional.pad``.

    >>> tx.nn.ReflectionPad1d(1)(tx.asarray([[1.0, 2.0, 3.0]]))
    tensor([[2., 1., 2., 3., 2.]])
    """

    axes = 1


class ReflectionPad2d(_ReflectionPad):
    """Margins of the elements reflected at the end, on the last two axes; see ``functional.pad``.

    >>> tx.nn.ReflectionPad2d((2, 2, 1, 1))(tx.ones((1, 1, 3, 3))).shape
    (1, 1, 5, 7)
    """

    axes = 2


class ReflectionPad3d(_ReflectionPad):
    """Margins of the elements reflected at the end, on the last three axes; see ``functional.pad``.

    >>> tx.nn.ReflectionPad3d((2, 2, 1, 1, 0, 0))(tx.ones((1, 1, 3, 3, 3))).shape
    (1, 1, 3, 5, 7)
    """

    axes = 3


class ReplicationPad1d(_ReplicationPad):
    """Margins of the last element repeated, on the last axis; see ``functional.pad``.

    >>> tx.nn.ReplicationPad1d(1)(tx.asarray([[1.0, 2.0, 3.0]]))
    tensor([[1., 1., 2., 3., 3.]])
    """

    axes = 1


class ReplicationPad2d(_ReplicationPad):
    """Margins of the last element repeated, on the last two axes; see ``functional.pad``.

    >>> tx.nn.ReplicationPad2d((2, 2, 1, 1))(tx.ones((1, 1, 3, 3))).shape
    (1, 1, 5, 7)
    """

    axes = 2


class ReplicationPad3d(_ReplicationPad):
    """Margins of the last element repeated, on the last three axes; see ``functional.pad``.

    >>> tx.nn.ReplicationPad3d((2, 2, 1, 1, 0, 0))(tx.ones((1, 1, 3, 3, 3))).shape
    (1, 1, 3, 5, 7)
    """

    axes = 3


class CircularPad1d(_CircularPad):
    """Margins of the elements from the other end, on the last axis; see ``functional.pad``.

    >>> tx.nn.CircularPad1d(1)(tx.asarray([[1.0, 2.0, 3.0]]))
    tensor([[3., 1., 2., 3., 1.]])
    """

    axes = 1


class CircularPad2d(_CircularPad):
    """Margins of the elements from the other end, on the last two axes; see ``functional.pad``.

    >>> tx.nn.CircularPad2d((2, 2, 1, 1))(tx.ones((1, 1, 3, 3))).shape
    (1, 1, 5, 7)
    """

    axes = 2


class CircularPad3d(_CircularPad):
    """Margins of the elements from the other end, on the last three axes; see ``functional.pad``.

    >>> tx.nn.CircularPad3d((2, 2, 1, 1, 0, 0))(tx.ones((1, 1, 3, 3, 3))).shape
    (1, 1, 3, 5, 7)
    """

    axes = 3
