"""Curves over steps, such as losses."""

from dataclasses import dataclass
from itertools import cycle
from string import ascii_letters
from textwrap import wrap
from typing import Any

from tinyxp.plots.axes import Axis, frame
from tinyxp.plots.picture import COLOURS, WIDTH, Picture, annotate, figure, page, plain

Points = list[tuple[float, float]]
MARGIN = 12  # columns for the numbers on the left
HUGE = 1e300  # above it differences overflow


@dataclass(frozen=True, repr=False)
class Curves(Picture):
    """Named series of points (x, y), such as losses over steps; ``log`` for a log scale of y.

    Points that are not finite, or with ``log`` not above 0, are left out, and the legend counts
    them.

    >>> falling = [(step, 1 / (1 + step)) for step in range(100)]
    >>> print(tx.plots.Curves({"loss": falling}, "falling", log=True).text(height=7))
    falling
    loss, log scale
       1 +a
         | a
         |  aa
         |    aaaaaa
         |         aaaaaaaaaaaa
         |                     aaaaaaaaaaaaaaaaaaaaaaaaa
    0.01 +                                             aaaaaaaaaaaaaaaaaaaaaa
         ++------------+-------------+------------+------------+-------------
          0           20            40           60           80
                                                                         step
    a: loss
    """

    series: dict[str, Points]
    title: str
    xlabel: str = "step"
    ylabel: str = "loss"
    log: bool = False

    def _drawable(self) -> dict[str, Points]:
        """The points that can be drawn, by the text of the legend."""
        kept: dict[str, Points] = {}
        for name, points in self.series.items():
            numbers = [(float(x), float(y)) for x, y in points]
            low = 1 / HUGE if self.log else -HUGE
            fit = [(x, y) for x, y in numbers if abs(x) < HUGE and low < y < HUGE]  # not NaN
            lost = len(points) - len(fit)
            why = "not above 0" if self.log else "not finite"
            kept[f"{name} ({lost} of {len(points)} {why})" if lost else name] = fit
        return kept

    def text(self, height: int = 16) -> str:
        """As :meth:`Picture.text`; ``*`` marks points where series of equal length meet."""
        series = self._drawable()
        across = Axis.around([x for some in series.values() for x, _ in some], WIDTH - MARGIN)
        up = Axis.around([y for some in series.values() for _, y in some], height, self.log)
        rows = [[" "] * across.cells for _ in range(height)]
        names = list(zip(cycle(ascii_letters), series))
        taken: dict[tuple[int, int], int] = {}  # the length of the series drawn there
        # short series are drawn last, in front
        for letter, name in sorted(names, key=lambda pair: -len(series[pair[1]])):
            for x, y in series[name]:
                row, column = height - 1 - up.place(y), across.place(x)
                equal = taken.get((row, column)) == len(series[name])
                met = equal and rows[row][column] != letter
                rows[row][column] = "*" if met else letter
                taken[row, column] = len(series[name])
        legend = [f"{letter}: {plain(name)}" for letter, name in names]
        if any("*" in row for row in rows):
            legend.append("*: several")
        if not any(series.values()):
            return page([plain(self.title), "(no points)", *legend])
        lines = frame(rows, across, up)
        scale = plain(self.ylabel) + (", log scale" if self.log else "")
        right = plain(self.xlabel).rjust(len(lines[-2]))  # under the end of the axis
        return page([plain(self.title), scale, *lines, right, *wrap("   ".join(legend), WIDTH)])

    def figure(self) -> Any:
        made, axes = figure(7, 4)
        series = self._drawable()
        for i, (name, points) in enumerate(series.items()):
            few = len(points) <= 30
            axes.plot(
                *(zip(*points, strict=True) if points else ([], [])),
                color=COLOURS[i % len(COLOURS)],
                linestyle=("-", "--", ":")[i // len(COLOURS) % 3],
                label=name,
                marker="o" if few else "",
                markersize=4,
                linewidth=1.6,
            )
        if self.log and any(series.values()):
            axes.set_yscale("log")
        axes.set_xlabel(self.xlabel, parse_math=False)
        axes.set_ylabel(self.ylabel, parse_math=False)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        if not any(series.values()):
            axes.text(0.5, 0.5, "no points", ha="center", transform=axes.transAxes)
        annotate(made, axes, self.title)
        return made
