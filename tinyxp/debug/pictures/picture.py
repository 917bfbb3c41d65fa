"""``tx.graph`` draws how a tensor was computed."""

import os
from functools import cached_property
from pathlib import Path

from tinyxp.core.tensor import Tensor
from tinyxp.debug.pictures.drawing import Drawing, draw, names_of
from tinyxp.debug.pictures.folding import fold as folded
from tinyxp.debug.pictures.markup import dot, mermaid
from tinyxp.debug.pictures.svg import svg
from tinyxp.debug.watch import Watch, latest
from tinyxp.errors import ArgumentError, DTypeError, GradientError
from tinyxp.files.safetensors import write_atomically
from tinyxp.nn.module import Module

ENDINGS = {".svg": "svg", ".mmd": "mermaid", ".dot": "dot"}


class Graph:
    """The picture of a graph as ``svg``, ``mermaid`` or ``dot``; notebooks show it inline."""

    def __init__(self, drawing: Drawing) -> None:
        self.drawing = drawing

    @cached_property
    def svg(self) -> str:
        """An SVG for a browser or a slide."""
        return svg(self.drawing)

    @cached_property
    def mermaid(self) -> str:
        """A flowchart for Mermaid."""
        return mermaid(self.drawing)

    @cached_property
    def dot(self) -> str:
        """A digraph for Graphviz."""
        return dot(self.drawing)

    def _repr_svg_(self) -> str:
        return self.svg

    def __repr__(self) -> str:
        cut = sum(1 for arrow in self.drawing.arrows if arrow.cut)
        return f"Graph({len(self.drawing.boxes)} boxes, {cut} cut; .svg, .mermaid, .dot, .save())"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a .svg, .mmd or .dot file. Raises ArgumentError for another ending."""
        language = expect_ending(path)
        write_atomically(Path(path), getattr(self, language).encode())


def expect_ending(path: str | os.PathLike[str]) -> str:
    """The format of a picture by the ending of its file. Raises ArgumentError for others."""
    suffix = Path(path).suffix
    if suffix not in ENDINGS:
        raise ArgumentError(f"expected a file .svg, .mmd or .dot, got {os.fspath(path)!r}")
    return ENDINGS[suffix]


def graph(
    loss: Tensor, model: Module | None = None, *, watch: Watch | None = None, fold: bool = True
) -> Graph:
    """Draw how ``loss`` was computed: operations with the shapes of their results and the names of
    their parameters, from the data at the top to the loss at the bottom.

    Names come from ``model``, or else from the models among the caller's variables. If the forward
    pass ran under a ``watch`` (by default the last one, if it knows this loss), values that were
    cut from the loss are drawn with red arrows that say why and where. Equal blocks of a module
    list are drawn once, unless ``fold`` is False. After a backward pass only a watch knows shapes.

    Raises GradientError for a tensor that no recorded operation made, DTypeError unless it gets a
    Tensor.

    >>> model = tx.nn.Linear(2, 1)
    >>> print(tx.graph(model(tx.ones((3, 2))).sum(), model).mermaid)  # doctest: +ELLIPSIS
    flowchart TD
      n0["data (3, 2)"]:::data
      n1["linear (3, 1)<br/>weight (1, 2)<br/>bias (1,)"]
      n2["sum ()"]:::loss
      n0 --> n1
      n1 --> n2
      ...
    """
    if not isinstance(loss, Tensor):
        raise DTypeError(f"graph expects a Tensor, got {type(loss).__name__}")
    if loss._node is None:
        raise GradientError(
            "this tensor has no graph: no recorded operation made it "
            f"({loss._cut or 'it is a leaf, or was made under no_grad() or by detach()'})"
        )
    last = latest()
    if watch is None and last is not None and last.knows(loss):
        watch = last
    drawing = draw(loss, names_of(model, depth=2), watch)
    return Graph(folded(drawing) if fold else drawing)
