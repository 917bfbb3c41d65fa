"""Picture, the base of all pictures, and helpers that draw them."""

import io
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tinyxp import backends
from tinyxp.errors import ArgumentError, BackendError
from tinyxp.files.safetensors import write_atomically

# blue and vermilion first; colour-blind readers can tell all of them apart (Okabe & Ito 2008)
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
WIDTH = 79  # columns of a terminal
FORMATS = ("png", "svg", "pdf")


class Picture:
    """A picture: ``text()`` for a terminal, ``figure()`` for matplotlib."""

    title: str

    def text(self) -> str:
        """The picture in ASCII, at most 79 columns wide."""
        raise NotImplementedError

    def figure(self) -> Any:
        """The picture as a ``matplotlib.figure.Figure``. Raises BackendError without matplotlib."""
        raise NotImplementedError

    def save(self, path: str | Path) -> None:
        """Write a PNG, SVG or PDF file, by the ending of the path.

        Raises BackendError without matplotlib, ArgumentError for another ending, DataError if the
        file cannot be written.
        """
        ending = Path(path).suffix.lower().removeprefix(".")
        if ending not in FORMATS:
            raise ArgumentError(f"a picture's path ends with .{', .'.join(FORMATS)}, got {path}")
        write_atomically(path, self._drawn(ending))

    def _drawn(self, ending: str) -> bytes:
        """The bytes of the file; a letter that no font has becomes a box, without a warning."""
        data = io.BytesIO()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"(?s)Glyph .* missing from")
            self.figure().savefig(data, format=ending, dpi=120)
        return data.getvalue()

    def _repr_png_(self) -> bytes | None:
        """The PNG for a notebook; None without matplotlib, so that it shows the repr."""
        try:
            return self._drawn("png")
        except BackendError:
            return None

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """The picture as text, for IPython without matplotlib."""
        printer.text(repr(self) if cycle else self.text())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.title!r}; print(.text()), .save(path))"


def show(picture: Picture, path: str | Path | None = None) -> Path | None:
    """Save the picture at ``path`` and print that; without matplotlib or a path, print the text.

    Returns the path of the file, or None. Raises the errors of ``picture.save``.
    """
    if path is not None:
        try:
            picture.save(path)
        except BackendError:
            pass
        else:
            print(f"picture: {path}")
            return Path(path)
    print(picture.text())
    return None


def plain(text: str) -> str:
    """A text as one line of ASCII.

    >>> plain("größte\\nZahl")
    'gr??te Zahl'
    """
    return "".join(c if " " <= c <= "~" else "?" if c.isprintable() else " " for c in str(text))


def page(lines: Iterable[str]) -> str:
    """Lines cut to the width of a terminal."""
    return "\n".join(line[:WIDTH].rstrip() for line in lines)


def figure(width: float, height: float, **grid: Any) -> tuple[Any, Any]:
    """A figure and its axes, without global state. Raises BackendError without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise backends.missing("matplotlib", "plot") from error
    made = Figure(figsize=(width, height), layout="constrained")
    return made, made.subplots(**grid)


def annotate(made: Any, axes: Any, title: str) -> None:
    """Add the title, and the legend outside the axes, where it hides nothing."""
    axes.set_title(title, parse_math=False, loc="left", fontweight="bold")
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        place = "outside lower center"
        legend = made.legend(
            handles, labels, loc=place, ncols=min(4, len(labels)), frameon=False, fontsize=9
        )
        for text in legend.get_texts():
            text.set_parse_math(False)
