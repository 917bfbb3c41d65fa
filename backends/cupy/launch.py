"""The source of CUDA kernels (``backends/cupy/src/``), and how they are launched."""

import functools
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinyxp.backends import Array

FOLDER = Path(__file__).parent / "src"
# the types of numbers in memory and of sums, and the header of the former
TYPES = {
    "float16": ("__half", "float", "cuda_fp16.h"),
    "bfloat16": ("__nv_bfloat16", "float", "cuda_bf16.h"),
    "float32": ("float", "float", None),
    "float64": ("double", "double", None),
}
INCLUDED = re.compile(r'^#include "(\w+\.cuh)"$', re.MULTILINE)
DECLARED = re.compile(r"^KERNEL (\w+)\(", re.MULTILINE)
WHOLE = re.compile(r"^KERNEL (\w+)\(.*?^}\n", re.MULTILINE | re.DOTALL)


@functools.cache
def homes() -> dict[str, str]:
    """The file of each kernel."""
    return {
        name: path.name
        for path in sorted(FOLDER.glob("*.cu"))
        for name in DECLARED.findall(path.read_text(encoding="utf-8"))
    }


@functools.cache
def source(
    file: str, dtype: str, defines: tuple[tuple[str, int], ...] = (), only: str | None = None
) -> str:
    """The source for a compiler: types, definitions and a file, or the part of it for one kernel.

    The types are no options of the compiler, because a macro T would break headers that compilers
    include by themselves.
    """
    kind, sums, header = TYPES[dtype]
    head = [f"#include <{header}>"] if header else []
    head += [f"typedef {kind} T;", f"typedef {sums} A;", f"#define KIND_{dtype}"]
    head += [f"#define {name} {value}" for name, value in defines]
    body = text(file)
    if only is not None:
        body = WHOLE.sub(lambda found: found[0] if found[1] == only else "", body)
    return "\n".join([*head, body])


def text(file: str) -> str:
    """A file with its includes written out, so that a compiler needs no folder."""
    own = (FOLDER / file).read_text(encoding="utf-8")
    return INCLUDED.sub(lambda found: text(found[1]), own)


@dataclass(frozen=True)
class Library:
    """An array library with NumPy's names, and how a kernel starts on its arrays.

    ``launch(name, grid, block, args, dtype, defines, shared)``: ``grid`` blocks of ``block``
    threads; ``args`` are arrays, None, ints (long long) and floats (double); ``dtype`` is the name
    of the type of numbers, ``shared`` the bytes that a block shares. ``address(x)`` is the address
    of an array. ``usable(x)``: whether x is an array of this library on the device in use.
    ``linear(x, weight, bias)``: x @ weight.T of matrices, + bias unless it is None; the result may
    have gaps between its rows. ``on(device)``: a context that uses a device, the library's own.
    ``tensor_cores()``: whether the device in use has those of 2020 (Ampere) or later.
    """

    xp: Any
    launch: Callable[..., None]
    address: Callable[[Array], int]
    usable: Callable[[Any], bool]
    matmul: Callable[[Array, Array], Array]
    linear: Callable[[Array, Array, Array | None], Array]
    on: Callable[[Any], AbstractContextManager[Any]]
    tensor_cores: Callable[[], bool]

    def kind(self, *arrays: Any) -> str | None:
        """The name of the one dtype of all arrays (None aside), if kernels know it."""
        kinds = {x.dtype.name if self.usable(x) else "" for x in arrays if x is not None}
        (kind,) = kinds if len(kinds) == 1 else ("",)
        return kind if kind in TYPES else None

    def place(self, x: Array) -> Any:
        """The number of the device where x lies, or its name: CuPy's devices have no hash."""
        device = getattr(x, "device", None)
        return getattr(device, "id", device)

    def packed(self, x: Array) -> Array:
        """x without gaps, itself if it has none."""
        # not always by ascontiguousarray, which gives a number an axis
        return x if x.flags.c_contiguous else self.xp.ascontiguousarray(x)

    def elementwise(self, name: str, n: int, args: tuple[Any, ...], dtype: str) -> None:
        """Launch a kernel for n elements, four or so to a thread."""
        if n:
            self.launch(name, (min(-(-n // 1024), 1 << 16),), (256,), args, dtype)

    def apply(
        self, name: str, shape: Any, arrays: tuple[Array, ...], options: tuple[Any, ...] = ()
    ) -> Array:
        """A new array of the dtype of the first, by a kernel that takes arrays without gaps."""
        y = self.xp.empty(shape, dtype=arrays[0].dtype)
        self.elementwise(name, y.size, (*arrays, y, y.size, *options), y.dtype.name)
        return y

    def by_rows(self, name: str, rows: int, n: int, args: tuple[Any, ...], dtype: str) -> None:
        """Launch a kernel with a block for each row of n elements."""
        if rows:
            self.launch(name, (rows,), (row_threads(n),), args, dtype)


def arguments(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments of a launch for CuPy, which passes ints as long long and floats as double:
    NumPy's numbers become Python's, and None a null pointer.

    >>> import numpy as np
    >>> arguments((None, np.float32(0.5), np.int32(-1)))
    (0, 0.5, -1)
    """
    return tuple([0 if x is None else x.item() if isinstance(x, np.generic) else x for x in args])


def row_threads(n: int) -> int:
    """Threads for a row of n elements: whole warps, four elements to a thread, 512 at most.

    >>> row_threads(1), row_threads(768), row_threads(50257)
    (32, 192, 512)
    """
    return min(512, 32 * max(1, -(-n // 128)))


def chunks(rows: int, n: int) -> int:
    """The number of parts into which the rows of a matrix (rows, n) are split for the sums of its
    columns: enough blocks of 32 columns for any GPU, and at least 64 rows in a part.

    >>> chunks(8192, 768), chunks(8192, 50257), chunks(10, 768)
    (22, 1, 1)
    """
    return max(1, min(-(-512 // -(-n // 32)), rows // 64))


def sum_dtype(dtype: Any) -> str:
    """The name of the type A beside a dtype of numbers."""
    return "float64" if dtype.name == "float64" else "float32"
