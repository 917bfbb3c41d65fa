"""The graph as a drawing: a box for each operation, an arrow for each value."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from tinyxp.core.operation import Operation
from tinyxp.core.tape import Node, edge_of, graph_order
from tinyxp.core.tensor import Tensor
from tinyxp.debug.sites import of_library
from tinyxp.debug.watch import CutEdge, Watch
from tinyxp.nn.module import Module

Shape = tuple[int, ...]


@dataclass
class Box:
    """An operation with the shape of its result and its parameters, or data.

    ``kind``: "op", "loss", "data", or "severed" if only cut arrows lead to the loss.
    """

    key: str
    name: str
    shape: Shape | None
    params: list[tuple[str, Shape]] = field(default_factory=list)
    kind: str = "op"
    born: float = 0

    def lines(self) -> list[str]:
        """The text in the box."""
        shape = "" if self.shape is None else f" {self.shape}"
        return [f"{self.name}{shape}", *(f"{name} {shape}" for name, shape in self.params)]


@dataclass(frozen=True)
class Arrow:
    """From a box to another; ``cut`` says why and where no gradient comes back, or is empty."""

    source: str
    target: str
    cut: str = ""


@dataclass
class Frame:
    """Boxes that stand for several equal blocks."""

    title: str
    keys: list[str]


@dataclass
class Drawing:
    """Boxes by key, in the order of computation, with arrows and frames."""

    boxes: dict[str, Box]
    arrows: list[Arrow]
    frames: list[Frame] = field(default_factory=list)


def names_of(model: Module | None, depth: int) -> dict[int, str]:
    """The names of parameters by id, from a model or else from the nearest user's variables."""
    if model is not None:
        return {id(p): name for name, p in model.named_parameters()}
    frame = sys._getframe(depth)
    while frame.f_back is not None and of_library(frame.f_code.co_filename):
        frame = frame.f_back
    found: dict[int, str] = {}
    for scope in (frame.f_locals, frame.f_globals):
        for value in [*scope.values()]:
            if isinstance(value, Module):
                for name, p in value.named_parameters():
                    found.setdefault(id(p), name)
        for variable, value in [*scope.items()]:
            if isinstance(value, Tensor):
                found.setdefault(id(value), variable)
    return found


def draw(loss: Tensor, names: dict[int, str], watch: Watch | None) -> Drawing:
    """The tape behind ``loss``, and the values that were cut from it, if a watch knows them."""
    root = _visible(edge_of(loss))
    things = graph_order([root])
    behind = {id(thing) for thing in things}
    cuts = [cut for cut in (watch.cut_edges() if watch else ()) if id(cut.target) in behind]
    severed = [thing for thing in graph_order(_visible(cut.source) for cut in cuts)
               if id(thing) not in behind]  # fmt: skip
    shapes = _shapes([*things, *severed], watch)
    shapes[id(root)] = loss.shape
    boxes: dict[str, Box] = {}
    for thing in (*things, *severed):
        kind = "severed" if id(thing) not in behind else "loss" if thing is root else "op"
        if isinstance(thing, Node) and thing is _visible(thing):
            leaves = [p for p in map(_visible, thing.parents) if isinstance(p, Tensor)]
            own = [(names.get(id(p), "leaf"), p.shape) for p in leaves]
            boxes[_key(thing)] = Box(
                _key(thing), thing.op.name, shapes.get(id(thing)), own, kind, thing.born
            )
    reached = {_key(_visible(cut.target)) for cut in cuts}
    arrows: dict[Arrow, None] = {}
    for thing in (*things, *severed):
        if _key(thing) not in boxes:
            continue
        parents = [_visible(parent) for parent in thing.parents]  # type: ignore[union-attr]
        above = [_key(parent) for parent in parents if isinstance(parent, Node)]
        arrows |= dict.fromkeys(Arrow(key, _key(thing)) for key in above)
        data = _data_shape(thing)  # type: ignore[arg-type]
        if not above and data is not None and _key(thing) not in reached:
            born = boxes[_key(thing)].born - 0.5  # right before the operation that uses it
            box = Box(f"{_key(thing)}x", "data", data, kind="data", born=born)
            boxes[box.key] = box
            arrows[Arrow(box.key, _key(thing))] = None
    arrows |= dict.fromkeys(_cut_arrows(cuts, boxes, names))
    return _number_boxes(boxes, arrows)


def _number_boxes(boxes: dict[str, Box], arrows: Iterable[Arrow]) -> Drawing:
    """The drawing with keys n0, n1, … in the order of computation, the same in every run."""
    order = sorted(boxes.values(), key=lambda box: box.born)
    new = {box.key: f"n{i}" for i, box in enumerate(order)}
    renamed = [replace(box, key=new[box.key]) for box in order]
    return Drawing(
        {box.key: box for box in renamed},
        [replace(arrow, source=new[arrow.source], target=new[arrow.target]) for arrow in arrows],
    )


def _cut_arrows(
    cuts: Iterable[CutEdge], boxes: dict[str, Box], names: dict[int, str]
) -> Iterable[Arrow]:
    for cut in cuts:
        source, target = _visible(cut.source), _visible(cut.target)
        if isinstance(source, Tensor):  # a parameter with no other use
            name = names.get(id(source), "leaf")
            boxes.setdefault(_key(source), Box(_key(source), name, source.shape, kind="severed"))
        if _key(source) in boxes and _key(target) in boxes:
            yield Arrow(_key(source), _key(target), f"{cut.why} at {cut.site}")


def _key(thing: Any) -> str:
    return f"n{thing.born}" if isinstance(thing, Node) else f"p{id(thing)}"


def _visible(thing: Any) -> Any:
    """The operation itself, instead of a node that only passes its value on."""
    while isinstance(thing, Node) and not isinstance(thing.op, Operation):
        parents = [parent for parent in thing.parents if parent is not None]
        if len(parents) != 1:
            break
        thing = parents[0]
    return thing


def _operand_shapes(node: Node) -> list[Shape | None]:
    """The shapes of a node's operands; none after a backward pass has used it up."""
    if node.context is None or not isinstance(node.op, Operation):
        return []
    if len(node.context) == 6:  # a primitive keeps the shapes themselves
        return [*node.context[3]]
    return [None if x is None else tuple(x.shape) for x in node.context[0]]


def _shapes(things: Iterable[Any], watch: Watch | None) -> dict[int, Shape]:
    """The shapes of results, known by the watch or by the nodes that use them."""
    found: dict[int, Shape] = {}
    for thing in things:
        if not isinstance(thing, Node):
            continue
        record = watch.records.get(id(thing)) if watch else None
        if record is not None:
            found[id(thing)] = tuple(record.array.shape)
        for parent, shape in zip(thing.parents, _operand_shapes(thing), strict=False):
            if parent is not None and shape is not None:
                found.setdefault(id(_visible(parent)), shape)
    return found


def _data_shape(node: Node) -> Shape | None:
    """The shape of a node's first operand that needs no gradient."""
    pairs = zip(node.parents, _operand_shapes(node), strict=False)
    return next((shape for parent, shape in pairs if parent is None and shape), None)
