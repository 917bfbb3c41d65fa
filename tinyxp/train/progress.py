"""Progress on the screen: one line that is rewritten, or plain lines where nobody looks."""

import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO, TypeVar

T = TypeVar("T")
BAR, LEAST = 24, 6  # characters of the bar at most, and below which there is none
SILENT = 8.0  # seconds after which a plain line comes, whatever was done
EARLY, LONG = 5.0, 900.0  # seconds: when the end is foreseen first, and from where it is long


class Progress:
    """A bar that rewrites its line on a terminal or in a notebook; elsewhere a plain line now and
    then; ``total`` is None where nobody knows it. A stream that can no longer be written to ends
    the show, and nothing else.

    >>> progress = Progress(20, sys.stdout)
    >>> for step in range(1, 5):
    ...     progress.update(step, "loss 1.5")
    step 2/20 loss 1.5 0:00 left
    step 4/20 loss 1.5 0:00 left
    """

    def __init__(
        self, total: int | None, stream: TextIO | None = None, begun: int = 0, what: str = "step"
    ) -> None:
        self.total, self.begun, self.what = total, begun, what
        notebook = stream is None and in_notebook()
        self.stream = stream or (sys.stdout if notebook else sys.stderr)
        self.gone = self.stream is None  # as under pythonw.exe
        self.rewrites = notebook or (not self.gone and self.stream.isatty())
        self.every = sys.maxsize if total is None else max(1, total // 10)
        self.start = time.monotonic()
        self.shown = 0.0 if self.rewrites else self.start
        self.written = 0  # characters of the line that is to be rewritten
        self.warned = False

    def update(self, done: int, note: str = "") -> None:
        now = time.monotonic()
        if self.rewrites:
            due = now - self.shown > 0.1
        else:
            due = done % self.every == 0 or now - self.shown > SILENT
        if self.gone or not (due or done == self.total):
            return
        self.shown = now
        left = 0.0
        if self.total is not None:
            left = (now - self.start) / (done - self.begun) * (self.total - done)
        try:
            self._show(done, note, "" if self.total is None else f"{clock(left)} left")
            if not self.warned and now - self.start > EARLY:
                self.warned = True
                if left > LONG:
                    self._line(
                        f"about {lasting(left)} to go: a smaller model or fewer steps end sooner"
                    )
        except (OSError, ValueError):  # whoever was reading has gone
            self.gone = True

    def end(self, text: str) -> None:
        """A last line."""
        try:
            if not self.gone:
                self._line(text)
        except (OSError, ValueError):
            self.gone = True

    def _show(self, done: int, note: str, left: str) -> None:
        what = "" if self.rewrites and self.what == "step" else f"{self.what} "
        count = f"{what}{done} " if self.total is None else f"{what}{done}/{self.total} "
        note = f"{note} " if note else ""
        if not self.rewrites:
            self._line(f"{count}{note}{left}")
            return
        columns = width(self.stream) - 1  # the last one would begin a new line on some terminals
        room = columns - len(count) - len(left)
        text = f"{count}{note[: max(0, room)]}{left}"
        room = min(BAR, columns - len(text) - 3)
        if room >= LEAST and self.total is not None:
            filled = room * done // self.total
            text = f"[{'#' * filled}{'.' * (room - filled)}] {text}"  # any console can show it
        last = done == self.total
        self.stream.write("\r" + text.ljust(self.written) + "\n" * last)
        self.stream.flush()
        self.written = 0 if last else len(text)

    def _line(self, text: str) -> None:
        """A line of its own, in place of the one that is rewritten."""
        self.stream.write("\r" * bool(self.written) + text.ljust(self.written) + "\n")
        self.stream.flush()
        self.written = 0


def counted(items: Sequence[T], what: str) -> Iterator[T]:
    """The items, while their number is shown as progress; for work that may be over at once, of
    which a plain stream hears nothing then.

    >>> list(counted([1, 2], "adding"))
    [1, 2]
    """
    total = len(items)
    progress = Progress(total, what=what)
    progress.every = sys.maxsize
    for done, item in enumerate(items, 1):
        yield item
        if progress.rewrites or done < total:
            progress.update(done)


def width(stream: Any) -> int:
    """The columns of a terminal, or of a line in a notebook."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (AttributeError, OSError, ValueError):
        return shutil.get_terminal_size().columns


def in_notebook() -> bool:
    """Whether the program is a notebook's, whose output has no terminal but rewrites lines."""
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module is not None else None
    return type(shell).__name__ == "ZMQInteractiveShell"


def clock(seconds: float) -> str:
    """
    >>> from tinyxp.train.progress import clock
    >>> clock(75), clock(3675)
    ('1:15', '1:01:15')
    """
    minutes, s = divmod(int(seconds), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02d}:{s:02d}" if hours else f"{m}:{s:02d}"


def lasting(seconds: float) -> str:
    """A time in words.

    >>> from tinyxp.train.progress import lasting
    >>> lasting(12.4), lasting(200), lasting(9000)
    ('12 s', '3 min 20 s', '2 h 30 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


class Clock:
    """Seconds of training since step ``begun``, evaluation not counted."""

    def __init__(self, begun: int) -> None:
        self.begun, self.start = begun, time.monotonic()

    def seconds(self) -> float:
        return time.monotonic() - self.start

    @contextmanager
    def paused(self) -> Iterator[None]:
        before = time.monotonic()
        try:
            yield
        finally:
            self.start += time.monotonic() - before
