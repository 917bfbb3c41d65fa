"""NumPy: the backend that is always there."""

import importlib.util
import os
from collections.abc import Callable
from typing import Any

import array_api_compat.numpy as compat
import numpy as np

from tinyxp.backends import HALVES, Array, Backend, Kernel, Namespace, chain, first_of
from tinyxp.backends.common.halves import bfloat16
from tinyxp.backends.numpy import threads
from tinyxp.backends.numpy.kernels import attention, convolution, dense, optimizer, random, softmax
from tinyxp.backends.numpy.memory import flat_view, pool
from tinyxp.backends.numpy.mends import MENDS
from tinyxp.backends.numpy.replay.trace import run_parts
from tinyxp.backends.numpy.replay.wrappers import constant
from tinyxp.errors import BackendError


def to_numpy(array: Array) -> Array:
    """The array itself; a NumPy scalar as a 0-d array."""
    return array if isinstance(array, np.ndarray) else np.asarray(array)


def on_cpu(device: str | None) -> None:
    if device is not None and not (isinstance(device, str) and device == "cpu"):
        raise BackendError(
            f"the numpy backend has the device 'cpu' only, got {device!r}; "
            "for a GPU, move to the backend first: x.to('cupy')"
        )


@constant
def from_numpy(array: Array, device: str | None = None) -> Array:
    on_cpu(device)
    return array


def to_device(array: Array, device: str) -> Array:
    on_cpu(device)
    return array


def about() -> str:
    """The kernels and the number of threads in use."""
    number = threads.get_threads() or "an unknown number of"
    if uses_numba():
        whose = "numba's (TINY_FAST=0 turns them off)"
    elif importlib.util.find_spec("numba") is None:
        whose = "NumPy's own; for faster ones: pip install numba"
    else:
        whose = "NumPy's own, as TINY_FAST=0 asks"
    return f"; NumPy {np.__version__}, BLAS with {number} threads; kernels: {whose}"


def uses_numba() -> bool:
    """Whether numba is installed (the extra ``fast``) and TINY_FAST is not 0."""
    return os.environ.get("TINY_FAST") != "0" and importlib.util.find_spec("numba") is not None


def kernels(fast: bool) -> dict[str, Kernel]:
    """The kernels by composite; if ``fast``, numba's are asked before NumPy's."""
    tables = [dense.KERNELS | softmax.KERNELS | random.KERNELS | convolution.KERNELS]
    attentions = [attention.Attention]
    if fast:
        from tinyxp.backends.numpy import compiled

        tables.insert(0, compiled.KERNELS)
        attentions.insert(0, compiled.Attention)
    table = chain(*tables)
    return table | chain(*[kind(table["dropout"]).kernels() for kind in attentions])


def functions(fast: bool) -> dict[str, Callable[..., Any]]:
    """``Backend.functions``; if ``fast``, numba's are asked before NumPy's."""
    own = optimizer.FUNCTIONS | random.FUNCTIONS | {"flat_view": flat_view}
    if fast:
        from tinyxp.backends.numpy import compiled

        return own | {name: first_of(f, own[name]) for name, f in compiled.FUNCTIONS.items()}
    return own


def recorder() -> Any:
    """The recording of a captured step."""
    from tinyxp.backends.numpy.replay.recording import HostRecording

    return HostRecording()


def load() -> Backend:
    fast = uses_numba()
    return Backend(
        name="numpy",
        xp=Namespace(compat, **MENDS),
        array_types=(np.ndarray, np.generic),
        to_numpy=to_numpy,
        from_numpy=from_numpy,
        device_of=lambda array: "cpu",
        to_device=to_device,
        devices=lambda: ["cpu"],
        kernels=kernels(fast),
        functions=functions(fast),
        get_threads=threads.get_threads,
        set_threads=threads.set_threads,
        empty_cache=lambda: pool.give_back(patience=0),
        about=about,
        recorder=recorder,
        run_parts=run_parts,
        late={"bfloat16": bfloat16},
        widened=HALVES,
    )
