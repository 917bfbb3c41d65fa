"""A watch over one forward pass: every value, its sources, and where a gradient stops.

The tape knows the values that carry a gradient. A watch also knows the others, which come from
``detach()``, ``no_grad``, operations without a derivative, or NumPy. So it can name the line where
the path from a parameter to the loss loses its gradient.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tinyxp.backends import Array
from tinyxp.backends.common.context import Block
from tinyxp.core.primitive import Projection
from tinyxp.core.tape import Node, edge_of, is_grad_enabled
from tinyxp.core.tensor import Tensor
from tinyxp.debug.observers import Observer, observing
from tinyxp.debug.origins import origins, with_origins
from tinyxp.debug.sites import Site, site

DETACH = "detach()"
DATA = ".data"
NO_GRAD = "no_grad()"
DETOUR = "a detour through raw arrays"

# identifies a value: its edge (a Node, or the Tensor of a leaf), or its raw array
Thing = Any


@dataclass(frozen=True, eq=False)
class Link:
    """From a value to its source, which was operand number ``operand``.

    ``why`` says why the gradient stops between them, or is empty; ``origin`` is the line where the
    source left tinyxp for a detour, or where ``no_grad`` began.
    """

    source: Thing
    operand: int
    why: str = ""
    origin: Site | None = None


@dataclass
class Record:
    """One value: the operation that returned it, the line, and its links."""

    thing: Thing
    name: str
    site: Site
    links: list[Link]
    array: Array
    born: int
    on_purpose: bool = False  # the library's own formula stops the gradient
    of_numbers: bool = False  # a tensor made of Python numbers
    kept: bool = False  # written in place under no_grad or through .data, as a step updates weights


class Exit(NamedTuple):
    """A value that left tinyxp for Python or NumPy."""

    source: Thing
    way: str
    site: Site
    born: int


@dataclass(frozen=True, eq=False)
class CutEdge:
    """The value of ``source`` reached operand ``index`` of ``target`` without its gradient."""

    source: Node | Tensor
    target: Node
    index: int
    why: str
    site: Site


Uses = dict[int, list[tuple[Thing, Link]]]  # by the id of a value: the values computed from it

_latest: ContextVar["Watch | None"] = ContextVar("tinyxp_watch", default=None)


def latest() -> "Watch | None":
    """The watch that is on here, or the last one, which is kept until the next."""
    return _latest.get()


def thing_of(x: Tensor) -> Thing:
    edge = edge_of(x)
    return x.array if edge is None else edge


@dataclass(eq=False, repr=False)
class Watch(Observer, Block):
    """Records one forward pass, with its loss, inside a ``with`` block.

    It keeps every value of that pass alive until the next watch begins.
    """

    records: dict[int, Record] = field(default_factory=dict)  # by the id of the value
    exits: list[Exit] = field(default_factory=list)
    # values that left tinyxp, kept alive for their ids; lines where present no_grad blocks began
    outside: dict[int, Thing] = field(default_factory=dict)
    silences: list[Site] = field(default_factory=list)
    _time: Iterator[int] = field(default_factory=itertools.count)

    def _open(self) -> Block:
        _latest.set(self)
        return observing(self)

    def __repr__(self) -> str:
        return f"Watch({len(self.records)} values, {len(self.cut_edges())} cuts)"

    # -- events ---------------------------------------------------------------------------------

    def on_call(self, op: Any, args: tuple[Any, ...], static: dict[str, Any], y: Any) -> None:
        where = None
        for result in y if isinstance(y, (tuple, list)) else (y,):
            if not isinstance(result, Tensor) or id(thing_of(result)) in self.records:
                continue  # known from an inner operation, or the operand itself
            where = where or site(4)
            links = [link for i, x in enumerate(args) for link in self._links(op, i, x, result)]
            self._add(thing_of(result), op.name, where, links, result.array)

    def _links(self, op: Any, i: int, x: Any, y: Tensor) -> Iterator[Link]:
        if isinstance(x, Tensor):
            edge, node = edge_of(x), y._node
            if node is not None and isinstance(node.op, Projection):
                node = node.parents[0]
            stops = edge is not None and (node is None or all(edge is not p for p in node.parents))
            if stops and not is_grad_enabled():
                yield Link(thing_of(x), i, NO_GRAD, self.silences[-1] if self.silences else None)
            else:
                yield Link(thing_of(x), i, _why_no_gradient(op, i, y) if stops else "")
        else:
            yield from self._detours(x, i)

    def _detours(self, obj: Any, i: int) -> Iterator[Link]:
        """The links of operand ``i``, a raw array, to the tensors that it was computed from."""
        for source, way, exit in origins(obj):
            yield Link(self.outside[source], i, f"{way}, {DETOUR}", exit)

    def on_detach(self, x: Tensor, y: Tensor) -> None:
        if edge_of(x) is None:
            return
        y.array = y.array[...]  # its own array, to tell this line from others
        where = site(3)
        why = {"": DETACH, "data": DATA}.get(where.called, f"{where.called}()")
        record = self._add(y.array, "detach", where, [Link(thing_of(x), 0, why)], y.array)
        record.on_purpose = why not in (DETACH, DATA)

    def on_write(self, x: Tensor, value: Tensor, recording: bool) -> None:
        record, before = self.records.get(id(value.array)), self.records.get(id(x.array))
        if record is not None and not recording and x._node is None:
            record.kept |= x._leaf or before is None or before.kept

    def on_exit(self, x: Tensor, way: str, value: Any) -> Any:
        thing = thing_of(x)
        if edge_of(x) is None and id(thing) not in self.records:
            return value
        where = site(3)
        self.outside[id(thing)] = thing
        self.exits.append(Exit(thing, way, where, next(self._time)))
        return with_origins(value, frozenset([(id(thing), way, where)]))

    def on_enter(self, obj: Any, array: Array) -> None:
        record = self._add(array, "tensor", site(3), [*self._detours(obj, 0)], array)
        record.of_numbers = not hasattr(obj, "dtype")

    def on_switch(self, recording: bool) -> None:
        self.silences += [] if recording else [site(4)]

    def on_switch_back(self, recording: bool) -> None:
        if not recording and self.silences:
            self.silences.pop()

    def _add(self, thing: Thing, name: str, where: Site, links: list[Link], array: Array) -> Record:
        record = Record(thing, name, where, links, array, next(self._time))
        self.records[id(thing)] = record
        return record

    # -- queries --------------------------------------------------------------------------------

    def links(self, thing: Thing) -> Iterator[Link]:
        """The links from a value to its sources."""
        record, known = self.record_of(thing), set()
        if record is not None and record.kept and isinstance(thing, Tensor):
            return  # a written leaf starts again
        for link in record.links if record else ():
            known.add(id(link.source))
            yield link
        if isinstance(thing, Node):  # nodes that no call made, as of hooks
            for i, parent in enumerate(thing.parents):
                if parent is not None and id(parent) not in known:
                    yield Link(parent, i)

    def record_of(self, thing: Thing) -> Record | None:
        """The record of a value; for a leaf, of its array."""
        return self.records.get(id(thing.array if isinstance(thing, Tensor) else thing))

    def knows(self, loss: Tensor) -> bool:
        """Whether the loss was computed during this watch."""
        return self.record_of(thing_of(loss)) is not None

    def uses(self) -> Uses:
        """For every value, those computed from it, except for written weights and state."""
        uses: Uses = {}
        for record in self.records.values():
            for link in () if record.kept else self.links(record.thing):
                uses.setdefault(id(link.source), []).append((record.thing, link))
        return uses

    def towards(self, loss: Tensor, kept: bool = True) -> Uses:
        """As ``uses``, only of the values from which the loss was computed; unless ``kept``, on
        paths without written weights or state."""
        uses: Uses = {id(loss.array): []}

        def sources(thing: Thing) -> Iterator[Thing]:
            record = self.record_of(thing)
            for link in self.links(thing) if kept or not (record and record.kept) else ():
                uses.setdefault(id(link.source), []).append((thing, link))
                yield link.source

        for _ in walk(thing_of(loss), sources):
            pass
        return uses

    def first_seen(self, leaf: Tensor) -> Site | None:
        """The line that made a leaf during the watch, or else the first that used it."""
        made = self.record_of(leaf)
        if made is not None:
            return made.site
        return next(
            (self.records[id(thing)].site for thing, _ in self.uses().get(id(leaf), ())), None
        )

    def has_cuts(self) -> bool:
        """Whether any value lost its gradient on its way."""
        return any(link.why for record in self.records.values() for link in record.links)

    def cut_edges(self) -> list[CutEdge]:
        """Every place where a value lost its gradient and came back into the graph."""
        uses, found = self.uses(), []
        for record in self.records.values():
            for link in record.links:
                purpose = record.on_purpose or record.kept
                if link.why and not purpose and isinstance(link.source, (Node, Tensor)):
                    found += [
                        CutEdge(link.source, target, index, link.why, record.site)
                        for target, index in self._arrivals(record.thing, link.operand, uses)
                    ]
        return found

    def _arrivals(self, thing: Thing, index: int, uses: Uses) -> Iterator[tuple[Node, int]]:
        """The nodes that a value without gradient reaches through others without gradient."""
        stack, seen = [(thing, index)], {id(thing)}
        while stack:
            thing, index = stack.pop()
            if isinstance(thing, Node):
                yield thing, index
                continue
            for user, link in uses.get(id(thing), ()):
                if id(user) not in seen:
                    seen.add(id(user))
                    stack.append((user, link.operand))


def walk(start: Thing, following: Callable[[Thing], Iterable[Thing]]) -> Iterator[Thing]:
    """``start`` and everything that follows from it, each once."""
    stack, seen = [start], {id(start)}
    while stack:
        thing = stack.pop()
        yield thing
        for other in following(thing):
            if id(other) not in seen:
                seen.add(id(other))
                stack.append(other)


def _why_no_gradient(op: Any, i: int, y: Tensor) -> str:
    if y._cut:
        return y._cut
    if not y.dtype.kind.endswith("floating"):
        return f"{op.name} returns {y.dtype.name}, which has no derivative"
    return f"{op.name} has no derivative for its operand {i + 1}"
