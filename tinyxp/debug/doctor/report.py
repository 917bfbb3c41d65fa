"""What the doctor says: a table of parameters, findings, and how to mend the first of them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tinyxp.debug.sites import Site
from tinyxp.nn.model_summary import align_columns

SCREEN = 12  # rows of the table, above which those of blocks alike become one
NUMBER = re.compile(r"(.*?(?:^|\.))(\d+)(\..*)")  # the outermost number in a name
ABOUT = 1.5  # numbers that differ by less are shown as one
MANY = 4  # names in a sentence; the finding itself lists them all


@dataclass
class Finding:
    """One thing that is wrong, with the parameters that suffer from it.

    ``kind``: "missing" (no gradient), "incomplete" (a part of it is), "unused", "unregistered",
    "zero", "vanishing", "exploding", "nan", "frozen", "stale optimizer", "lr" or "probabilities"
    (where a loss expects logits). ``site`` is the line that did it, None if it is not known;
    ``sites``, all lines that the message names.
    """

    kind: str
    parameters: list[str]
    site: Site | None
    message: str
    remedy: str
    sites: list[Site] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"{self.kind}: {names(self.parameters)}" if self.parameters else self.kind]
        lines.append(f"  {self.message}")
        lines += [f"  {site}: {site.code}" for site in self.sites if site.code]
        return "\n".join(lines)


@dataclass
class Row:
    """A parameter: the norms of its value and gradient, and of the next update over the value."""

    name: str
    shape: tuple[int, ...]
    weight: float
    gradient: float | None
    update: float | None
    state: str

    def cells(self) -> list[str]:
        def number(x: float | None) -> str:
            return "-" if x is None else f"{x:.3g}"

        return [
            self.name,
            str(self.shape),
            number(self.weight),
            number(self.gradient),
            number(self.update),
            self.state,
        ]


@dataclass
class Rows:
    """Parameters at one place of blocks alike: the least and the largest of their numbers."""

    rows: list[Row]

    def cells(self) -> list[str]:
        start, first, end = NUMBER.fullmatch(self.rows[0].name).groups()  # type: ignore[union-attr]
        last = NUMBER.fullmatch(self.rows[-1].name)[2]  # type: ignore[index]

        def numbers(values: list[float | None]) -> str:
            known = sorted(x for x in values if x is not None)
            if not known:
                return "-"
            low, high = f"{known[0]:.2g}", f"{known[-1]:.2g}"
            return low if known[-1] <= ABOUT * known[0] else f"{low} to {high}"

        return [
            f"{start}{first}...{last}{end}",
            str(self.rows[0].shape),
            numbers([row.weight for row in self.rows]),
            numbers([row.gradient for row in self.rows]),
            numbers([row.update for row in self.rows]),
            self.rows[0].state,
        ]


@dataclass
class Report:
    """The doctor's report; ``print`` it. ``healthy`` is true if nothing was found.

    ``findings`` come with the likeliest cause first; ``rows`` has a :class:`Row` for each
    parameter.
    """

    rows: list[Row]
    findings: list[Finding]

    @property
    def healthy(self) -> bool:
        return not self.findings

    def __str__(self) -> str:
        head = ["parameter", "shape", "|weight|", "|gradient|", "update/weight", "state"]
        rows = self.rows if len(self.rows) <= SCREEN else list(fold_rows(self.rows))
        lines = align_columns([head, *(row.cells() for row in rows)], right=range(2, 5))
        for i, finding in enumerate(self.findings, 1):
            first, *rest = str(finding).splitlines()
            lines += ["", f"{i}. {first}", *(f" {line}" for line in rest)]
        remedies = list(dict.fromkeys(finding.remedy for finding in self.findings))
        if not remedies:
            return "\n".join([*lines, "", "healthy: every trained parameter gets a gradient"])
        return "\n".join([*lines, "", *(f"to mend: {remedy}" for remedy in remedies)])

    __repr__ = __str__


def fold_rows(rows: list[Row]) -> Iterator[Row | Rows]:
    """Rows, those of one place in blocks alike as one: of names that differ in the outermost number
    alone, with one shape and one state."""
    alike: dict[Any, list[Row]] = {}
    for row in rows:
        parts = NUMBER.fullmatch(row.name)
        place = (parts[1], parts[3]) if parts else row.name
        alike.setdefault((place, row.shape, row.state), []).append(row)
    for some in alike.values():
        yield some[0] if len(some) == 1 else Rows(some)


def names(parameters: list[str]) -> str:
    """Names in a sentence, the first few of many."""
    if len(parameters) <= MANY:
        return ", ".join(parameters)
    return f"{', '.join(parameters[:MANY])} and {len(parameters) - MANY} more"


def group(pairs: list[tuple[str, Any]]) -> Iterator[tuple[list[str], Any]]:
    """The names of equal things together."""
    found: dict[Any, list[str]] = {}
    for name, thing in pairs:
        found.setdefault(thing, []).append(name)
    yield from ((some, thing) for thing, some in found.items())
