"""CuPy: NVIDIA GPUs."""

import math
from typing import Any

from tinyxp.backends import Array, Backend, Namespace, missing
from tinyxp.backends.errors import BackendError

try:
    import cupy
except ImportError as error:
    raise missing("CuPy", "cuda12", "cuda13") from error

import array_api_compat.cupy as compat
import cupyx


def index_add(x: Array, indices: Array, values: Array) -> Array:
    """A copy of ``x`` with ``x[indices[i]] += values[i]``, repeated indices included.

    CuPy adds with atomics: float sums of rows that repeat may differ in their last bits from run
    to run.
    """
    out = x.copy()
    cupyx.scatter_add(out, indices, values)
    return out


def take(x: Array, indices: Array, *, axis: int) -> Array:
    """CuPy wraps an index that is out of bounds round the end; finding it out costs a
    synchronisation."""
    in_bounds(indices, x.shape[axis], axis)
    return cupy.take(x, indices, axis=axis)


def take_along_axis(x: Array, indices: Array, *, axis: int = -1) -> Array:
    in_bounds(indices, x.shape[axis], axis)
    return cupy.take_along_axis(x, indices, axis=axis)


def in_bounds(indices: Array, length: int, axis: int) -> None:
    if indices.size and not bool(((indices >= -length) & (indices < length)).all()):
        raise IndexError(f"an index is out of bounds for axis {axis} of length {length}")


def repeat(x: Array, repeats: Any, axis: int | None = None) -> Array:
    """CuPy takes different numbers of repeats as a list only."""
    each = repeats.tolist() if isinstance(repeats, cupy.ndarray) else repeats
    return cupy.repeat(x, each, axis=axis)


def matmul(a: Array, b: Array) -> Array:
    """``a @ b``; a stack of matrices times one matrix is one product of two matrices in cuBLAS."""
    if b.ndim == 2 and a.ndim > 2:
        rows = math.prod(a.shape[:-1])  # not -1: it is ambiguous for an empty array
        return cupy.matmul(a.reshape(rows, a.shape[-1]), b).reshape(*a.shape[:-1], b.shape[-1])
    return cupy.matmul(a, b)


def erf(x: Array) -> Array:
    from cupyx.scipy.special import erf

    return erf(x)


def device_number(name: str) -> int:
    if name == "cuda":
        return int(cupy.cuda.runtime.getDevice())
    if name not in devices():
        choices = ", ".join(map(repr, devices()))
        raise BackendError(
            f"the cupy backend has no device {name!r} on this machine; choose one of {choices}"
        )
    return int(name.removeprefix("cuda:"))


def to_device(array: Array, name: str) -> Array:
    with cupy.cuda.Device(device_number(name)):
        return cupy.asarray(array)


def from_numpy(array: Array, name: str | None = None) -> Array:
    return to_device(array, name or "cuda")


def devices() -> list[str]:
    return [f"cuda:{i}" for i in range(cupy.cuda.runtime.getDeviceCount())]


def load() -> Backend:
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise BackendError(f"CuPy is installed but finds no NVIDIA driver: {error}") from error
    if count == 0:
        raise BackendError("CuPy is installed but this machine has no CUDA device")
    return Backend(
        name="cupy",
        xp=Namespace(
            compat,
            erf=erf,
            index_add=index_add,
            matmul=matmul,
            repeat=repeat,
            take=take,
            take_along_axis=take_along_axis,
        ),
        array_types=(cupy.ndarray,),
        to_numpy=cupy.asnumpy,
        from_numpy=from_numpy,
        device_of=lambda array: f"cuda:{array.device.id}",
        to_device=to_device,
        devices=devices,
    )
