"""NumPy: the backend that is always there."""

import math

import array_api_compat.numpy as compat
import numpy as np

from tinyxp.backends import Array, Backend, Namespace
from tinyxp.backends.errors import BackendError
from tinyxp.backends.numpy_kernels import KERNELS
from tinyxp.backends.special import erf


def index_add(x: Array, indices: Array, values: Array) -> Array:
    """A copy of ``x`` with ``x[indices[i]] += values[i]``, repeated indices included.

    np.add.at is slow on rows, so rows that share an index are brought together by a stable sort
    and summed by reduceat.
    """
    out = x.copy()
    if values.ndim == 1 or indices.size == 0:
        np.add.at(out, indices, values)
        return out
    order = np.argsort(indices, kind="stable")
    rows = indices[order]
    starts = np.flatnonzero(np.concatenate(([True], rows[1:] != rows[:-1])))
    out[rows[starts]] += np.add.reduceat(values[order], starts, axis=0)
    return out


def matmul(a: Array, b: Array) -> Array:
    """``a @ b``; a stack of matrices times one matrix is one product of two matrices in BLAS."""
    if b.ndim == 2 and a.ndim > 2:
        rows = math.prod(a.shape[:-1])  # not -1: it is ambiguous for an empty array
        return np.matmul(a.reshape(rows, a.shape[-1]), b).reshape(*a.shape[:-1], b.shape[-1])
    return np.matmul(a, b)


def on_cpu(device: str | None) -> None:
    if device not in (None, "cpu"):
        raise BackendError(
            f"the numpy backend has the device 'cpu' only, got {device!r}; "
            "for a GPU, move to the backend first: x.to('cupy')"
        )


def from_numpy(array: Array, device: str | None = None) -> Array:
    on_cpu(device)
    return array


def to_device(array: Array, device: str) -> Array:
    on_cpu(device)
    return array


def load() -> Backend:
    # array_api_compat's wrappers cost a microsecond each; where NumPy itself is right, use it
    fast = {name: getattr(np, name) for name in ("sum", "max", "min", "any", "all", "prod")}
    return Backend(
        name="numpy",
        xp=Namespace(compat, erf=erf, index_add=index_add, matmul=matmul, **fast),
        array_types=(np.ndarray, np.generic),
        to_numpy=np.asarray,
        from_numpy=from_numpy,
        device_of=lambda array: "cpu",
        to_device=to_device,
        devices=lambda: ["cpu"],
        kernels=KERNELS,
    )
