"""Locks of folders that only one process may write to at a time.

The lock is the operating system's, on a file that holds the writer's process id. It ends with the
process, whatever happens. Readers need no lock.
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
_held: dict[Path, list[int]] = {}  # in this process: a file descriptor, and the number of blocks
_guard = threading.Lock()


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Lock a folder for writing inside the block; blocks of one process may be nested.

    Raises DataError with the id of the process that holds the lock.

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
            if place in _held:  # if not, this is a fork of the writer
                _held[place][1] -= 1
                if not _held[place][1]:
                    _release(place / NAME, _held.pop(place)[0])


def _after_fork() -> None:
    """A forked child is not the writer and must not hold the lock longer than the writer does."""
    global _guard
    _guard = threading.Lock()  # another thread may hold the old one
    for file, _ in _held.values():
        os.close(file)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _acquire(path: Path) -> int:
    """The descriptor of the locked file."""
    while True:
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise DataError(f"cannot write {path}: {error.strerror or error}") from error
        try:
            _lock(file)
            if os.name == "nt" or _same(path, file):  # if not, its last writer has just removed it
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
    """Lock an open file, if the file system can. Raises BlockingIOError if another process did."""
    busy = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK)
    try:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            import msvcrt

            windows: Any = msvcrt
            os.lseek(file, 1 << 30, os.SEEK_SET)  # not the process id, which others read
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
    if os.name == "nt":  # an open file cannot be removed there
        try:
            path.unlink(missing_ok=True)
        except OSError:
            return


def alive(pid: int) -> bool:
    """Whether a process of this machine is running, if the system can tell.

    >>> alive(os.getpid())
    True
    """
    if os.name == "nt":
        return False  # os.kill would end it; its open files cannot be removed anyway
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it belongs to another user
        return True
    return True
