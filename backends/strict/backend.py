"""array-api-strict, which refuses whatever the Array API standard does not promise."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tinyxp import backends
from tinyxp.backends import Array, Backend, Namespace, missing
from tinyxp.backends.common import philox
from tinyxp.backends.common.special import erf, erfc
from tinyxp.errors import BackendError

try:
    import array_api_strict as library
except ImportError as error:
    raise missing("array-api-strict", "test") from error

# by the names that tinyxp has for them; the second stands in for an accelerator
DEVICES = {"cpu": library.Device("CPU_DEVICE"), "device1": library.Device("device1")}
NUMPY = backends.get("numpy")
SCALARS = (bool, int, float, complex)


def index_add(x: Array, indices: Array, values: Array) -> Array:
    """``x`` with ``x[indices[i]] += values[i]``, by NumPy, whose arrays the library wraps.

    What the standard alone offers, a product with a one-hot matrix, takes memory of n times k.
    """
    if not x.device == indices.device == values.device:
        raise ValueError("index_add of arrays on different devices")
    y = NUMPY.xp.index_add(to_numpy(x), to_numpy(indices), to_numpy(values))
    return library.asarray(y, device=x.device)


def random_bits(seed: int, counter: int, n: int, device: Any = None) -> Array:
    """By NumPy: the library checks each of some 150 operations, whenever a module is made."""
    return library.asarray(philox.random_bits(np, seed, counter, n), device=device)


def sign(x: Array) -> Array:
    """x / |x|. The library returns -0 for a complex zero; the standard asks for 0."""
    y = library.sign(x)
    return library.where(y == 0, library.zeros_like(y), y)


def mend(name: str) -> Callable[..., Array]:
    """The function ``name`` as mended for NumPy, whose arithmetic the library wraps."""
    own, by_numpy = getattr(library, name), getattr(NUMPY.xp, name)

    def function(*operands: Array) -> Array:
        with np.errstate(all="ignore"):  # the mend warns where that is right
            place = own(*operands).device  # raises for what the standard does not promise
        plain = (x if isinstance(x, SCALARS) else to_numpy(x) for x in operands)
        return library.asarray(by_numpy(*plain), device=place)

    return function


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
        xp=Namespace(
            library,
            erf=erf,
            erfc=erfc,
            index_add=index_add,
            linalg=library.linalg,
            fft=library.fft,
            sign=sign,
            **{
                name: mend(name) for name in ("expm1", "floor_divide", "log1p", "remainder", "tanh")
            },
        ),
        array_types=(type(library.asarray(0)),),
        to_numpy=to_numpy,
        from_numpy=from_numpy,
        device_of=lambda array: next(n for n, d in DEVICES.items() if d == array.device),
        to_device=to_device,
        devices=lambda: list(DEVICES),
        functions={"random_bits": random_bits},
        get_threads=NUMPY.get_threads,
        set_threads=NUMPY.set_threads,
    )
