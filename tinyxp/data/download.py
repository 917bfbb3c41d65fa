"""Downloads with a time limit and a check of the data, and the folder that caches them."""

import hashlib
import os
import queue
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

from tinyxp.errors import DataError
from tinyxp.files.safetensors import write_atomically


def cache_folder() -> Path:
    """The cache folder: ``TINY_CACHE``, or the folder tinyxp in the system's cache folder."""
    if chosen := os.environ.get("TINY_CACHE"):
        return Path(chosen)
    try:
        home = Path.home()
    except RuntimeError:  # a user without a home, as in some containers
        home = Path(tempfile.gettempdir())
    variable, usual = {
        "win32": ("LOCALAPPDATA", "AppData/Local"),
        "darwin": ("", "Library/Caches"),
    }.get(sys.platform, ("XDG_CACHE_HOME", ".cache"))
    return Path(os.environ.get(variable) or home / usual) / "tinyxp"


def verify(data: bytes, size: int, sha256: str) -> bytes:
    """Return ``data``. Raises DataError unless it has this size and hash."""
    if len(data) != size:
        got = "more" if len(data) > size else f"{len(data):,}"
        raise DataError(f"expected {size:,} bytes, got {got}")
    if (found := hashlib.sha256(data).hexdigest()) != sha256:
        raise DataError(f"expected sha256 {sha256[:12]}, got {found[:12]}")
    return data


def store(path: Path, data: bytes) -> None:
    """Keep a download in the cache, if it can be written."""
    with suppress(OSError, DataError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data)


def download(
    url: str, size: int, sha256: str, *, patience: float = 5.0, limit: float = 15.0
) -> bytes:
    """The file at ``url``, which must have that size and hash.

    Raises DataError, also after ``patience`` seconds without a byte (including the name look-up)
    and after ``limit`` seconds in all.
    """
    import urllib.error  # slow to import, with ssl and email
    import urllib.request

    deadline = time.monotonic() + limit
    chunks: queue.SimpleQueue[bytes | Exception] = queue.SimpleQueue()

    def fetch() -> None:
        left = size + 1  # one byte too many is enough to notice
        try:
            # half the patience, to leave time for a second address
            with urllib.request.urlopen(url, timeout=patience / 2) as response:
                while time.monotonic() < deadline:
                    chunk = response.read1(min(left, 65536))
                    chunks.put(chunk)
                    left -= len(chunk)
                    if not chunk:
                        return
        except Exception as error:  # the waiting thread raises it
            if isinstance(error, urllib.error.HTTPError):
                error.close()
            chunks.put(error)

    # a thread, because a name look-up ignores timeouts; a daemon lets the program end
    threading.Thread(target=fetch, daemon=True).start()
    data = bytearray()
    while True:
        try:
            chunk = chunks.get(timeout=max(0.0, min(patience, deadline - time.monotonic())))
        except queue.Empty:
            late = time.monotonic() >= deadline
            why = f"not done in {limit:g} s" if late else f"no answer in {patience:g} s"
            raise DataError(why) from None
        if isinstance(chunk, Exception):
            why = str(chunk.reason if type(chunk) is urllib.error.URLError else chunk)
            raise DataError(why) from chunk
        if not chunk:
            return verify(bytes(data), size, sha256)
        data += chunk
