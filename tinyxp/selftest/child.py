"""A check's work in a process of its own, which may be killed, and has limits of its own."""

import os
import subprocess
import sys
import threading
from typing import Any

from tinyxp.errors import TinyError
from tinyxp.selftest.outcome import Report


class ChildError(TinyError):
    """A child process ended in another way than it should."""


def start(module: str, *args: Any, **pipes: Any) -> subprocess.Popen[bytes]:
    """``python -m tinyxp.selftest.MODULE ARGS``: on NumPy alone, with one thread of BLAS."""
    environment = os.environ | {
        "TINY_FAST": "0",
        "TINY_BACKEND": "numpy",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    command = [sys.executable, "-m", f"tinyxp.selftest.{module}", *map(str, args)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, **pipes)


def last_line(module: str, tries: int, report: Report, seconds: float) -> bytes:
    """What ``start(module, tries)`` prints last; lines of digits before it are tries that are done.
    Raises ChildError as ``finish``."""
    process, line = start(module, tries, stdout=subprocess.PIPE), b""
    end = threading.Timer(seconds, process.kill)
    end.start()
    try:
        for line in process.stdout or ():
            if line.strip().isdigit():
                report(int(line), tries)
        finish(process, seconds)
    finally:
        end.cancel()
    return line


def finish(process: subprocess.Popen[bytes], seconds: float) -> str:
    """Wait for its end; what it printed. Raises ChildError if it hangs or fails."""
    try:
        out, said = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise ChildError(f"hung for {seconds:g} s") from None
    if process.returncode != 0:
        last = said.decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
        raise ChildError(f"exit code {process.returncode}: {last[0]}")
    return (out or b"").decode()
