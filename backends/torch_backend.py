"""PyTorch: a second real array library, for parity on a machine without a GPU.

Only its arrays are used. Its own autograd stays off: no tensor here ever requires its gradient.
"""

from typing import Any

import numpy as np

from tinyxp.backends import Array, Backend, Namespace, missing
from tinyxp.backends.errors import BackendError, GradientError

try:
    import torch
except ImportError as error:
    raise missing("PyTorch", "torch") from error

import array_api_compat.torch as compat


def asarray(obj: Any, **options: Any) -> Array:
    if isinstance(obj, torch.Tensor) and obj.requires_grad:
        raise GradientError("this tensor requires grad in PyTorch; pass x.detach() to tinyxp")
    return compat.asarray(obj, **options)


def index_add(x: Array, indices: Array, values: Array) -> Array:
    """A copy of ``x`` with ``x[indices[i]] += values[i]``, repeated indices included."""
    return x.index_add(0, indices, values)


def to_device(array: Array, name: str) -> Array:
    try:
        return array.to(name)
    except (RuntimeError, AssertionError) as error:
        choices = ", ".join(map(repr, devices()))
        raise BackendError(
            f"the torch backend has no device {name!r} on this machine; choose one of {choices}"
        ) from error


def from_numpy(array: Array, name: str | None = None) -> Array:
    # torch warns about read-only memory and cannot take negative strides: give it a copy then
    plain = np.ascontiguousarray(array).reshape(array.shape)
    tensor = torch.from_numpy(plain if plain.flags.writeable else plain.copy())
    return tensor if name is None else to_device(tensor, name)


def devices() -> list[str]:
    return ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]


def load() -> Backend:
    return Backend(
        name="torch",
        xp=Namespace(compat, asarray=asarray, erf=torch.erf, index_add=index_add),
        array_types=(torch.Tensor,),
        to_numpy=lambda array: array.detach().cpu().resolve_conj().numpy(),
        from_numpy=from_numpy,
        device_of=lambda array: str(array.device),
        to_device=to_device,
        devices=devices,
    )
