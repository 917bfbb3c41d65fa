"""An array on a backend as Python sees it: shape, dtype and device, and its numbers."""

import math
from typing import Any

from tinyxp.backends import Array, Backend
from tinyxp.core import dtypes
from tinyxp.errors import ArgumentError, DTypeError, ShapeError


class Value:
    """The part of a Tensor that knows nothing of gradients."""

    __slots__ = ()

    array: Array  # the backend's own
    backend: Backend

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        return tuple(self.array.shape)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.array.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        size = 1
        for n in self.array.shape:
            size *= n
        return size

    @property
    def dtype(self) -> dtypes.DType:
        """tinyxp's own dtype object, the same on every backend."""
        return dtypes.BY_NAME[self.backend.dtype_names[self.array.dtype]]

    @property
    def device(self) -> str:
        """The device of the array: 'cpu', 'cuda:0' …"""
        return self.backend.device_of(self.array)

    # -- numbers of Python ---------------------------------------------------------------------

    def item(self) -> Any:
        """The single element as a Python number. Raises ShapeError if there are more or none."""
        if self.size != 1:
            raise ShapeError(f"item() expects a tensor of one element, got shape {self.shape}")
        return self.backend.to_numpy(self.array).item()

    def tolist(self) -> Any:
        """The data as nested lists of Python numbers."""
        return self.backend.to_numpy(self.array).tolist()

    def __bool__(self) -> bool:
        if self.size != 1:
            no = f"the truth of a tensor of shape {self.shape} is not defined"
            raise ShapeError(f"{no}; use tx.any or tx.all")
        return bool(self.item())

    def __int__(self) -> int:
        return self._converted(int)

    def __float__(self) -> float:
        return self._converted(float)

    def _converted(self, kind: Any, *rest: Any) -> Any:
        if self.size != 1:
            raise ShapeError(f"{kind.__name__}() expects a tensor of one element, got {self.shape}")
        value = self.item()
        try:
            return kind(value, *rest)
        except TypeError as error:  # of a complex number
            raise DTypeError(f"{value} is not a real number; take tx.real of it") from error
        except (ValueError, OverflowError) as error:  # of NaN and infinity
            raise ArgumentError(f"{value} cannot be converted: {error}") from error

    def __complex__(self) -> complex:
        return self._converted(complex)

    def __round__(self, ndigits: int | None = None) -> Any:
        return self._converted(round, ndigits)

    def __trunc__(self) -> int:
        return self._converted(math.trunc)

    def __format__(self, spec: str) -> str:
        """A 0-d tensor is formatted as its number, as in PyTorch: ``f"{loss:.4f}"``; with a format,
        so is any tensor of one element."""
        if self.ndim and not spec:
            return str(self)
        if self.size != 1:
            raise DTypeError(
                f"the format {spec!r} is for one number, got shape {self.shape}; leave it out"
            )
        return format(self.item(), spec)

    def __index__(self) -> int:
        if not dtypes.isdtype(self.dtype, "integral"):
            raise DTypeError(f"an index must be an integer, got a tensor of {self.dtype!r}")
        return int(self.item())

    def __len__(self) -> int:
        if self.ndim == 0:
            raise DTypeError("a 0-d tensor has no len(); use item()")
        return self.shape[0]
