"""The doctor's report: a table of parameters, findings, and remedies."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tinyxp.debug.sites import Site
from tinyxp.nn.model_summary import align_columns

SCREEN = 12  # with more rows than this, equal blocks share a row
NUMBER = re.compile(r"(.*?(?:^|\.))(\d+)(\..*)")  # the outermost number in a name
ABOUT = 1.5  # numbers within this factor are shown as one
MANY = 4  # names in a sentence; the finding itself lists them all


@dataclass
class Finding:
    """A problem, and the parameters that it affects.

    ``kind``: "missing" (no gradient), "incomplete" (a part is missing), "unused", "unregistered",
    "zero", "vanishing", "exploding", "nan", "frozen", "stale optimizer", "lr" or "probabilities"
    (instead of logits). ``site`` is the line that causes it, or None; ``sites`` are all lines that
    the message names.
    """

    kind: str
    parameters: list[str]
    site: Site | None
    message: str
    remedy: str
    sites: list[Site] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.site is not None and not self.sites:
            self.sites = [self.site]

    def __str__(self) -> str:
        lines = [f"{self.kind}: {names(self.parameters)}" if self.parameters else self.kind]
        lines.append(f"  {self.message}")
        lines += [f"  {site}: {site.code}" for site in self.sites if site.code]
        return "\n".join(lines)


@dataclass
class Row:
    """A parameter: the norms of its value and gradient, and of its relative next update."""

    name: str
    shape: tuple[int, ...]
    weight: float
    gradient: float | None
    update: float | None
    state: str

    def cells(self) -> list[str]:
        numbers = (self.weight, self.gradient, self.update)
        texts = ("-" if x is None else f"{x:.3g}" for x in numbers)
        return [self.name, str(self.shape), *texts, self.state]


@dataclass
class Rows:
    """The same parameter of equal blocks: the smallest and the largest of their numbers."""

    rows: list[Row]

    def cells(self) -> list[str]:
        start, first, end = NUMBER.fullmatch(self.rows[0].name).groups()  # type: ignore[union-attr]
        last = NUMBER.fullmatch(self.rows[-1].name)[2]  # type: ignore[index]

        def numbers(values: tuple[float | None, ...]) -> str:
            known = sorted(x for x in values if x is not None)
            if not known:
                return "-"
            low, high = f"{known[0]:.2g}", f"{known[-1]:.2g}"
            return low if known[-1] <= ABOUT * known[0] else f"{low} to {high}"

        columns = zip(*((row.weight, row.gradient, row.update) for row in self.rows), strict=True)
        name, one = f"{start}{first}...{last}{end}", self.rows[0]
        return [name, str(one.shape), *map(numbers, columns), one.state]


@dataclass
class Report:
    """The doctor's report, to be printed. ``healthy`` is true if there are no findings.

    ``findings`` start with the likeliest cause; ``rows`` holds a :class:`Row` for each parameter.
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
        return "\n".join([*lines, "", *(f"to fix: {remedy}" for remedy in remedies)])

    __repr__ = __str__


def fold_rows(rows: list[Row]) -> Iterator[Row | Rows]:
    """The rows, where those of equal blocks become one: names that differ only in the outermost
    number, with the same shape and state."""
    alike: dict[Any, list[Row]] = {}
    for row in rows:
        parts = NUMBER.fullmatch(row.name)
        place = (parts[1], parts[3]) if parts else row.name
        alike.setdefault((place, row.shape, row.state), []).append(row)
    for some in alike.values():
        yield some[0] if len(some) == 1 else Rows(some)


def names(parameters: list[str]) -> str:
    """The names as text, only the first few of many."""
    if len(parameters) <= MANY:
        return ", ".join(parameters)
    return f"{', '.join(parameters[:MANY])} and {len(parameters) - MANY} more"


def group(pairs: list[tuple[str, Any]]) -> Iterator[tuple[list[str], Any]]:
    """The names of equal values together."""
    groups: dict[Any, list[str]] = {}
    for name, value in pairs:
        groups.setdefault(value, []).append(name)
    return ((members, value) for value, members in groups.items())
