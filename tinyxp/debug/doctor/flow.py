"""The flow of a gradient through the tape: its size at each node, and where it is lost."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinyxp import backends
from tinyxp.core.tape import Edge, Node, edge_of, graph_order, propagate
from tinyxp.core.tensor import Tensor
from tinyxp.debug.observers import Observer, observing


class Step(NamedTuple):
    """A node with the size of its gradient and of the gradients that it passed on."""

    node: Node
    came: float
    passed: list[float | None]


class Flow(Observer):
    """A measured backward pass from ``loss``; ``gradients`` holds that of every leaf.

    It does not change the graph or any ``grad``.
    """

    def __init__(self, loss: Tensor) -> None:
        self.steps: dict[int, Step] = {}  # by the id of the node, in the order of the pass
        self.users: dict[int, list[tuple[Node, int]]] = {}  # of a node or leaf
        for thing in graph_order([edge_of(loss)]):
            for i, parent in enumerate(thing.parents if isinstance(thing, Node) else ()):
                self.users.setdefault(id(parent), []).append((thing, i))  # type: ignore[arg-type]
        with observing(self):
            self.gradients = propagate([loss], [None], retain=True)

    def on_pull(self, op: Any, node: Node, g: Any, recording: bool, parts: Sequence[Any]) -> None:
        passed = [None if part is None else size(part) for part in parts]
        self.steps[id(node)] = Step(node, size(g), passed)

    def nonfinite_at(self) -> Node | None:
        """The first node that made a NaN or Inf from a finite gradient."""
        for step in self.steps.values():
            if math.isfinite(step.came) and not all(math.isfinite(x or 0.0) for x in step.passed):
                return step.node
        return None

    def lost_at(self, leaf: Tensor) -> Iterator[tuple[Node, int]]:
        """The nodes that pass on only zeros towards ``leaf``, and for which operand."""
        queue: list[Edge] = [leaf]
        seen: set[int] = set()
        while queue:
            thing = queue.pop(0)
            for node, i in self.users.get(id(thing), ()):
                step = self.steps.get(id(node))
                if step is not None and step.came > 0:
                    if step.passed[i] == 0:
                        yield node, i
                elif id(node) not in seen:
                    seen.add(id(node))
                    queue.append(node)

    def strongest_change(self, leaf: Tensor, sign: int) -> tuple[str, int, Node] | None:
        """The operation that shrinks (sign -1) the gradient most on its path to ``leaf``, or grows
        it most (+1, among those with weights): name, number, and node with the largest effect."""
        totals: dict[str, list[tuple[float, Node]]] = {}
        thing: Edge = leaf
        while True:
            users = [
                (step.passed[i] or 0.0, step)
                for node, i in self.users.get(id(thing), ())
                if (step := self.steps.get(id(node))) is not None
            ]
            if not users:
                through = [node for node, _ in self.users.get(id(thing), ())]
                if not through:
                    break
                thing = through[0]  # a node that only passes on
                continue
            passed, step = max(users, key=lambda user: user[0])
            takes_weights = any(isinstance(parent, Tensor) for parent in step.node.parents)
            if passed > 0 and step.came > 0 and (sign < 0 or takes_weights):
                change = sign * math.log(passed / step.came)
                totals.setdefault(step.node.op.name, []).append((change, step.node))
            thing = step.node
        if not totals:
            return None
        name = max(totals, key=lambda name: sum(change for change, _ in totals[name]))
        return name, len(totals[name]), max(totals[name], key=lambda pair: pair[0])[1]


def size(g: Any) -> float:
    """The largest absolute value in a gradient: NaN if it holds one, 0.0 if it is empty."""
    if isinstance(g, tuple):  # from an operation with several results
        return max((size(part) for part in g if part is not None), default=0.0)
    array = g.array if isinstance(g, Tensor) else g
    if 0 in array.shape:
        return 0.0
    xp: Any = backends.of(array).xp  # type: ignore[union-attr]
    return float(xp.max(xp.abs(array)))


def norm(array: Any) -> float:
    """The Euclidean norm of an array, also if the squares overflow or underflow."""
    xp: Any = backends.of(array).xp  # type: ignore[union-attr]
    with np.errstate(over="ignore", under="ignore"):
        total = float(xp.sum(xp.square(xp.abs(array))))
    if 1e-30 < total < 1e30:
        return math.sqrt(total)
    largest = size(array)
    if largest == 0.0 or not math.isfinite(largest):
        return largest
    return largest * math.sqrt(float(xp.sum(xp.square(xp.abs(array / largest)))))
