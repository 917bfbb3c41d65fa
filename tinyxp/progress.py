"""Progress on the screen: a bar, or plain lines where nobody looks."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO


class Progress:
    """A bar that rewrites its line on a terminal; elsewhere a plain line now and then."""

    def __init__(self, total: int, stream: TextIO | None = None, begun: int = 0) -> None:
        self.total, self.begun = total, begun
        self.stream = stream or sys.stderr
        self.terminal = self.stream.isatty()
        self.every = max(1, total // 10)
        self.start = time.monotonic()
        self.shown = 0.0

    def update(self, done: int, note: str) -> None:
        now = time.monotonic()
        last = done >= self.total
        due = now - self.shown > 0.1 if self.terminal else done % self.every == 0
        if not (due or last):
            return
        self.shown = now
        left = (now - self.start) / (done - self.begun) * (self.total - done)
        clock = f"{int(left) // 60}:{int(left) % 60:02d} left"
        if self.terminal:
            filled = 24 * done // self.total
            bar = "#" * filled + "." * (24 - filled)  # plain ASCII: any console can show it
            end = "\n" if last else ""
            self.stream.write(f"\r[{bar}] {done}/{self.total} {note} {clock}\033[K{end}")
        else:
            self.stream.write(f"step {done}/{self.total} {note} {clock}\n")
        self.stream.flush()


class Clock:
    """Seconds of training since step ``begun``, evaluation not counted."""

    def __init__(self, begun: int) -> None:
        self.begun, self.start = begun, time.monotonic()

    def seconds(self) -> float:
        return time.monotonic() - self.start

    @contextmanager
    def paused(self) -> Iterator[None]:
        before = time.monotonic()
        yield
        self.start += time.monotonic() - before
