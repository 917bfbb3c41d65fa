"""Data types: tinyxp's own objects, the same on every backend, and the rules of promotion."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyxp.errors import ArgumentError, DTypeError

__all__ = [
    "DType", "bfloat16", "bool", "can_cast", "complex64", "complex128", "finfo", "float16",
    "float32", "float64", "iinfo", "int8", "int16", "int32", "int64", "isdtype", "promote",
    "result_type", "uint8", "uint16", "uint32", "uint64",
]  # fmt: skip


@dataclass(frozen=True, eq=False)
class DType:
    """One data type, compared by identity.

    >>> float32, float32.kind, float32.itemsize
    (tinyxp.float32, 'real floating', 4)
    """

    name: str
    kind: str  # bool, signed integer, unsigned integer, real floating, complex floating
    itemsize: int  # bytes

    def __repr__(self) -> str:
        return f"tinyxp.{self.name}"

    def __reduce__(self) -> str:
        return self.name  # pickle and copy keep the one object


bool = DType("bool", "bool", 1)
int8 = DType("int8", "signed integer", 1)
int16 = DType("int16", "signed integer", 2)
int32 = DType("int32", "signed integer", 4)
int64 = DType("int64", "signed integer", 8)
uint8 = DType("uint8", "unsigned integer", 1)
uint16 = DType("uint16", "unsigned integer", 2)
uint32 = DType("uint32", "unsigned integer", 4)
uint64 = DType("uint64", "unsigned integer", 8)
float16 = DType("float16", "real floating", 2)
bfloat16 = DType("bfloat16", "real floating", 2)
float32 = DType("float32", "real floating", 4)
float64 = DType("float64", "real floating", 8)
complex64 = DType("complex64", "complex floating", 8)
complex128 = DType("complex128", "complex floating", 16)

BY_NAME = {value.name: value for value in dict(globals()).values() if isinstance(value, DType)}
# of the real floating ones: bits of the fraction, and the largest exponent
DIGITS = {float16: (10, 15), bfloat16: (7, 127), float32: (23, 127), float64: (52, 1023)}
# dtypes of Python numbers and lists: float32, as users of a deep-learning framework expect
DEFAULT_FLOAT, DEFAULT_COMPLEX, DEFAULT_INT = float32, complex64, int64

# the least and the largest number of each integer dtype
SPANS = {
    value: (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if value.kind[0] == "s" else (0, 2**bits - 1)
    for value in BY_NAME.values()
    if value.kind.endswith("integer") and (bits := 8 * value.itemsize)
}

RANK = {
    "bool": 0,
    "unsigned integer": 1,
    "signed integer": 1,
    "real floating": 2,
    "complex floating": 3,
}
_SCALAR_RANK: dict[type, int] = {
    type(True): 0,  # noqa: UP003, bool is a DType here
    int: 1,
    float: 2,
    complex: 3,
}


def as_dtype(dtype: Any) -> DType:
    """The DType meant by ``dtype``: one of ours, its name, or another library's of the same name.

    >>> as_dtype("float32"), as_dtype(int64)
    (tinyxp.float32, tinyxp.int64)
    """
    if isinstance(dtype, DType):
        return dtype
    name = dtype if isinstance(dtype, str) else getattr(dtype, "__name__", str(dtype))
    found = BY_NAME.get(name.rpartition(".")[2])
    if found is None:
        raise DTypeError(f"unknown dtype {dtype!r}; choose one of {', '.join(BY_NAME)}")
    return found


def promote(a: DType, b: DType) -> DType:
    """The common dtype of ``a`` and ``b``: the standard's table within a kind.

    Between kinds, which the standard leaves open, the higher kind wins (bool, integer, real,
    complex), with PyTorch: int64 and float32 give float32. Neither 16-bit
    dtype holds the other, so that float16 and bfloat16 give float32.

    >>> promote(int8, uint8), promote(int64, float32), promote(float64, complex64)
    (tinyxp.int16, tinyxp.float32, tinyxp.complex128)
    >>> promote(int64, float16), promote(bfloat16, float16), promote(bfloat16, complex64)
    (tinyxp.float16, tinyxp.float32, tinyxp.complex64)
    """
    if a is b and isinstance(a, DType):
        return a
    a, b = as_dtype(a), as_dtype(b)
    if RANK[a.kind] != RANK[b.kind]:
        low, high = sorted((a, b), key=lambda dtype: RANK[dtype.kind])
        return complex128 if (low, high) == (float64, complex64) else high
    if {a, b} == {float16, bfloat16}:
        return float32
    if a.kind == b.kind:
        return max(a, b, key=lambda dtype: dtype.itemsize)
    signed, unsigned = (a, b) if a.kind == "signed integer" else (b, a)
    if unsigned.itemsize < signed.itemsize:
        return signed
    if unsigned is uint64:
        raise DTypeError(f"{a!r} and {b!r} have no common integer dtype; cast one with tx.astype")
    return BY_NAME[f"int{16 * unsigned.itemsize}"]


def promote_scalar(dtype: DType, scalar: complex) -> DType:
    """The common dtype of ``dtype`` and a Python number, of which only the kind counts.

    >>> promote_scalar(float64, 1), promote_scalar(int8, 0.5)
    (tinyxp.float64, tinyxp.float32)
    """
    rank = _SCALAR_RANK[type(scalar)]
    if rank <= RANK[dtype.kind]:
        return dtype
    if rank == 3:
        return complex128 if dtype is float64 else DEFAULT_COMPLEX
    return DEFAULT_FLOAT if rank == 2 else DEFAULT_INT


def result_type(*operands: Any) -> DType:
    """The dtype of an operation over tensors, dtypes and Python numbers.

    Raises DTypeError where there is none: uint64 with a signed integer, or numbers alone.

    >>> result_type(int8, uint8, 1.0)
    tinyxp.float32
    """
    scalars = [x for x in operands if type(x) in _SCALAR_RANK]
    dtypes = [as_dtype(getattr(x, "dtype", x)) for x in operands if type(x) not in _SCALAR_RANK]
    if not dtypes:
        raise DTypeError("result_type needs at least one tensor or dtype, got Python numbers only")
    result = dtypes[0]
    for dtype in dtypes[1:]:
        result = promote(result, dtype)
    for scalar in scalars:
        result = promote_scalar(result, scalar)
    return result


def expect_held(numbers: Any, dtype: DType) -> None:
    """Raise unless a dtype holds numbers that the user wrote, because a cast may wrap around.

    ArgumentError for integers out of its range, NaN and Inf, DTypeError for complex numbers.
    """
    array = np.asarray(numbers)
    if array.dtype.kind == "c" and dtype.kind not in ("complex floating", "bool"):
        raise DTypeError(f"{dtype!r} holds no complex numbers; take their real part")
    span = SPANS.get(dtype)
    if span is None or array.size == 0 or array.dtype.kind not in "iuf":
        return
    low, high = array.min(), array.max()
    for number in (low, high):
        if not np.isfinite(number):
            raise ArgumentError(f"{dtype!r} holds no NaN or Inf, got {number.item()}")
        if not span[0] <= int(number) <= span[1]:
            raise not_held(number.item(), dtype)


def not_held(number: Any, dtype: DType) -> ArgumentError:
    """The error for a number outside a dtype's range."""
    low, high = SPANS[dtype]
    return ArgumentError(
        f"{dtype!r} holds numbers from {low} to {high}, got {number}; take a wider dtype"
    )


def isdtype(dtype: DType, kind: Any) -> Any:
    """Whether ``dtype`` is of ``kind``: a dtype, a kind's name, or a tuple of them.

    Names: 'bool', 'signed integer', 'unsigned integer', 'integral', 'real floating',
    'complex floating', 'numeric'.

    >>> isdtype(int8, "integral"), isdtype(float32, ("bool", float64))
    (True, False)
    """
    dtype = as_dtype(dtype)
    if isinstance(kind, tuple):
        return any(isdtype(dtype, one) for one in kind)
    if isinstance(kind, DType):
        return dtype is kind
    if kind == "integral":
        return dtype.kind.endswith("integer")
    if kind == "numeric":
        return dtype.kind != "bool"
    if kind not in RANK:
        names = ", ".join(map(repr, [*RANK, "integral", "numeric"]))
        raise DTypeError(f"unknown kind of dtype {kind!r}; choose one of {names}")
    return dtype.kind == kind


def can_cast(from_: Any, to: DType, /) -> Any:
    """Whether promotion may cast a tensor or dtype to ``to``, so that it keeps its kind.

    >>> can_cast(float32, float64), can_cast(int64, int8)
    (True, False)
    """
    to, from_ = as_dtype(to), as_dtype(getattr(from_, "dtype", from_))
    try:
        return promote(from_, to) is to
    except DTypeError:
        return False


@dataclass(frozen=True, init=False)
class finfo:
    """Limits of a floating dtype or of a tensor's, as Python floats; of its parts if complex.

    >>> finfo(float32).eps == 2.0**-23
    True
    """

    dtype: DType

    def __init__(self, type: Any, /) -> None:
        dtype = as_dtype(getattr(type, "dtype", type))
        if not dtype.kind.endswith("floating"):
            raise DTypeError(f"finfo expects a floating dtype, got {dtype!r}; use iinfo")
        part = {complex64: float32, complex128: float64}.get(dtype, dtype)
        object.__setattr__(self, "dtype", part)

    @property
    def bits(self) -> int:
        return 8 * self.dtype.itemsize

    @property
    def eps(self) -> float:
        return 2.0 ** -DIGITS[self.dtype][0]

    @property
    def max(self) -> float:
        return (2.0 - self.eps) * 2.0 ** DIGITS[self.dtype][1]

    @property
    def min(self) -> float:
        return -self.max

    @property
    def smallest_normal(self) -> float:
        return 2.0 ** (1 - DIGITS[self.dtype][1])


@dataclass(frozen=True, init=False)
class iinfo:
    """Limits of an integer dtype, or of a tensor's.

    >>> iinfo(int8).min, iinfo(int8).max
    (-128, 127)
    """

    dtype: DType

    def __init__(self, type: Any, /) -> None:
        dtype = as_dtype(getattr(type, "dtype", type))
        if not dtype.kind.endswith("integer"):
            raise DTypeError(f"iinfo expects an integer dtype, got {dtype!r}; use finfo")
        object.__setattr__(self, "dtype", dtype)

    @property
    def bits(self) -> int:
        return 8 * self.dtype.itemsize

    @property
    def max(self) -> int:
        return SPANS[self.dtype][1]

    @property
    def min(self) -> int:
        return SPANS[self.dtype][0]
