"""A folder that one process writes to at a time.

The lock is the operating system's, on a file that holds the writer's number: it goes with the
process, however that ends. Whoever only reads asks for none.
"""

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tinyxp.errors import DataError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

NAME = "writer.pid"
_held: dict[Path, list[int]] = {}  # in this process: the file's descriptor, and how often
_guard = threading.Lock()


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Nobody else writes to a folder inside the block; in one process blocks may be nested.

    Raises DataError, which names the process, if another one does already.

    >>> with only_writer(tmp):
    ...     (tmp / "writer.pid").read_text() == str(os.getpid())
    True
    """
    place = Path(folder).resolve()
    with _guard:
        if place not in _held:
            _held[place] = [_acquire(place / NAME), 0]
        _held[place][1] += 1
    try:
        yield
    finally:
        with _guard:
            if place in _held:  # else this is a fork of the writer
                _held[place][1] -= 1
                if not _held[place][1]:
                    _release(place / NAME, _held.pop(place)[0])


def _after_fork() -> None:
    """The child of a fork is not the writer, and must not keep the lock when the writer ends."""
    global _guard
    _guard = threading.Lock()  # another thread may have held the old one
    for file, _ in _held.values():
        os.close(file)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _acquire(path: Path) -> int:
    """The descriptor of a file that is locked and there."""
    while True:
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise DataError(f"cannot write {path}: {error.strerror or error}") from error
        try:
            _lock(file)
            if os.name == "nt" or _same(path, file):  # else its last writer removed it just now
                os.ftruncate(file, 0)
                os.write(file, str(os.getpid()).encode())
                return file
        except BlockingIOError as error:
            writer = os.read(file, 20).decode(errors="replace") or "?"
            os.close(file)
            raise DataError(
                f"{path.parent} is being written to by process {writer}; wait for it, or stop it"
            ) from error
        os.close(file)


def _lock(file: int) -> None:
    """Lock an open file, if that can be had here. Raises BlockingIOError if another process has."""
    busy = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK)
    try:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            import msvcrt

            windows: Any = msvcrt
            os.lseek(file, 1 << 30, os.SEEK_SET)  # not the number, which others read
            windows.locking(file, windows.LK_NBLCK, 1)
            os.lseek(file, 0, os.SEEK_SET)
    except OSError as error:
        if error.errno in busy:
            os.lseek(file, 0, os.SEEK_SET)
            raise BlockingIOError(*error.args) from error
        # a file system without locks


def _same(path: Path, file: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(file))
    except FileNotFoundError:
        return False


def _release(path: Path, file: int) -> None:
    if os.name != "nt":
        path.unlink(missing_ok=True)
    os.close(file)
    if os.name == "nt":  # where an open file cannot be removed
        try:
            path.unlink(missing_ok=True)
        except OSError:
            return


def alive(pid: int) -> bool:
    """Whether a process of this machine is running, as far as can be told.

    >>> alive(os.getpid())
    True
    """
    if os.name == "nt":
        return False  # os.kill would end it; a file that it has open cannot be removed anyway
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True
