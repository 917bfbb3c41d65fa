"""What is printed: help with examples; and standard output that a reader may leave, quietly for
most commands, survived by a training."""

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

BROKEN = 128 + getattr(signal, "SIGPIPE", 13)  # what a shell sees of a program that SIGPIPE ended


class Help(argparse.ArgumentParser):
    """A parser whose help ends with examples, made when somebody asks for them."""

    examples: Callable[[], str] | None = None

    def format_help(self) -> str:
        text = super().format_help()
        return f"{text}\n{self.examples()}\n" if self.examples is not None else text

    def print_help(self, file: Any = None) -> None:
        print(self.format_help(), end="", file=file)  # argparse's own hides that nobody reads it


def told(*lines: str) -> Callable[[], str]:
    return lambda: "\n".join(["examples:", *(f"  {line}" for line in lines)])


class Surviving:
    """A stream whose first failure to write is told once; what comes later is dropped."""

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
                print(f"tinyxp: the output is lost ({why}); training goes on", file=sys.stderr)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextlib.contextmanager
def surviving() -> Iterator[None]:
    """A ``with`` block in which standard output may break without ending the work."""
    before = sys.stdout
    sys.stdout = Surviving(before)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stdout = before


def silence(stream: Any) -> None:
    """Let what is still to be written to a broken stream, at the latest at exit, go nowhere."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def prepare() -> None:
    """Streams that show '?' for a letter that a console lacks, and each line when it is there."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace", line_buffering=True)
