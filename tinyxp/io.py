"""Saving tensors to disk and loading them: safetensors files, written atomically, with a digest."""

import hashlib
import json
import os
import re
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tinyxp import backends
from tinyxp.backends.errors import ArgumentError, DataError
from tinyxp.core import Tensor

# safetensors' names of dtypes, and what NumPy reads them as: little-endian, in that format
DTYPES = {"BOOL": "?", "BF16": "<u2", "F16": "<f2", "F32": "<f4", "F64": "<f8", "C64": "<c8"}
DTYPES |= {f"{kind.upper()}{8 * n}": f"<{kind}{n}" for kind in "iu" for n in (1, 2, 4, 8)}

DIGEST = "tinyxp.sha256"  # the key in the metadata
LONGEST = 1 << 24  # bytes of a header; a hundred thousand tensors need half of it
OTHERS = {  # formats that are not read, and what to do about it
    ".npz": "tx.save({k: tx.asarray(x) for k, x in np.load(path).items()}, 'new.safetensors')",
    ".pt": "safetensors.torch.save_file(torch.load(path, weights_only=True), 'new.safetensors')",
}
OTHERS |= dict.fromkeys((".pth", ".bin", ".ckpt"), OTHERS[".pt"])
OTHERS |= dict.fromkeys((".pkl", ".pickle"), "load it where you trust it, and tx.save its tensors")


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
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")  # as remove_temporary expects
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


def remove_temporary(folder: str | os.PathLike[str]) -> None:
    """Remove what a process that was killed in :func:`write_atomically` left in a folder."""
    for path in Path(folder).glob(".*"):
        if re.fullmatch(r"\..+\.[0-9a-f]{32}", path.name):
            path.unlink(missing_ok=True)


def save(
    tensors: Mapping[str, Tensor],
    path: str | os.PathLike[str],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Save tensors by name in a safetensors file, which appears whole or not at all.

    Its metadata, which map strings to strings, also get a SHA-256 of all the rest, so that a
    flipped bit is found. Raises ArgumentError for a value that is no Tensor, DataError if the file
    cannot be written or has no word for a dtype (complex128), BackendError if the library
    safetensors is missing.

    >>> tx.save({"w": tx.asarray([1.0, 2.0])}, tmp / "w.safetensors")
    >>> tx.load(tmp / "w.safetensors")
    {'w': tensor([1., 2.])}
    """
    safetensors = library()
    _expect_safetensors(path)
    arrays = {}
    for name, x in tensors.items():
        if not isinstance(x, Tensor):
            raise ArgumentError(f"save expects Tensors, got {type(x).__name__} for {name!r}")
        # contiguous: some releases of safetensors scramble strided arrays
        arrays[name] = np.ascontiguousarray(x.detach().numpy()).reshape(x.shape)
    words = dict(metadata or {})
    for key, value in words.items():
        if not (isinstance(key, str) and isinstance(value, str)):
            raise ArgumentError(f"metadata map strings to strings, got {key!r}: {value!r}")
    names = {np.dtype(code): name for name, code in DTYPES.items() if name != "BF16"}
    parts = (
        (name, names.get(x.dtype, str(x.dtype)), list(x.shape), x.data)
        for name, x in sorted(arrays.items())
    )
    words[DIGEST] = digest(parts, words)
    try:
        data = safetensors.numpy.save(arrays, words)
    except safetensors.SafetensorError as error:
        raise DataError(f"cannot save as safetensors: {error}") from error
    write_atomically(path, data)


def load(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """The tensors of a safetensors file, by name, on the backend in use.

    Those of half precision (float16, bfloat16) become float32, which holds them exactly. Raises
    DataError if there is no such file, it is damaged, or holds a dtype that tinyxp does not have.
    Nothing in a file is run, whoever made it.
    """
    return read(path)[0]


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a safetensors file and its metadata; without a digest if it had none."""
    safetensors = library()
    _expect_safetensors(path)
    try:
        with open(path, "rb") as file:
            words = _metadata(file, os.fstat(file.fileno()).st_size)
            file.seek(0)
            data = file.read()
        found = sorted(safetensors.deserialize(data), key=lambda pair: pair[0])
        sum_of = words.get(DIGEST)
        if sum_of is not None:
            rest = {key: value for key, value in words.items() if key != DIGEST}
            parts = ((name, e["dtype"], e["shape"], e["data"]) for name, e in found)
            if digest(parts, rest) != sum_of:
                raise ValueError("its SHA-256 is not that of its content")
        return {name: _tensor(name, entry) for name, entry in found}, words
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    except MemoryError as error:
        raise DataError(f"cannot read {path}: it does not fit into memory") from error
    except (ValueError, RecursionError, safetensors.SafetensorError) as error:
        raise DataError(f"{path} is damaged or no safetensors file: {error}") from error


def digest(parts: Iterable[tuple[str, str, list[int], Any]], words: Mapping[str, str]) -> str:
    """SHA-256 over names, dtypes, shapes and bytes of tensors, in order of names, and metadata."""
    sha = hashlib.sha256(json.dumps(sorted(words.items())).encode())
    for name, dtype, shape, data in parts:
        sha.update(json.dumps([name, dtype, shape]).encode())
        sha.update(data)
    return sha.hexdigest()


def _expect_safetensors(path: str | os.PathLike[str]) -> None:
    suffix = Path(path).suffix.lower()
    if suffix in OTHERS:
        raise DataError(
            f"{path}: tinyxp reads and writes safetensors only, because a {suffix} file may run "
            f"code; convert it where it came from: {OTHERS[suffix]}"
        )


def _metadata(file: Any, size: int) -> dict[str, str]:
    """The metadata of a header. Raises ValueError for one that is too long, or names a thing twice:
    what the library lets pass."""
    length = int.from_bytes(file.read(8), "little")
    if size < 8 or length > min(size - 8, LONGEST):
        raise ValueError(f"a header of {length} bytes in a file of {size}")

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ValueError("a name comes twice in its header")
        return found

    header = json.loads(file.read(length).decode("utf-8"), object_pairs_hook=once)
    words = header.get("__metadata__") if isinstance(header, dict) else None
    return {key: str(value) for key, value in words.items()} if isinstance(words, dict) else {}


def _tensor(name: str, entry: dict[str, Any]) -> Tensor:
    if entry["dtype"] not in DTYPES:
        raise DataError(f"{name!r} has the dtype {entry['dtype']}, unknown to tinyxp")
    array = np.frombuffer(entry["data"], dtype=DTYPES[entry["dtype"]]).reshape(entry["shape"])
    if entry["dtype"] == "BF16":  # the upper half of a float32
        array = (array.astype(np.uint32) << 16).view(np.float32)
    elif entry["dtype"] == "F16":
        array = array.astype(np.float32)
    return Tensor(array)
