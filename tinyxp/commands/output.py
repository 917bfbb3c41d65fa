"""The output of commands: help with examples, and a standard output whose reader may leave."""

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any

BROKEN = 128 + getattr(signal, "SIGPIPE", 13)  # the exit code after SIGPIPE, as shells show it


class Help(argparse.ArgumentParser):
    """A parser whose help ends with the examples of a command's module."""

    module: Any = None

    def format_help(self) -> str:
        text = super().format_help()
        if self.module is None:
            return text
        details = self.module.details() if hasattr(self.module, "details") else []
        examples = [f"  {line}" for line in self.module.EXAMPLES]
        return "\n".join([text, *details, "examples:", *examples]) + "\n"

    def print_help(self, file: Any = None) -> None:
        print(self.format_help(), end="", file=file)  # argparse's own hides a lost reader


class Surviving:
    """A stream that reports its first failed write and drops all later ones."""

    def __init__(self, stream: Any) -> None:
        self.stream, self.lost = stream, False

    def write(self, text: str) -> int:
        self._try(lambda: self.stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._try(self.stream.flush)

    def _try(self, act: Any) -> None:
        if self.lost:
            return
        try:
            act()
        except OSError as error:
            self.lost = True
            silence(self.stream)
            with contextlib.suppress(OSError):
                why = error.strerror or error
                print(f"tinyxp: the output is lost ({why}); training continues", file=sys.stderr)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextlib.contextmanager
def surviving() -> Iterator[None]:
    """A ``with`` block in which standard output may break and the work continues."""
    before = sys.stdout
    sys.stdout = Surviving(before)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stdout = before


def silence(stream: Any) -> None:
    """Discard everything that is still written to a broken stream, also at exit."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def prepare() -> None:
    """Have streams print '?' for letters that the console lacks, and each line at once."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace", line_buffering=True)
