"""The child processes of the checks, which may be killed and have limits of their own, and the
outcome of a check."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tinyxp.errors import TinyError

Report = Callable[[int], object]  # takes the number of tries that are done


@dataclass
class Outcome:
    """The tries, none if this system cannot run the check; a line a failure; and a summary."""

    tries: int
    failures: list[str]
    seen: str
    name: str = ""
    seconds: float = 0.0


class ChildError(TinyError):
    """A child process hung, failed, or printed no result."""


def start(module: str, *args: Any, **pipes: Any) -> subprocess.Popen[bytes]:
    """``python -m tinyxp.selftest.MODULE ARGS``, with NumPy's kernels and one BLAS thread."""
    environment = os.environ | {
        "TINY_FAST": "0",
        "TINY_BACKEND": "numpy",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    command = [sys.executable, "-m", f"tinyxp.selftest.{module}", *map(str, args)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, **pipes)


def finish(
    process: subprocess.Popen[bytes], seconds: float, report: Report = lambda done: None
) -> bytes:
    """Wait for the end of a process, and return the last line that it printed.

    Each line of digits is a number of tries for ``report``. Raises ChildError if the process fails
    or runs for more than ``seconds``.
    """
    end, line = time.monotonic() + seconds, b""
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    try:
        for line in process.stdout or ():
            if line.strip().isdigit():
                report(int(line))
        errors = process.communicate()[1].decode(errors="replace")
    finally:
        timer.cancel()
    if process.returncode != 0:
        if time.monotonic() >= end:
            raise ChildError(f"hung for {seconds:g} s")
        last = errors.strip().splitlines()[-1:] or ["no message"]
        raise ChildError(f"exit code {process.returncode}: {last[0]}")
    return line


def result(module: str, *args: Any, seconds: float, report: Report = lambda done: None) -> Any:
    """The JSON that ``start(module, *args)`` prints last. Raises ChildError as ``finish`` does."""
    line = finish(start(module, *args, stdout=subprocess.PIPE), seconds, report)
    try:
        return json.loads(line)
    except ValueError:
        raise ChildError(f"expected JSON from {module}, got {line!r}") from None
