"""Errors that a worker process sends to its DataLoader."""

import pickle
import traceback
from typing import Any

from tinyxp.errors import DataError


class Failure:
    """An error in a form that can be sent to another process."""

    def __init__(self, error: BaseException) -> None:
        self.text = "".join(traceback.format_exception(error))
        self.packed = _pack(error)

    def error(self) -> Exception:
        """The same error, with the traceback in the worker as its cause. It becomes a DataError if
        it cannot be sent, or would end the loop or the program."""
        found = None if self.packed is None else _unpack(self.packed)
        if found is None:
            return DataError(f"in a worker process of the DataLoader:\n{self.text}")
        found.__cause__ = WorkerTraceback(self.text)
        return found


class WorkerTraceback(Exception):
    """The traceback of an error in a worker process, as text."""

    def __str__(self) -> str:
        return f"\n\n{self.args[0]}"


def _pack(error: BaseException) -> bytes | None:
    if not isinstance(error, Exception) or isinstance(error, StopIteration):
        return None
    attempts: list[Any] = [error, (type(error), error.args, vars(error)), (type(error), error.args)]
    attempts.append((type(error), (str(error),)))
    for attempt in attempts:
        try:
            data = pickle.dumps(attempt)
            if type(_unpack(data)) is type(error):
                return data
        except Exception:
            continue
    return None


def _unpack(data: bytes) -> Exception | None:
    try:
        found = pickle.loads(data)
        if isinstance(found, tuple):  # made without its constructor, which needs other arguments
            kind, args, *state = found
            found = kind.__new__(kind, *args)
            found.args = args
            for name, value in (state[0] if state else {}).items():
                setattr(found, name, value)
        return found if isinstance(found, Exception) else None
    except Exception:
        return None
