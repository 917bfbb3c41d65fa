"""Small images side by side, such as filters, digits and attention maps."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyxp.errors import ArgumentError, ShapeError
from tinyxp.plots.picture import WIDTH, Picture, figure, page, plain

Array = np.ndarray[Any, Any]
SHADES = " .:-=+*#%@"
LONG = 24  # captions up to this length widen their column


@dataclass(frozen=True, repr=False)
class Images(Picture):
    """Images (n, h, w) with a caption each, in rows of ``columns``.

    Each image has its own scale from its lowest value (white, or blank) to its highest (black, or
    ``@``). If there are values below 0, as in filters, a file shows them in blue and others in red.
    ``ticks`` name the rows and columns of square images, as in attention maps. Raises ShapeError
    for other shapes, ArgumentError for another number of captions or ticks.

    >>> step = np.asarray([[[0.0, 0.5, 1.0]]])
    >>> print(tx.plots.Images(step, ["a step"], "one").text())
    one
        ++++@@@@
        ++++@@@@
    a step
    """

    images: Array
    captions: list[str]
    title: str
    columns: int = 8
    ticks: Sequence[str] | None = None

    def __post_init__(self) -> None:
        shape = np.shape(self.images)
        if len(shape) != 3 or (shape[0] and not all(shape)):
            raise ShapeError(f"Images expects images (n, h, w), got the shape {shape}")
        if len(self.captions) != shape[0] or self.columns < 1:
            raise ArgumentError(
                f"Images expects a caption for each of {shape[0]} images, and columns from 1 up; "
                f"got {len(self.captions)} captions, columns={self.columns}"
            )
        if self.ticks is not None and shape[1:] != (len(self.ticks),) * 2:
            raise ArgumentError(
                f"Images expects a tick for each row and column of images {shape[1:]}, got "
                f"{len(self.ticks)}"
            )

    def _values(self) -> Array:
        """The images, each scaled to at most 1 in absolute value, NaN where they are not finite."""
        values = np.asarray(self.images, dtype=np.float64)
        values = np.where(np.isfinite(values), values, np.nan)
        top = np.nanmax(np.abs(values), axis=(1, 2), keepdims=True, initial=0.0)
        return values / np.where(top > 0, top, 1.0)

    def text(self) -> str:
        values = self._values()
        lines = [plain(self.title)]
        if not len(values):
            return page([*lines, "(no images)"])
        drawn = [_shade(image) for image in values]
        captions = [plain(caption) for caption in self.captions]
        wide = max(len(drawn[0][0]), min(LONG, max(map(len, captions))))
        columns = max(1, min(self.columns, (WIDTH + 2) // (wide + 2)))
        for start in range(0, len(values), columns):
            rows = [*zip(*drawn[start : start + columns], strict=True)]
            rows.append(tuple(caption[:wide] for caption in captions[start : start + columns]))
            lines += ["  ".join(part.ljust(wide) for part in row) for row in rows]
        if self.ticks is not None:
            lines.append(f"rows and columns: {plain(''.join(self.ticks))}")
        if (values < 0).any():
            lines.append("each from its lowest value (blank), below 0, to its highest (@)")
        return page(lines)

    def figure(self) -> Any:
        values = self._values()
        columns = min(self.columns, max(1, len(values)))
        rows = max(1, -(-len(values) // columns))
        _, h, w = values.shape
        wide = min(3.0, max(1.3, w / 16)) if self.ticks is None else max(1.3, w / 11)  # inches
        high = max(0.3, wide * h / w if w else wide) + 0.3
        made, grid = figure(
            max(3.0, wide * columns), high * rows + 0.6, nrows=rows, ncols=columns, squeeze=False
        )
        signed = bool((values < 0).any())
        colours: dict[str, Any] = {"cmap": "gray_r"}
        if signed:
            colours = {"cmap": "RdBu_r", "vmin": -1.0, "vmax": 1.0}
        for axes in grid.flat[len(values) :]:
            axes.set_axis_off()
        for axes, image, caption in zip(grid.flat, values, self.captions, strict=False):
            axes.imshow(image, interpolation="nearest", aspect="equal", **colours)
            axes.set_title(caption, fontsize=9, parse_math=False)
            names = self.ticks or []
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_ticks(range(len(names)), names, fontsize=6, parse_math=False)
                axis.set_tick_params(length=0, pad=1)
            axes.spines[:].set_color("#bbbbbb")
        made.suptitle(self.title, parse_math=False, fontweight="bold")
        if signed:
            made.supxlabel("blue: below 0   red: above 0   each on its own scale", fontsize=8)
        if not len(values):
            grid[0, 0].text(0.5, 0.5, "none", ha="center", fontsize=9)
        return made


def _shade(image: Array) -> list[str]:
    """An image as letters, which are twice as high as wide."""
    h, w = image.shape
    if 2 * w <= WIDTH // 2:
        zoom = max(1, 8 // w)
        image = image.repeat(zoom, axis=0).repeat(2 * zoom, axis=1)
    else:  # each letter is the mean of a block of pixels
        size = -(-w // (WIDTH // 2 - 1))
        image = np.pad(image, ((0, -h % (2 * size)), (0, -w % size)), mode="edge")
        image = image.reshape(-(-h // (2 * size)), 2 * size, -1, size).mean(axis=(1, 3))
    missing = np.isnan(image)
    low, high = (np.min(image[~missing]), np.max(image[~missing])) if not missing.all() else (0, 0)
    part = (np.where(missing, low, image) - low) / ((high - low) or 1.0)
    places = np.minimum((part * len(SHADES)).astype(int), len(SHADES) - 1)
    return [
        "".join("?" if no else SHADES[i] for i, no in zip(*row, strict=True))
        for row in zip(places.tolist(), missing.tolist(), strict=True)
    ]
