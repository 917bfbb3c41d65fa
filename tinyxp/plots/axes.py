"""Text axes: a frame with round numbers around rows of characters."""

import math
from dataclasses import dataclass

STEPS = (1, 2, 5)
TINY = 1e-200  # below it quotients overflow


@dataclass(frozen=True)
class Axis:
    """The range from ``low`` to ``high`` over ``cells`` characters; ``log`` for a log scale.

    >>> axis = Axis(0, 100, 11)
    >>> axis.place(50)
    5
    >>> axis.ticks(4)
    {0: '0', 10: '100'}
    """

    low: float
    high: float
    cells: int
    log: bool = False

    @staticmethod
    def around(values: list[float], cells: int, log: bool = False) -> "Axis":
        """An axis from the lowest to the highest value, or wider if these are equal."""
        if not values:
            return Axis(0.0, 1.0, cells)
        low, high = min(values), max(values)
        if log:
            low, high = (low, high) if low < high else (low / 2, high * 2)
            return Axis(low, high, cells, log)
        size = max(abs(low), abs(high))
        if high - low > max(1e-9 * size, TINY):  # else the axis could not tell numbers apart
            return Axis(low, high, cells)
        edge = size / 2 if size > TINY else 1.0
        return Axis(low - edge, high + edge, cells)

    def place(self, x: float) -> int:
        """The index of the character for x."""
        low, high = self.low, self.high
        if self.log:
            x, low, high = math.log(x), math.log(low), math.log(high)
        return round((x - low) / (high - low) * (self.cells - 1))

    def ticks(self, apart: int) -> dict[int, str]:
        """Round numbers by the index of their character, about ``apart`` characters apart."""
        most = max(2, self.cells // apart)
        values = self._decades(most) if self.log else self._even(most)
        size = max(abs(self.low), abs(self.high))
        digits = 1 + math.ceil(math.log10(size * most / (self.high - self.low)))
        return {self.place(value): f"{value:.{max(6, digits)}g}" for value in values}

    def _even(self, most: int) -> list[float]:
        """At most so many multiples of 1, 2 or 5 times a power of ten."""
        span = self.high - self.low
        power = math.floor(math.log10(span / most))
        step = next(
            (
                size
                for size in (scale * 10.0**power for scale in (*STEPS, 10, 20))
                if _multiples(self.low, self.high, size) <= most
            ),
            span,
        )
        first = math.ceil(self.low / step - 1e-9)
        values = [i * step for i in range(first, first + _multiples(self.low, self.high, step))]
        return [round(value, max(0, 2 - power)) if power > -300 else value for value in values]

    def _decades(self, most: int) -> list[float]:
        """About so many powers of ten, or finer numbers if there are fewer than two."""
        first, last = math.ceil(math.log10(self.low)), math.floor(math.log10(self.high))
        skip = max(1, -(-(last - first + 1) // most))
        powers = [10.0**power for power in range(first, last + 1, skip)]
        if len(powers) >= 2:
            return powers
        fine = [s * 10.0**p for p in range(first - 1, last + 1) for s in STEPS]
        return [x for x in fine if self.low <= x <= self.high] or [self.low, self.high]


def _multiples(low: float, high: float, step: float) -> int:
    """The number of multiples of ``step`` from ``low`` to ``high``."""
    return math.floor(high / step + 1e-9) - math.ceil(low / step - 1e-9) + 1


def frame(cells: list[list[str]], across: Axis, up: Axis) -> list[str]:
    """The lines of a plot: rows of characters, from the top, with axes and numbers."""
    left = {up.cells - 1 - place: label for place, label in up.ticks(3).items()}
    margin = max(map(len, left.values()), default=0)
    lines = [
        f"{left.get(i, ''):>{margin}} {'+' if i in left else '|'}{''.join(row)}"
        for i, row in enumerate(cells)
    ]
    below = across.ticks(10)
    rule = ["+" if i in below else "-" for i in range(across.cells)]
    lines.append(" " * (margin + 1) + "+" + "".join(rule))
    numbers = [" "] * (margin + 2 + across.cells)
    for place, label in below.items():
        start = margin + 2 + place - len(label) // 2
        start = max(0, min(start, len(numbers) - len(label)))
        numbers[start : start + len(label)] = label
    return [*lines, "".join(numbers)]
