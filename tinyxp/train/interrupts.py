"""Ctrl-C and SIGTERM, which end training after the current step."""

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Self

from tinyxp.errors import TinyError

IGNORED = 5  # after so many signals the usual handlers are back


class Stopped(TinyError):
    """Training was stopped by a signal. ``signal`` is its number, ``text`` what happened, and the
    message adds how a program continues its run in ``folder``."""

    def __init__(self, text: str, number: int, folder: Any) -> None:
        super().__init__(
            f"{text}; continue with the same program and Trainer(…, run=Run({str(folder)!r}, "
            "resumed=True))"
        )
        self.text, self.signal, self.folder = text, number, folder


class Interrupts:
    """In a ``with`` block, the first SIGINT or SIGTERM is stored in ``signal``; a second one raises
    the error that ``at_once`` returns for it; the next ones are ignored, so that this error is not
    lost. Only the main thread gets signals; in others nothing changes.

    >>> with Interrupts(lambda number: Stopped("stopped", number, "runs/a")) as interrupts:
    ...     signal.raise_signal(signal.SIGINT)
    ...     interrupts.signal == signal.SIGINT
    True
    """

    def __init__(self, at_once: Callable[[int], BaseException] | None) -> None:
        self.at_once = at_once  # None: signals act as usual
        self.signal: int | None = None
        self.count = 0
        self.before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if self.at_once is not None and threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self.before[number] = signal.signal(number, self._keep)
        return self

    def _keep(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        if self.signal is None:
            self.signal = number
        elif self.count == 2 and self.at_once is not None:
            raise self.at_once(number)
        elif self.count > IGNORED:
            self._restore()
            signal.raise_signal(number)

    def _restore(self) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
        self.before = {}

    def __exit__(self, *error: object) -> None:
        self._restore()
