"""Checks, on the user's machine, of what tinyxp promises about faults: ``tinyxp selftest``."""

import importlib
import time
from collections.abc import Iterable
from functools import partial
from typing import TextIO

from tinyxp.errors import ArgumentError
from tinyxp.nn.model_summary import align_columns
from tinyxp.selftest.child import ChildError, Outcome
from tinyxp.train.progress import Progress

# check -> the usual number of tries
CHECKS = {
    "kill": 20,
    "fuzz": 2000,
    "disk": 1,
    "threads": 20,
    "memory": 10_000,
    "mixed": 2000,
    "download": 1,
}


def run(
    names: Iterable[str] = (), tries: int | None = None, stream: TextIO | None = None
) -> list[Outcome]:
    """Run the named checks, or all, with ``tries`` tries each, or the usual number.

    Raises ArgumentError for an unknown name or tries below 1.
    """
    names = [name for name in names if name != "all"] or [*CHECKS]
    if unknown := [name for name in names if name not in CHECKS]:
        raise ArgumentError(f"unknown check {unknown[0]!r}; choose among {', '.join(CHECKS)}, all")
    if tries is not None and tries < 1:
        raise ArgumentError(f"tries must be at least 1, got {tries}")
    outcomes = []
    for name in names:
        check = importlib.import_module(f"tinyxp.selftest.{name}").check
        start, wanted = time.monotonic(), tries or CHECKS[name]
        progress = Progress(wanted, stream)
        try:
            outcome = check(wanted, partial(progress.update, note=name))
        except ChildError as error:
            outcome = Outcome(wanted, [str(error)], "")
        outcome.name, outcome.seconds = name, time.monotonic() - start
        outcomes.append(outcome)
    return outcomes


def table(outcomes: Iterable[Outcome]) -> str:
    """One row for each check, and the first failures below."""
    rows, failures = [["check", "tries", "failed", "seconds", "result"]], []
    for o in outcomes:
        failed = str(len(o.failures)) if o.tries else "-"
        rows.append([o.name, str(o.tries), failed, f"{o.seconds:.1f}", o.seen])
        failures += [f"{o.name}: {failure}" for failure in o.failures[:5]]
    return "\n".join([*align_columns(rows, right=range(1, 4)), *failures])
