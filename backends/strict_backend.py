"""array-api-strict: the judge. It refuses whatever the Array API standard does not promise."""

import numpy as np

from tinyxp.backends import Array, Backend, Namespace, missing
from tinyxp.backends.errors import BackendError
from tinyxp.backends.special import erf

try:
    import array_api_strict as library
except ImportError as error:
    raise missing("array-api-strict", "test") from error

# what tinyxp calls the library's devices, of which the second stands in for an accelerator
DEVICES = {"cpu": library.Device("CPU_DEVICE"), "device1": library.Device("device1")}


def index_add(x: Array, indices: Array, values: Array) -> Array:
    """``x`` with ``x[indices[i]] += values[i]``, as a product with a one-hot matrix."""
    if indices.shape[0] == 0 or values.size == 0:
        return library.asarray(x, copy=True)
    rows = library.arange(x.shape[0], device=x.device)
    hot = library.astype(rows[:, None] == indices[None, :], x.dtype)
    flat = library.reshape(values, (values.shape[0], -1))
    return x + library.reshape(hot @ flat, x.shape)


def device(name: str | None) -> library.Device:
    if name is None:
        name = "cpu"
    if name not in DEVICES:
        raise BackendError(f"the strict backend has the devices 'cpu' and 'device1', got {name!r}")
    return DEVICES[name]


def to_numpy(array: Array) -> Array:
    return np.asarray(array.to_device(DEVICES["cpu"]))


def from_numpy(array: Array, name: str | None = None) -> Array:
    return library.asarray(array, device=device(name))


def to_device(array: Array, name: str) -> Array:
    return array.to_device(device(name))


def load() -> Backend:
    library.set_array_api_strict_flags(api_version="2025.12")
    return Backend(
        name="strict",
        # linalg and fft are loaded lazily, so that dir() does not list them
        xp=Namespace(library, erf=erf, index_add=index_add, linalg=library.linalg, fft=library.fft),
        array_types=(type(library.asarray(0)),),
        to_numpy=to_numpy,
        from_numpy=from_numpy,
        device_of=lambda array: next(n for n, d in DEVICES.items() if d == array.device),
        to_device=to_device,
        devices=lambda: list(DEVICES),
    )
