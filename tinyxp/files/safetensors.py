"""Safetensors files: saving tensors atomically, with a digest, and loading them.

The format is a length, a header in JSON, and the data. tinyxp reads and writes it itself, because
releases of the library scramble strided arrays, lose metadata, or lose the old file on a full disk.
Source: section "Format" of the README of huggingface/safetensors.
"""

import hashlib
import json
import math
import os
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tinyxp import backends
from tinyxp.core import dtypes
from tinyxp.core.tensor import Tensor
from tinyxp.errors import ArgumentError, BackendError, DataError
from tinyxp.files.locks import alive
from tinyxp.ops.creation import astype

# the names of dtypes in safetensors, and NumPy's little-endian codes
DTYPES = {"BOOL": "?", "BF16": "<u2", "F16": "<f2", "F32": "<f4", "F64": "<f8", "C64": "<c8"}
DTYPES |= {f"{kind.upper()}{8 * n}": f"<{kind}{n}" for kind in "iu" for n in (1, 2, 4, 8)}
NAMES = {np.dtype(code).name: name for name, code in DTYPES.items() if name != "BF16"}
NAMES["bfloat16"] = "BF16"
SIXTEEN_BITS = {"BF16": dtypes.bfloat16, "F16": dtypes.float16}

METADATA = "__metadata__"  # in the header, among the names of tensors
DIGEST = "tinyxp.sha256"  # in the metadata
LONGEST = 1 << 24  # bytes of a header; 100,000 tensors need half of it
OTHERS = {  # formats that are refused, and how to convert them
    ".npz": "tx.save({k: tx.asarray(x) for k, x in np.load(path).items()}, 'new.safetensors')",
    ".pt": "safetensors.torch.save_file(torch.load(path, weights_only=True), 'new.safetensors')",
}
OTHERS |= dict.fromkeys((".pth", ".bin", ".ckpt"), OTHERS[".pt"])
OTHERS |= dict.fromkeys((".pkl", ".pickle"), "load it where you trust it, and tx.save its tensors")


@contextmanager
def file_errors(what: str, *kinds: type[Exception]) -> Iterator[None]:
    """In a ``with`` block, errors of the operating system, and of other ``kinds``, become a
    DataError that says what failed, and why."""
    expected: tuple[type[Exception], ...] = (OSError, *kinds)
    try:
        yield
    except expected as error:
        raise DataError(f"cannot {what}: {getattr(error, 'strerror', None) or error}") from error


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write ``data`` so that ``path`` holds either the old or the new content, whatever happens."""
    path = Path(path)
    # remove_temporary knows this form
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{uuid.uuid4().hex}")
    with file_errors(f"write {path}", ValueError):  # ValueError: a file name with a NUL
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


def remove_temporary(folder: str | os.PathLike[str]) -> None:
    """Remove the temporary files of processes that were killed in :func:`write_atomically`.

    Files of running processes stay. Only the writer of a folder may call this.
    """
    for path in Path(folder).glob(".*"):
        match = re.fullmatch(r"\..+?(?:\.(\d+))?\.[0-9a-f]{32}", path.name)
        if match and not (match[1] and alive(int(match[1]))):
            remove(path)


def remove(path: Path) -> None:
    """Remove a file, if it exists. Raises DataError."""
    with file_errors(f"remove {path}"):
        path.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """Make a folder, unless it exists. Raises DataError."""
    with file_errors(f"make the folder {folder}"):
        folder.mkdir(parents=True, exist_ok=True)


def save(
    tensors: Mapping[str, Tensor],
    path: str | os.PathLike[str],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """``tx.save`` for tensors by name. The metadata also holds a SHA-256 of the rest."""
    _expect_safetensors(path)
    if not isinstance(tensors, Mapping):
        raise ArgumentError(f"save expects a dict of Tensors, got {type(tensors).__name__}")
    arrays = {}
    for name, x in tensors.items():
        if not isinstance(name, str) or name == METADATA:
            raise ArgumentError(f"save expects strings as names, but not {METADATA}, got {name!r}")
        if not isinstance(x, Tensor):
            raise ArgumentError(f"save expects Tensors, got {type(x).__name__} for {name!r}")
        array = x.detach().numpy()
        if array.dtype.name not in NAMES:
            raise DataError(f"cannot save as safetensors: {name!r} is {array.dtype}; cast it")
        arrays[name] = array
    if not isinstance(metadata, Mapping | None):
        raise ArgumentError(f"metadata maps strings to strings, got {metadata!r}")
    words = dict(metadata or {})
    for key, value in words.items():
        if not (isinstance(key, str) and isinstance(value, str)):
            raise ArgumentError(f"metadata maps strings to strings, got {key!r}: {value!r}")
    write_atomically(path, _file(arrays, words))


def _file(arrays: dict[str, Any], words: dict[str, str]) -> bytes:
    """The bytes of a safetensors file with these arrays and metadata."""
    # wide dtypes first, so that all are aligned; the format has no strides
    names = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))
    data = {name: arrays[name].tobytes() for name in names}
    shapes = {name: (NAMES[x.dtype.name], list(x.shape)) for name, x in arrays.items()}
    words.pop(DIGEST, None)
    words[DIGEST] = digest(((name, *shapes[name], data[name]) for name in sorted(names)), words)
    header: dict[str, Any] = {METADATA: dict(sorted(words.items()))}
    end = 0
    for name in names:
        begin, end = end, end + len(data[name])
        dtype, shape = shapes[name]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
    try:
        text = json.dumps(header, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise ArgumentError(
            f"names and metadata must be Unicode text, got {error.object!r}"
        ) from error
    text += b" " * (-len(text) % 8)
    if len(text) > LONGEST:
        raise DataError(
            f"names and metadata have {len(text):,} bytes; at most {LONGEST:,} are allowed"
        )
    return b"".join([len(text).to_bytes(8, "little"), text, *data.values()])


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a safetensors file and its metadata; the digest is checked if there is one."""
    _expect_safetensors(path)
    try:
        with open(path, "rb") as file:
            entries, words = _header(file, os.fstat(file.fileno()).st_size)
            arrays = {name: _array(file, *entry) for name, entry in entries.items()}
        if (sum_of := words.get(DIGEST)) is not None:
            rest = {key: value for key, value in words.items() if key != DIGEST}
            parts = ((name, *entries[name], arrays[name].data) for name in sorted(arrays))
            if digest(parts, rest) != sum_of:
                raise ValueError("its SHA-256 is not that of its content")
        return {name: _tensor(x, entries[name][0]) for name, x in sorted(arrays.items())}, words
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    except MemoryError as error:
        raise DataError(f"cannot read {path}: it does not fit into memory") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is damaged or no safetensors file: {error}") from error


def digest(parts: Iterable[tuple[str, str, list[int], Any]], words: Mapping[str, str]) -> str:
    """The SHA-256 of the metadata and of the names, dtypes, shapes and bytes of tensors by name."""
    sha = hashlib.sha256(json.dumps(sorted(words.items())).encode())
    for name, dtype, shape, data in parts:
        sha.update(json.dumps([name, dtype, shape]).encode())
        sha.update(data)
    return sha.hexdigest()


def expect_path(path: Any) -> None:
    """Raise ArgumentError unless it is a path; open() would take a number for a file descriptor."""
    if not isinstance(path, (str, os.PathLike)):
        raise ArgumentError(f"expected the path of a file, got {path!r}")


def _expect_safetensors(path: str | os.PathLike[str]) -> None:
    expect_path(path)
    suffix = Path(path).suffix.lower()
    if suffix in OTHERS:
        raise DataError(
            f"{path}: tinyxp reads and writes only safetensors, because a {suffix} file may run "
            f"code; convert it where it came from: {OTHERS[suffix]}"
        )


Entry = tuple[str, list[int]]  # dtype and shape of a tensor


def _header(file: Any, size: int) -> tuple[dict[str, Entry], dict[str, str]]:
    """The dtypes and shapes of tensors in a file of ``size`` bytes, in the order of their data, and
    its metadata. Raises ValueError unless the tensors fill the file without a gap."""
    length = int.from_bytes(file.read(8), "little")
    if size < 8 or length > min(size - 8, LONGEST):
        raise ValueError(f"a header of {length} bytes in a file of {size}")
    header = json.loads(file.read(length).decode("utf-8"), object_pairs_hook=_once)
    if not isinstance(header, dict):
        raise ValueError("its header is no JSON object")
    words = header.pop(METADATA, None) or {}
    if not isinstance(words, dict) or not all(isinstance(word, str) for word in words.values()):
        raise ValueError("its metadata does not map strings to strings")
    places = sorted((*_offsets(name, entry), name) for name, entry in header.items())
    end = 0
    for first, last, name in places:
        dtype, shape = header[name]["dtype"], header[name]["shape"]
        if dtype not in DTYPES:
            raise DataError(f"{name!r} has the dtype {dtype}, unknown to tinyxp")
        if first != end or last - first != math.prod(shape) * np.dtype(DTYPES[dtype]).itemsize:
            raise ValueError(
                f"{name!r}, {dtype} of shape {shape}, cannot lie at the bytes {first} to {last}; "
                f"{end} bytes come before it"
            )
        end = last
    if end != size - 8 - length:
        raise ValueError(f"its tensors need {end} bytes, {size - 8 - length} are there")
    return {name: (header[name]["dtype"], header[name]["shape"]) for _, _, name in places}, words


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object. Raises ValueError if a name comes twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name comes twice in its header")
    return found


def _offsets(name: str, entry: Any) -> tuple[int, int]:
    """The first and last byte of a tensor. Raises ValueError if its entry is malformed."""
    match entry:
        case {"dtype": str(), "shape": [*shape], "data_offsets": [first, last]}:
            if len(entry) == 3 and all(type(n) is int and n >= 0 for n in (*shape, first, last)):
                return first, last
    raise ValueError(f"{name!r} has no dtype, shape and offsets in the header")


def _array(file: Any, dtype: str, shape: list[int]) -> Any:
    """The next array in the file."""
    array = np.empty(shape, DTYPES[dtype])
    if file.readinto(array.reshape(-1).view(np.uint8)) < array.nbytes:
        raise ValueError("it ends too early")
    return array


def _tensor(array: Any, dtype: str) -> Tensor:
    if dtype == "BF16":  # the upper half of a float32
        array = (array.astype(np.uint32) << 16).view(np.float32)
    elif dtype == "F16":
        array = array.astype(np.float32)
    elif dtype == "BOOL":  # every byte but 0 is True
        array = array.view(np.uint8) != 0
    x, narrow = Tensor(array), SIXTEEN_BITS.get(dtype)
    return astype(x, narrow) if narrow is not None and _has_dtype(narrow) else x


def _has_dtype(dtype: dtypes.DType) -> bool:
    """Whether the current backend has a dtype."""
    try:
        return backends.current().dtype(dtype.name) is not None
    except BackendError:  # the library for it is not installed
        return False
