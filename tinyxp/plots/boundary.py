"""Decision boundaries of classifiers of points in the plane."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyxp.errors import ArgumentError, ShapeError
from tinyxp.plots.axes import Axis, frame
from tinyxp.plots.picture import COLOURS, Picture, annotate, figure, page, plain

Array = np.ndarray[Any, Any]
DOTS = 300  # resolution of the picture, in each direction
HUGE = 1e30  # close to the largest float32


@dataclass(frozen=True, repr=False)
class Boundary(Picture):
    """Points x (n, 2) with classes y (n,) in {0, 1}, and the regions that ``ask`` assigns to each.

    ``ask`` maps points (m, 2), a float32 NumPy array, to scores (m,); class 1 has scores above 0.
    As text, the dotted side is class 1, and ``o`` and ``#`` are the points of class 0 and 1.
    Raises ShapeError for other shapes, ArgumentError for other classes.
    """

    ask: Callable[[Array], Array]
    x: Array
    y: Array
    title: str

    def __post_init__(self) -> None:
        x, y = np.asarray(self.x), np.asarray(self.y)
        if x.ndim != 2 or x.shape[1] != 2 or y.shape != x.shape[:1]:
            raise ShapeError(
                "Boundary expects points (n, 2) and classes (n,), got shapes "
                f"{x.shape} and {y.shape}"
            )
        if not np.isin(y, (0, 1)).all():
            raise ArgumentError(
                f"Boundary expects the classes 0 and 1, got {np.unique(y).tolist()}"
            )

    def _points(self) -> tuple[Array, Array]:
        """The points that can be drawn, and their classes."""
        x = np.asarray(self.x, dtype=np.float64)
        fit = (np.abs(x) < HUGE).all(axis=1)  # false for NaN
        return x[fit], np.asarray(self.y)[fit] == 1

    def _window(self) -> tuple[Array, Array]:
        x, _ = self._points()
        if not len(x):
            return np.zeros(2), np.ones(2)
        low, high = x.min(axis=0), x.max(axis=0)
        size = np.maximum(np.abs(low), np.abs(high))
        edge = 0.15 * np.maximum(high - low, 1e-5 * size + 1e-3)
        return low - edge, high + edge

    def _scores(self, points: Array) -> Array:
        scores = np.asarray(self.ask(points.astype(np.float32)))
        if scores.shape != points.shape[:1]:
            raise ShapeError(
                f"Boundary expects ask to return scores ({len(points)},) for points "
                f"{points.shape}, got the shape {scores.shape}"
            )
        return scores

    def _grid(self, columns: int, rows: int) -> Array:
        """The scores on a grid, from the top row."""
        low, high = self._window()
        across = np.linspace(low[0], high[0], columns)
        down = np.linspace(high[1], low[1], rows)
        points = np.stack(np.meshgrid(across, down), axis=-1).reshape(-1, 2)
        return self._scores(points).reshape(rows, columns)

    def _verdict(self) -> str:
        """The number of points on the wrong side, as text."""
        x, y = self._points()
        wrong = int(((self._scores(x) > 0) != y).sum()) if len(x) else 0
        return f"wrong: {wrong} of {len(x)} points"

    def text(self, columns: int = 66, rows: int = 24) -> str:
        low, high = self._window()
        across = Axis(low[0], high[0], columns)
        up = Axis(low[1], high[1], rows)
        lines = [
            ["?" if np.isnan(s) else "." if s > 0 else " " for s in row]
            for row in self._grid(columns, rows)
        ]
        x, y = self._points()
        for (a, b), label in zip(x.tolist(), y.tolist(), strict=True):
            lines[rows - 1 - up.place(b)][across.place(a)] = "#" if label else "o"
        legend = f"o: class 0   #: class 1   dotted: called 1   {self._verdict()}"
        return page([plain(self.title), *frame(lines, across, up), legend])

    def figure(self) -> Any:
        made, axes = figure(5, 4.8)
        low, high = self._window()
        window = (low[0], high[0], low[1], high[1])
        scores = self._grid(DOTS, DOTS)
        colours = np.where(scores[..., None] > 0, _pale(COLOURS[1]), _pale(COLOURS[0]))
        colours[np.isnan(scores)] = 0.8  # NaN: neither class
        axes.imshow(colours, extent=window, aspect="auto", interpolation="nearest")
        sides = np.where(np.isfinite(scores), scores, 0.0)
        if (sides > 0).any() and (sides <= 0).any():  # else there is no line
            axes.contour(
                sides, [0.0], extent=window, origin="upper", colors="#444444", linewidths=1.2
            )
        x, y = self._points()
        for label, marker in ((0, "o"), (1, "s")):
            axes.scatter(
                *x[y == label].T,
                c=COLOURS[label],
                marker=marker,
                s=28 if len(x) > 20 else 70,
                edgecolors="white",
                linewidths=0.7,
                label=f"class {label}",
            )
        axes.set(xlim=window[:2], ylim=window[2:], xlabel=self._verdict())
        annotate(made, axes, self.title)
        return made


def _pale(colour: str) -> Array:
    """A colour mixed with white, for a background."""
    from matplotlib.colors import to_rgb

    return 0.3 * np.asarray(to_rgb(colour)) + 0.7
