"""Data from Python and from other libraries: numbers, nested lists and arrays."""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from tinyxp.core import dtypes
from tinyxp.errors import ArgumentError, DTypeError, ExportError, GradientError, ShapeError


def from_numbers(obj: Any, wanted: dtypes.DType | None) -> Any:
    """A NumPy array from Python numbers or nested lists, in tinyxp's default dtype if none is
    wanted. A wanted dtype must not be reached by way of a narrower one."""
    try:
        array = np.array(obj)
    except ValueError as error:
        raise ShapeError(f"nested lists must all have the same length: {error}") from error
    if array.dtype.kind not in "biufc":
        raise DTypeError(
            f"expected numbers, nested lists of numbers or an array, got {type(obj).__name__}"
        )
    if array.dtype.kind == "f" and isinstance(_first(obj), int):
        # NumPy turns a list of ints below and above 2**63 into floats
        numbers = np.array(obj, dtype=object)
        if numbers.size and all(isinstance(n, int) for n in numbers.flat):
            if min(numbers.flat) < 0:
                raise ArgumentError("no dtype holds integers below 0 and above 2**63 - 1")
            array = numbers.astype("uint64")
    default = {"f": dtypes.DEFAULT_FLOAT, "c": dtypes.DEFAULT_COMPLEX}.get(array.dtype.kind)
    if array.size == 0 and isinstance(obj, (list, tuple)):
        default = dtypes.DEFAULT_FLOAT
    return array if default is None or wanted is not None else array.astype(default.name)


def _first(obj: Any) -> Any:
    """The first number of nested lists."""
    while isinstance(obj, (list, tuple)) and obj:
        obj = obj[0]
    return obj


def import_array(obj: Any, importer: Callable[[Any], Any]) -> Any:
    """Another library's array, imported through DLPack. Raises GradientError if that would cut its
    graph, ExportError if the library cannot export it."""
    try:
        for lazy in ("resolve_conj", "resolve_neg"):  # PyTorch exports a view of -x as x
            obj = getattr(obj, lazy)() if hasattr(obj, lazy) else obj
        return importer(obj)
    except Exception as error:
        kind = f"{type(obj).__module__}.{type(obj).__name__}"
        if getattr(obj, "requires_grad", False) is True:
            raise GradientError(
                f"a {kind} that requires grad has a graph in its own library, which would be "
                "cut; pass its .detach()"
            ) from error
        dtype = getattr(obj, "dtype", "")
        raise ExportError(
            f"this {kind} of {dtype} cannot be exported through DLPack ({error}); give it a "
            "common dtype and move it to the CPU (in PyTorch .float() and .cpu()), or use its "
            "own backend: tx.use_backend"
        ) from error


def scipy_hint() -> str:
    """For an error: how SciPy or scikit-learn take tensors, if one of them is the caller."""
    frame: Any = sys._getframe(2)
    while frame is not None:
        library = frame.f_globals.get("__name__", "").partition(".")[0]
        if library in ("scipy", "sklearn"):
            name = {"scipy": "SciPy", "sklearn": "scikit-learn"}[library]
            return (
                f". {name} takes tensors if the environment variable "
                f"SCIPY_ARRAY_API=1 is set before it is imported"
            )
        frame = frame.f_back
    return ""
