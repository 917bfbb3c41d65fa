"""A lesson: the functions that a student writes, the points to check, and their outcomes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Check = Callable[[Any], None]


class NotYet(Exception):
    """The student's code misses a point: what was expected, what it gave, and a hint."""

    def __init__(self, expected: str, got: str, hint: str = "") -> None:
        super().__init__(expected, got, hint)
        self.expected, self.got, self.hint = expected, got, hint


@dataclass(frozen=True)
class Point:
    """One requirement of ``function``; ``check`` takes the student's module and raises NotYet.
    It is checked only if no function in ``needs`` has failed."""

    title: str
    function: str
    check: Check
    needs: frozenset[str]


@dataclass
class Lesson:
    """The functions that a student writes, as ``{"standardize": "x"}``, and their points in order.

    When a function misses a point, its later points are not checked: they would only repeat it.
    """

    functions: dict[str, str]
    points: list[Point] = field(default_factory=list)

    def point(self, function: str, requirement: str, *needs: str) -> Callable[[Check], Check]:
        """Return a decorator that adds a point of ``function``, which calls ``needs`` too."""

        def add(check: Check) -> Check:
            title = f"{function}: {requirement}"
            self.points.append(Point(title, function, check, frozenset({"", function, *needs})))
            return check

        return add


@dataclass
class Outcome:
    """The result of a point. ``state`` is "ok", "not ok", or "later" for an unchecked point."""

    title: str
    state: str = "ok"
    expected: str = ""
    got: str = ""
    hint: str = ""
    called: str = ""  # the call of the student's function

    def __str__(self) -> str:
        lines = [f"  {self.state:<7} {self.title}"]
        for label in ("called", "expected", "got", "hint"):
            if text := " ".join(getattr(self, label).split()):
                lines.append(f"            {label + ':':<9} {text}")
        return "\n".join(lines)
