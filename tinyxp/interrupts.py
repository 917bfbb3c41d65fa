"""Ctrl-C and SIGTERM as a wish that is granted after the step."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

from tinyxp.backends.errors import TinyError


class Stopped(TinyError):
    """Training stopped because it was asked to, after a checkpoint; ``signal`` is the number."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.signal = number


class Interrupts:
    """In a ``with`` block, the first SIGINT or SIGTERM is kept in ``signal``; a second one acts at
    once. In threads other than the main one, which get no signals, nothing changes.

    >>> with Interrupts() as interrupts:
    ...     signal.raise_signal(signal.SIGINT)
    ...     interrupts.signal == signal.SIGINT
    True
    """

    def __init__(self, keep: bool = True) -> None:
        self.keep = keep  # else nothing changes
        self.signal: int | None = None
        self.before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if self.keep and threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self.before[number] = signal.signal(number, self._keep)
        return self

    def _keep(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
        self.before = {}

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._restore()
