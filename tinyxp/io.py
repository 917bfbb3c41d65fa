"""Saving tensors to disk and loading them: safetensors files, written atomically."""

import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tinyxp import backends
from tinyxp.backends.errors import ArgumentError, DataError
from tinyxp.core import Tensor

# safetensors' names of dtypes, and what NumPy reads them as: little-endian, in that format
DTYPES = {"BOOL": "?", "BF16": "<u2", "F16": "<f2", "F32": "<f4", "F64": "<f8", "C64": "<c8"}
DTYPES |= {f"{kind.upper()}{8 * n}": f"<{kind}{n}" for kind in "iu" for n in (1, 2, 4, 8)}


def library() -> Any:
    """The library safetensors. Raises BackendError, with the command that installs it."""
    try:
        import safetensors.numpy
    except ImportError as error:
        raise backends.missing("safetensors", "io") from error
    return safetensors


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write ``data`` so that ``path`` holds the old content or the new, whatever happens."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        try:
            with open(temporary, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        if os.name == "posix":  # the new name itself must reach the disk
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}") from error


def save(
    tensors: Mapping[str, Tensor],
    path: str | os.PathLike[str],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Save tensors by name in a safetensors file, which appears whole or not at all.

    Raises ArgumentError for a value that is no Tensor, DataError if the file cannot be written or
    has no word for a dtype (complex128), BackendError if the library safetensors is missing.

    >>> tx.save({"w": tx.asarray([1.0, 2.0])}, tmp / "w.safetensors")
    >>> tx.load(tmp / "w.safetensors")
    {'w': tensor([1., 2.])}
    """
    safetensors = library()
    arrays = {}
    for name, x in tensors.items():
        if not isinstance(x, Tensor):
            raise ArgumentError(f"save expects Tensors, got {type(x).__name__} for {name!r}")
        # contiguous: some releases of safetensors scramble strided arrays
        arrays[name] = np.ascontiguousarray(x.detach().numpy()).reshape(x.shape)
    try:
        data = safetensors.numpy.save(arrays, dict(metadata or {}))
    except safetensors.SafetensorError as error:
        raise DataError(f"cannot save as safetensors: {error}") from error
    write_atomically(path, data)


def load(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """The tensors of a safetensors file, by name, on the backend in use.

    Those of half precision (float16, bfloat16) become float32, which holds them exactly. Raises
    DataError if there is no such file, it is damaged, or holds a dtype that tinyxp does not have.
    """
    safetensors = library()
    try:
        found = safetensors.deserialize(Path(path).read_bytes())
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    except safetensors.SafetensorError as error:
        raise DataError(f"{path} is damaged or no safetensors file: {error}") from error
    tensors = {}
    for name, entry in sorted(found, key=lambda pair: pair[0]):
        if entry["dtype"] not in DTYPES:
            raise DataError(f"{path}: {name!r} has the dtype {entry['dtype']}, unknown to tinyxp")
        array = np.frombuffer(entry["data"], dtype=DTYPES[entry["dtype"]]).reshape(entry["shape"])
        if entry["dtype"] == "BF16":  # the upper half of a float32
            array = (array.astype(np.uint32) << 16).view(np.float32)
        elif entry["dtype"] == "F16":
            array = array.astype(np.float32)
        tensors[name] = Tensor(array)
    return tensors
