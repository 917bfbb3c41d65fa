"""CuPy: NVIDIA GPUs."""

import functools
import importlib
from typing import Any

from tinyxp.backends import HALVES, Array, Backend, Namespace, missing
from tinyxp.backends.common.capture import capturing
from tinyxp.backends.common.halves import bfloat16
from tinyxp.backends.cupy.capture import DeviceCapture
from tinyxp.backends.cupy.checks import Checks
from tinyxp.backends.cupy.kernels.dense import Kernels
from tinyxp.backends.cupy.launch import Library, arguments, homes, source
from tinyxp.backends.cupy.mends import from_host, mends
from tinyxp.backends.cupy.setup import advice, look, with_advice
from tinyxp.errors import BackendError

try:
    import cupy
except ImportError as error:
    raise with_advice(missing("CuPy", "cuda12", "cuda13")) from error

import array_api_compat.cupy as compat
import cupyx

from tinyxp.backends.cupy import device as cupy_device
from tinyxp.backends.cupy.matmul import linear, matmul

SHARED = 48 << 10  # bytes of shared memory that a block has without asking


@functools.cache
def compiled(name: str, dtype: str, defines: tuple[tuple[str, int], ...], device: int) -> Any:
    """A kernel for a device, without the others of its file; CuPy caches code on disk."""
    code = source(homes()[name], dtype, defines, only=name)
    return cupy.RawModule(code=code).get_function(name)


def launch(
    name: str,
    grid: tuple[int, ...],
    block: tuple[int, ...],
    args: tuple[Any, ...],
    dtype: str,
    defines: tuple[tuple[str, int], ...] = (),
    shared: int = 0,
) -> None:
    """Start a kernel (see ``Library``)."""
    kernel = compiled(name, dtype, defines, cupy.cuda.runtime.getDevice())
    if shared > SHARED:
        kernel.max_dynamic_shared_size_bytes = shared
    kernel(grid, block, arguments(args), shared_mem=shared)


def usable(x: Any) -> bool:
    return type(x) is cupy.ndarray and x.data.device_id == cupy.cuda.runtime.getDevice()


def on(device: Any) -> Any:
    return cupy.cuda.Device() if device is None else device


def tensor_cores() -> bool:
    return int(cupy.cuda.Device().compute_capability) >= 80


LIBRARY = Library(cupy, launch, lambda x: x.data.ptr, usable, matmul, linear, on, tensor_cores)
kernels, checks = Kernels(LIBRARY), Checks(LIBRARY)


def to_numpy(array: Array) -> Any:
    """Waits for the device, and raises what checks on it found."""
    capture = capturing()
    if isinstance(capture, DeviceCapture):
        return capture.look(array, cupy.asnumpy)
    values = cupy.asnumpy(array)
    checks.look()
    return values


def index_add(x: Array, indices: Array, values: Array) -> Array:
    """A copy of ``x`` with ``x[indices[i]] += values[i]``, repeated indices included."""
    out = kernels.add_rows(x, indices, values)
    if out is NotImplemented:  # integers, whose sums do not depend on the order; another device
        with x.device:
            return add_at(x, indices, values)
    return out


def add_at(x: Array, indices: Array, values: Array) -> Array:
    """``index_add`` by CuPy, which adds neither complex numbers nor small integers."""
    if x.dtype.kind == "c":
        out = cupy.empty(x.shape, dtype=x.dtype)
        out.real = add_at(x.real, indices, values.real)
        out.imag = add_at(x.imag, indices, values.imag)
        return out
    wide = {"b": cupy.int64, "i": cupy.int64, "u": cupy.uint64}.get(x.dtype.kind, x.dtype)
    out = x.astype(wide)
    cupy.add.at(out, indices, values.astype(wide))
    return out.astype(x.dtype, copy=False)


def take(x: Array, indices: Array, *, axis: int | None = None) -> Array:
    """Raises IndexError for indices out of bounds, which CuPy wraps around."""
    in_bounds(indices, x.shape[axis or 0], axis or 0)
    return cupy.take(x, indices, axis=axis or 0)


def take_along_axis(x: Array, indices: Array, *, axis: int = -1) -> Array:
    in_bounds(indices, x.shape[axis], axis)
    return cupy.take_along_axis(x, indices, axis=axis)


def in_bounds(indices: Array, length: int, axis: int) -> None:
    problem = f"out of bounds for axis {axis} of length {length}"
    if checks.check_later(indices, -length, length, None, lambda: f"index {{index}} is {problem}"):
        return
    if indices.size and not bool(((indices >= -length) & (indices < length)).all()):
        raise IndexError(f"an index is {problem}")


def repeat(x: Array, repeats: Any, axis: int | None = None) -> Array:
    """As the standard's; CuPy takes an array of repeats only as a list."""
    each = repeats.tolist() if isinstance(repeats, cupy.ndarray) else repeats
    return cupy.repeat(x, each, axis=axis)


def special(name: str, x: Array) -> Array:
    """A function of cupyx.scipy.special, which is slow to import."""
    return getattr(importlib.import_module("cupyx.scipy.special"), name)(x)


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
    with cupy.cuda.Device(device_number(name or "cuda")):
        return from_host(cupy, array)


def devices() -> list[str]:
    return [f"cuda:{i}" for i in range(cupy.cuda.runtime.getDeviceCount())]


def recorder() -> Any:
    """The recording of a captured step."""
    from tinyxp.backends.cupy.recording import GraphRecording

    return GraphRecording(LIBRARY, checks)


def load() -> Backend:
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        why = BackendError(f"CuPy is installed but finds no NVIDIA driver: {error}")
        raise with_advice(why) from error
    if count == 0:
        raise with_advice(BackendError("CuPy is installed but this machine has no CUDA device"))
    cupy_device.explain_shortages()
    return Backend(
        name="cupy",
        xp=Namespace(
            compat,
            erf=functools.partial(special, "erf"),
            erfc=functools.partial(special, "erfc"),
            index_add=index_add,
            matmul=matmul,
            repeat=repeat,
            take=take,
            take_along_axis=take_along_axis,
            **mends(compat, cupy, functools.partial(cupyx.errstate, linalg="raise")),
        ),
        array_types=(cupy.ndarray,),
        to_numpy=to_numpy,
        from_numpy=from_numpy,
        device_of=lambda array: f"cuda:{array.device.id}",
        to_device=to_device,
        devices=devices,
        kernels=kernels.table(),
        functions=kernels.functions(),
        empty_cache=cupy_device.empty_cache,
        about=cupy_device.about,
        advice=lambda: [f"CUDA: {line}" for line in advice(look())],
        memory=cupy_device.memory,
        device_name=cupy_device.name,
        synchronize=cupy_device.synchronize,
        fork_safe=False,
        check_later=checks.check_later,
        elements_per_update=None,  # one launch for all
        recorder=recorder,
        late={"bfloat16": bfloat16},
        widened=HALVES,
    )
