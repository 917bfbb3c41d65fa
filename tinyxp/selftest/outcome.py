"""The outcome of a check of the selftest."""

from collections.abc import Callable
from dataclasses import dataclass

Report = Callable[[int], object]  # takes the number of tries that are done


@dataclass
class Outcome:
    """The number of tries, a line for each failure, and a summary of the rest."""

    tries: int
    failures: list[str]
    seen: str
    name: str = ""
    seconds: float = 0.0


class Unavailable(Exception):
    """This system cannot run a check; the message says why."""
