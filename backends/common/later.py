"""Checks of indices that a device does by itself, so that no training step waits for them.

A look from the host waits for everything that was launched before. Inside of ``checks_later()``
``Backend.check_later`` may launch a kernel that looks, and an error is raised when a value is next
read.
"""

from contextlib import AbstractContextManager
from contextvars import ContextVar

from tinyxp.backends.common.context import bound

_later: ContextVar[bool] = ContextVar("tinyxp_checks_later", default=False)
are_checks_later = _later.get  # whether checks may be done later here


def checks_later() -> AbstractContextManager[None]:
    """Check indices on the device inside a ``with`` block: a wrong one is reported with the next
    value that is read."""
    return bound(_later, True)
