"""The progress line of training, and what a training did and cost in words."""

import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TextIO, TypeVar

T = TypeVar("T")
BAR, LEAST = 24, 6  # the most and the fewest characters of the bar
SILENT = 8.0  # seconds between plain lines at most
EARLY, LONG = 5.0, 900.0  # seconds: after EARLY, a training longer than LONG is announced


class Progress:
    """A bar that rewrites its line on a terminal or in a notebook, and plain lines elsewhere;
    ``total`` is None if it is unknown. If the stream breaks, progress ends and training continues.

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
        self.broken = self.stream is None  # as under pythonw.exe
        self.rewrites = notebook or (not self.broken and self.stream.isatty())
        self.every = sys.maxsize if total is None else max(1, total // 10)
        self.start = time.monotonic()
        self.shown = 0.0 if self.rewrites else self.start
        self.written = 0  # characters on the line to rewrite
        self.warned = False

    def update(self, done: int, note: str = "") -> None:
        now = time.monotonic()
        if self.rewrites:
            due = now - self.shown > 0.1
        else:
            due = done % self.every == 0 or now - self.shown > SILENT
        if self.broken or not (due or done == self.total):
            return
        self.shown = now
        left = 0.0
        if self.total is not None:
            left = (now - self.start) / (done - self.begun) * (self.total - done)
        self._show(done, note, "" if self.total is None else f"{clock(left)} left")
        if not self.warned and now - self.start > EARLY:
            self.warned = True
            if left > LONG:
                self.line(f"about {lasting(left)} to go: a smaller model or fewer steps end sooner")

    def line(self, text: str) -> None:
        """Print a whole line, over the one being rewritten if there is one."""
        self._write("\r" * bool(self.written) + text.ljust(self.written) + "\n", 0)

    def _show(self, done: int, note: str, left: str) -> None:
        what = "" if self.rewrites and self.what == "step" else f"{self.what} "
        count = f"{what}{done} " if self.total is None else f"{what}{done}/{self.total} "
        note = f"{note} " if note else ""
        if not self.rewrites:
            self.line(f"{count}{note}{left}")
            return
        columns = width(self.stream) - 1  # the last one would begin a new line on some terminals
        room = columns - len(count) - len(left)
        text = f"{count}{note[: max(0, room)]}{left}"
        room = min(BAR, columns - len(text) - 3)
        if room >= LEAST and self.total is not None:
            filled = room * done // self.total
            text = f"[{'#' * filled}{'.' * (room - filled)}] {text}"  # any console can show it
        last = done == self.total
        self._write("\r" + text.ljust(self.written) + "\n" * last, 0 if last else len(text))

    def _write(self, text: str, written: int) -> None:
        if self.broken:
            return
        try:
            self.stream.write(text)
            self.stream.flush()
        except (OSError, ValueError):  # the reader has left
            self.broken = True
        self.written = written


def counted(items: Sequence[T], what: str) -> Iterator[T]:
    """Yield the items and show their count as progress; work that is over at once prints nothing
    to a plain stream.

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
    """The columns of a terminal or notebook."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (AttributeError, OSError, ValueError):
        return shutil.get_terminal_size().columns


def in_notebook() -> bool:
    """Whether this is a notebook, whose output can rewrite lines without being a terminal."""
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module is not None else None
    return type(shell).__name__ == "ZMQInteractiveShell"


def clock(seconds: float) -> str:
    """A time as on a clock.

    >>> from tinyxp.train.progress import clock
    >>> clock(75), clock(3675)
    ('1:15', '1:01:15')
    """
    minutes, s = divmod(int(seconds), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02d}:{s:02d}" if hours else f"{m}:{s:02d}"


def lasting(seconds: float) -> str:
    """A duration in words.

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


@dataclass(frozen=True)
class Summary:
    """What ``Trainer.fit`` did: all steps and epochs so far, the last loss and validation loss
    (None without one), the seconds it took, and why it ended.

    >>> print(Summary(14, 2, 0.25, None, 3.21, "2 epochs done"))
    14 steps, 2 epochs in 3.2 s: loss 0.25; 2 epochs done
    """

    steps: int
    epochs: int | None
    loss: float | None
    validation: float | None
    seconds: float
    ended: str

    def __str__(self) -> str:
        epochs = "" if self.epochs is None else f", {plural(self.epochs, 'epoch')}"
        losses = [f"loss {self.loss:.4g}"] if self.loss is not None else []
        if self.validation is not None:
            losses.append(f"validation loss {self.validation:.4g}")
        found = f": {', '.join(losses)}" if losses else ""
        steps = plural(self.steps, "step")
        return f"{steps}{epochs} in {self.seconds:.1f} s{found}; {self.ended}"


def plural(n: int | None, noun: str) -> str:
    """``plural(2, "step")`` is "2 steps"."""
    return f"{n} {noun}{'' if n == 1 else 's'}"


def peak_memory() -> str:
    """The most memory that this process has used, in words; empty where the system cannot tell.

    >>> from tinyxp.train.progress import peak_memory
    >>> peak_memory()  # doctest: +ELLIPSIS
    ', at most ... MB of memory'
    """
    try:
        import resource
    except ImportError:  # Windows
        return ""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    unit = 1 if sys.platform == "darwin" else 1024
    return f", at most {peak * unit / 1e6:,.0f} MB of memory"
