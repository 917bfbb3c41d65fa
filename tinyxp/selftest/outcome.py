"""What a check of the selftest found."""

from collections.abc import Callable
from dataclasses import dataclass

Report = Callable[[int, int], None]  # how many tries are done, of how many


@dataclass
class Outcome:
    """How often a check tried, in what words each failure is told, and what else was seen."""

    tries: int
    failures: list[str]
    seen: str
    name: str = ""
    seconds: float = 0.0


class Unavailable(Exception):
    """This system cannot run a check; the message says why."""
