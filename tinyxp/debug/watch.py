"""A watch over one forward pass: every value, what it came from, and where a gradient stops.

The tape knows the values that carry a gradient. A watch knows the others too: what came of
``detach()``, of ``no_grad``, of an operation without derivative, of NumPy. So it can say on which
line the way from a parameter to the loss loses its gradient.
"""

import itertools
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tinyxp.backends import Array
from tinyxp.backends.common.context import Block
from tinyxp.core.primitive import Projection
from tinyxp.core.tape import Node, edge_of, is_grad_enabled
from tinyxp.core.tensor import Tensor
from tinyxp.debug.observers import Observer, observing
from tinyxp.debug.sites import Site, site
from tinyxp.debug.traced import origins, with_origins

DETACH = "detach()"
DATA = ".data"
NO_GRAD = "no_grad()"
DETOUR = "a detour through raw arrays"

# what a value is known by: its edge (a Node, or the Tensor of a leaf), or its raw array
Thing = Any


@dataclass(frozen=True, eq=False)
class Link:
    """From a value to one that it was computed from: ``operand``, a number.

    ``why`` the gradient stops between them is empty if it does not; ``origin`` is the line where
    the value left tinyxp for a detour, or where ``no_grad`` began.
    """

    source: Thing
    operand: int
    why: str = ""
    origin: Site | None = None


@dataclass
class Record:
    """One value: the operation that gave it, where, and its links."""

    thing: Thing
    name: str
    site: Site
    links: list[Link]
    array: Array
    born: int
    on_purpose: bool = False  # a formula of the library stops the gradient here
    of_numbers: bool = False  # a tensor made of Python's numbers
    kept: bool = False  # written in place under no_grad: weights or a state, as a step changes them


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


Uses = dict[int, list[tuple[Thing, Link]]]  # by a value's id: what was computed from it

_latest: ContextVar["Watch | None"] = ContextVar("tinyxp_watch", default=None)


def latest() -> "Watch | None":
    """The watch that is on here, or else the last one; kept until the next."""
    return _latest.get()


def thing_of(x: Tensor) -> Thing:
    edge = edge_of(x)
    return x.array if edge is None else edge


@dataclass(eq=False, repr=False)
class Watch(Observer, Block):
    """Records what happens inside its ``with`` block: one forward pass, with its loss.

    It keeps every value of that pass alive until the next watch begins.
    """

    records: dict[int, Record] = field(default_factory=dict)  # by the id of the thing
    exits: list[Exit] = field(default_factory=list)
    outside: dict[int, Thing] = field(default_factory=dict)  # what left, kept alive for its id
    silences: list[Site] = field(default_factory=list)  # where the present no_grad blocks began
    _time: Iterator[int] = field(default_factory=itertools.count)

    def _open(self) -> Block:
        _latest.set(self)
        return observing(self)

    def __repr__(self) -> str:
        return f"Watch({len(self.records)} values, {len(self.cut_edges())} cuts)"

    # -- what it is told ------------------------------------------------------------------------

    def on_call(self, op: Any, args: tuple[Any, ...], static: dict[str, Any], y: Any) -> None:
        where = None
        for result in y if isinstance(y, (tuple, list)) else (y,):
            if not isinstance(result, Tensor) or id(thing_of(result)) in self.records:
                continue  # known from an operation inside, or the operand itself
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
        y.array = y.array[...]  # an array of its own, so that this line is known from others
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

    # -- what follows from it -------------------------------------------------------------------

    def links(self, thing: Thing) -> Iterator[Link]:
        """What a value was computed from."""
        record, known = self.record_of(thing), set()
        if record is not None and record.kept and isinstance(thing, Tensor):
            return  # a leaf begins anew with what is written to it
        for link in record.links if record else ():
            known.add(id(link.source))
            yield link
        if isinstance(thing, Node):  # nodes that no call made: of hooks, of checkpoints
            for i, parent in enumerate(thing.parents):
                if parent is not None and id(parent) not in known:
                    yield Link(parent, i)

    def record_of(self, thing: Thing) -> Record | None:
        """What is known of a value: of a leaf, how its array was made."""
        return self.records.get(id(thing.array if isinstance(thing, Tensor) else thing))

    def knows(self, loss: Tensor) -> bool:
        """Whether the loss was computed during this watch."""
        return self.record_of(thing_of(loss)) is not None

    def uses(self) -> Uses:
        """For every value, those computed from it; what is kept is of no use to the loss."""
        uses: Uses = {}
        for record in self.records.values():
            for link in () if record.kept else self.links(record.thing):
                uses.setdefault(id(link.source), []).append((record.thing, link))
        return uses

    def towards(self, loss: Tensor, kept: bool = True) -> Uses:
        """As ``uses``, of the values alone from which the loss was computed, by whatever way; or
        by ways alone that lead through nothing that is ``kept``."""
        uses: Uses = {id(loss.array): []}
        stack, seen = [thing_of(loss)], {id(thing_of(loss))}
        while stack:
            thing = stack.pop()
            record = self.record_of(thing)
            for link in self.links(thing) if kept or not (record and record.kept) else ():
                uses.setdefault(id(link.source), []).append((thing, link))
                if id(link.source) not in seen:
                    seen.add(id(link.source))
                    stack.append(link.source)
        return uses

    def first_seen(self, leaf: Tensor) -> Site | None:
        """The line that made a leaf during the watch, else the first that used it."""
        made = self.record_of(leaf)
        if made is not None:
            return made.site
        return next(
            (self.records[id(thing)].site for thing, _ in self.uses().get(id(leaf), ())), None
        )

    def has_cuts(self) -> bool:
        """Whether any value went on without its gradient."""
        return any(link.why for record in self.records.values() for link in record.links)

    def cut_edges(self) -> list[CutEdge]:
        """Every place where a value went on without its gradient and came back into the graph."""
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
        """The nodes that a value without gradient goes into, through others without."""
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


def _why_no_gradient(op: Any, i: int, y: Tensor) -> str:
    if y._cut:
        return y._cut
    if not y.dtype.kind.endswith("floating"):
        return f"{op.name} gives {y.dtype.name}, which has no derivative"
    return f"{op.name} has no derivative by its operand {i + 1}"
