"""IDX files, the format of MNIST, and the data sets MNIST and Fashion-MNIST."""

import gzip
import io
import math
import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from tinyxp.data.datasets import TensorDataset
from tinyxp.data.download import cache_folder, download, store
from tinyxp.errors import ArgumentError, DataError
from tinyxp.files.safetensors import expect_path

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
LIMIT = 1 << 31  # bytes; no small data set has more
AXES = 32  # the most that any array library allows
UNZIPPED = 1032  # the largest ratio of unzipped to gzipped bytes

PARTS = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
# the addresses of each set, tried in turn, and size and sha256 of its four files
SOURCES: dict[str, tuple[tuple[str, ...], tuple[tuple[int, str], ...]]] = {
    "mnist": (
        (
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
        ),
        (
            (9912422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
            (28881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
            (1648877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
            (4542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
        ),
    ),
    "fashion": (
        (
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/"
            "b2617bb6d3ffa2e429640350f613e3291e10b141/data/fashion/",
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        ),
        (
            (26421880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
            (29515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
            (4422102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
            (5148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
        ),
    ),
}


def read_idx(path: str | os.PathLike[str]) -> Any:
    """The array in an IDX file, gzipped or not, as a NumPy array in native byte order.

    The format (LeCun, Cortes & Burges, the MNIST database): two zero bytes, a type, the number of
    axes, the length of each axis (32 bits, big-endian), then the values. Raises DataError with the
    name of the file if it is missing or has another format; only the announced bytes are read.

    >>> _ = (tmp / "two.idx").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 9]))
    >>> tx.data.read_idx(tmp / "two.idx")
    array([7, 9], dtype=uint8)
    """
    expect_path(path)
    try:
        with open(path, "rb") as file:
            room = os.fstat(file.fileno()).st_size
            zipped = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            if not zipped:
                return _read(file, str(path), room)
            with gzip.open(file) as unzipped:
                return _read(unzipped, str(path), room * UNZIPPED)  # type: ignore[arg-type]
    except DataError:
        raise
    except (OSError, EOFError, zlib.error, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise DataError(f"cannot read the IDX file {path}: {why}") from error


def parse_idx(data: bytes, name: str) -> Any:
    """As :func:`read_idx`, for gzipped bytes that come from ``name``."""
    with gzip.open(io.BytesIO(data)) as file:
        return _read(file, name, len(data) * UNZIPPED)  # type: ignore[arg-type]


def _read(file: BinaryIO, name: str, room: int) -> Any:
    """The array in ``file``, which holds at most ``room`` bytes."""
    head = file.read(4)
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in TYPES or head[3] > AXES:
        page = "; it looks like a web page" if head.lstrip().startswith(b"<") else ""
        raise DataError(
            f"{name} is no IDX file: it starts with {head!r}, not with two zero bytes, a type and "
            f"the number of axes{page}"
        )
    lengths = file.read(4 * head[3])
    if len(lengths) < 4 * head[3]:
        raise DataError(f"{name} is cut short: it ends among the lengths of its {head[3]} axes")
    shape = tuple(np.frombuffer(lengths, ">u4").tolist())
    dtype = np.dtype(TYPES[head[2]])
    size = math.prod(shape) * dtype.itemsize
    if math.prod(max(n, 1) for n in shape) * dtype.itemsize > LIMIT:
        raise DataError(f"{name} announces the shape {shape}: {size:,} bytes are too many")
    # one byte more shows whether the file ends there; at most ``room``, because read() allocates
    data = file.read(min(size, room) + 1)
    if len(data) != size:
        got = "more follow" if len(data) > size else f"{len(data):,} are there"
        raise DataError(f"{name} should hold {size:,} bytes for the shape {shape}, but {got}")
    return np.frombuffer(data, dtype).reshape(shape).astype(dtype.newbyteorder("="))


def load_mnist(
    name: str = "mnist", folder: str | os.PathLike[str] | None = None
) -> tuple[TensorDataset, TensorDataset]:
    """MNIST (LeCun et al. 1998) or Fashion-MNIST (Xiao et al. 2017, ``name="fashion"``).

    Two datasets, for training (60,000) and for tests (10,000): images (N, 1, 28, 28), float32 in
    [0, 1], and labels (N,), int64. They are read from the four IDX files in ``folder``, gzipped or
    not, or else from the cache folder, to which they are downloaded (12 or 31 MB) and checked.
    Raises DataError if they are not available, ArgumentError for another name.
    """
    if name not in SOURCES:
        raise ArgumentError(f"unknown data set {name!r}; choose one of {', '.join(SOURCES)}")
    place = None if folder is None else Path(folder)
    images, labels, new_images, new_labels = (_part(name, i, place) for i in range(len(PARTS)))
    return (
        dataset(images, labels, 255.0, f"{name}, training"),
        dataset(new_images, new_labels, 255.0, f"{name}, test"),
    )


def dataset(images: Any, labels: Any, white: float, name: str) -> TensorDataset:
    """Images (N, H, W), scaled to [0, 1], with labels (N,). Raises DataError if they mismatch."""
    if images.ndim != 3 or labels.shape != images.shape[:1]:
        raise DataError(
            f"{name}: expected images (N, H, W) and labels (N,), got shapes {images.shape} and "
            f"{labels.shape}"
        )
    if images.dtype != np.uint8 or labels.dtype != np.uint8 or not (labels < 10).all():
        raise DataError(
            f"{name}: expected images and labels of uint8, the labels from 0 to 9, got "
            f"{images.dtype} and {labels.dtype}, the labels up to {labels.max(initial=0)}"
        )
    return TensorDataset((images[:, None] / white).astype("float32"), labels.astype("int64"))


def _part(name: str, i: int, folder: Path | None) -> Any:
    """One of the four arrays of a data set, from ``folder``, the cache or the network."""
    names = _spellings(PARTS[i])
    if folder is not None:
        found = _first_file(folder, names)
        if found is None:
            raise DataError(f"{folder} has no {names[0]}, nor {' nor '.join(names[1:])}")
        return read_idx(found)
    kept, damage = cache_folder() / name, ""
    if found := _first_file(kept, names):
        try:
            return read_idx(found)
        except DataError as error:  # damaged: download it again
            damage = f"{error}; "
    urls, facts = SOURCES[name]
    reasons = []
    for url in urls:
        try:
            data = download(url + names[0], *facts[i], limit=600.0)
        except DataError as error:
            reasons.append(f"{url}: {error}")
            continue
        store(kept / names[0], data)
        return parse_idx(data, url + names[0])
    raise DataError(
        f"{damage}{names[0]} of {name} not downloaded ({'; '.join(reasons)}); offline, put the "
        f"files {', '.join(f'{part}-ubyte.gz' for part in PARTS)} into {kept}, or name their folder"
    )


def _spellings(part: str) -> list[str]:
    """The possible names of a file: zipped or not, with '-idx' or '.idx'."""
    stems = [f"{part}-ubyte", f"{part}-ubyte".replace("-idx", ".idx")]
    return [stem + ending for stem in stems for ending in (".gz", "")]


def _first_file(folder: Path, names: Sequence[str]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)
