"""The outcome of a check of the selftest."""

from collections.abc import Callable
from dataclasses import dataclass

Report = Callable[[int], object]  # takes the number of tries that are done


@dataclass
class Outcome:
    """The tries, none if this system cannot run the check; a line a failure; and a summary."""

    tries: int
    failures: list[str]
    seen: str
    name: str = ""
    seconds: float = 0.0
