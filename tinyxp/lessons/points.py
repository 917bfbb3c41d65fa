"""A lesson's points, and what is said of each: ok, not ok, or not looked at yet."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Check = Callable[[Any], None]


class NotYet(Exception):
    """A point that a student's code misses: what was expected, what came, what is usually wrong."""

    def __init__(self, expected: str, came: str, hint: str = "") -> None:
        super().__init__(expected, came, hint)
        self.expected, self.came, self.hint = expected, came, hint


@dataclass(frozen=True)
class Point:
    """One thing that ``function`` must do; ``check`` gets the student's module, raises NotYet.

    It is asked only if nothing was found wrong with ``needs``.
    """

    function: str
    says: str
    check: Check
    needs: frozenset[str]


@dataclass
class Lesson:
    """What a student writes, as ``{"standardize": "x"}``, and the points in order.

    The first point that a function misses ends the questions about it: later ones only follow.
    """

    functions: dict[str, str]
    points: list[Point] = field(default_factory=list)

    def point(self, function: str, says: str, *needs: str) -> Callable[[Check], Check]:
        """Add what is below as a point of ``function``, which uses the functions ``needs``."""

        def add(check: Check) -> Check:
            self.points.append(Point(function, says, check, frozenset({function, *needs})))
            return check

        return add


@dataclass
class Outcome:
    """A point after the check. ``state``: "ok", "not ok" or "later"."""

    title: str
    state: str = "ok"
    expected: str = ""
    came: str = ""
    hint: str = ""
    called: str = ""  # what was asked of the student's function

    def __str__(self) -> str:
        parts = {"called": self.called, "expected": self.expected, "came": self.came}
        parts["hint"] = self.hint
        lines = [f"  {self.state:<7} {self.title}"]
        lines += [f"            {k + ':':<9} {' '.join(v.split())}" for k, v in parts.items() if v]
        # a console of any code page can show it
        return "\n".join(lines).encode("ascii", "replace").decode()
