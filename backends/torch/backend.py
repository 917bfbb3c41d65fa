"""PyTorch as an array library: a second real one beside NumPy, on a machine without a GPU.

Its autograd stays off: no tensor here requires its gradient.
"""

from typing import Any

import numpy as np

from tinyxp.backends import Array, Backend, Namespace, missing
from tinyxp.errors import BackendError, GradientError

try:
    import torch
except ImportError as error:
    raise missing("PyTorch", "torch") from error

import array_api_compat.torch as compat

from tinyxp.backends.common.halves import bfloat16
from tinyxp.backends.torch.mends import MENDS, by_numpy


def asarray(obj: Any, **options: Any) -> Array:
    if isinstance(obj, torch.Tensor) and obj.requires_grad:
        raise GradientError("this tensor requires grad in PyTorch; pass x.detach() to tinyxp")
    return compat.asarray(obj, **options)


def to_device(array: Array, name: str) -> Array:
    try:
        return array.to(name)
    except (RuntimeError, AssertionError) as error:
        choices = ", ".join(map(repr, devices()))
        raise BackendError(
            f"the torch backend has no device {name!r} on this machine; choose one of {choices}"
        ) from error


def from_numpy(array: Array, name: str | None = None) -> Array:
    # torch warns of read-only memory and refuses negative strides: it gets a copy
    plain = np.ascontiguousarray(array).reshape(array.shape)
    if plain.dtype.name == "bfloat16":
        return from_numpy(plain.view(np.int16), name).view(torch.bfloat16)
    if plain.dtype.char in "qQ":  # C's long long, which NumPy has for ints from 2**63 on
        plain = plain.view(plain.dtype.name)
    tensor = torch.from_numpy(plain if plain.flags.writeable else plain.copy())
    return tensor if name is None else to_device(tensor, name)


def to_numpy(tensor: Array) -> Any:
    """Raises BackendError for bfloat16 if ml_dtypes, which has NumPy's, is not installed."""
    plain = tensor.detach().cpu().resolve_conj().resolve_neg()
    if plain.dtype is torch.bfloat16:
        return plain.view(torch.int16).numpy().view(bfloat16())
    return plain.numpy()


def devices() -> list[str]:
    return ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]


def set_threads(n: int) -> bool:
    torch.set_num_threads(n)
    return True


def load() -> Backend:
    return Backend(
        name="torch",
        xp=Namespace(
            compat,
            asarray=asarray,
            bfloat16=torch.bfloat16,
            erf=torch.erf,
            erfc=torch.erfc,
            float16=torch.float16,
            **MENDS,
        ),
        array_types=(torch.Tensor,),
        to_numpy=to_numpy,
        from_numpy=from_numpy,
        device_of=lambda array: str(array.device),
        to_device=to_device,
        devices=devices,
        fallback=by_numpy,
        get_threads=torch.get_num_threads,
        set_threads=set_threads,
    )
