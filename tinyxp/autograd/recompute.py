"""Checkpoints in a graph: what lies between is computed again in the backward pass, not kept."""

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tinyxp import backends
from tinyxp.backends import Array, Backend
from tinyxp.core.autocast import casting, within
from tinyxp.core.operation import expect_callable
from tinyxp.core.primitive import Projection
from tinyxp.core.tape import (
    Edge,
    Node,
    behind_identity,
    births,
    edge_of,
    enable_grad,
    is_grad_enabled,
    propagate,
)
from tinyxp.core.tensor import Tensor, wrap
from tinyxp.core.tree import leaves, tree_map
from tinyxp.errors import GradientError
from tinyxp.random import States, default_generator, rewound, watched


class _Call:
    """A call of ``f`` that can be done again: its arguments, and where chance stood."""

    def __init__(self, f: Callable[..., Any], args: Any, kwargs: Any) -> None:
        self.f = f
        self.args = tree_map(lambda x: _Value(x) if isinstance(x, Tensor) else x, (args, kwargs))
        self.backend = backends.current()
        self.default = default_generator()
        self.casting = casting()
        self.drawn: States = {}

    def first(self) -> tuple[Any, list[Tensor], list[Edge]]:
        """What f returns."""
        with watched() as self.drawn:
            return self._run()

    def again(self) -> tuple[Any, list[Tensor], list[Edge]]:
        """The same, recorded."""
        with backends.using(self.backend), rewound(self.drawn, self.default), enable_grad():
            return self._run()

    def _run(self) -> tuple[Any, list[Tensor], list[Edge]]:
        """What f returns, its results that require grad, and the edges that led into f."""
        start = next(births)
        args, kwargs = tree_map(lambda x: x.fresh() if isinstance(x, _Value) else x, self.args)
        with within(self.casting and self.casting.afresh()):
            result = self.f(*args, **kwargs)
        results = [y for _, y in leaves(result) if isinstance(y, Tensor) and y.requires_grad]
        return result, results, _entrances(map(edge_of, results), start)


class _Value:
    """An argument as it was: a Tensor is mutable by rebinding (``x += y``), so f gets new ones."""

    def __init__(self, x: Tensor) -> None:
        self.array, self.backend, edge = x.array, x.backend, edge_of(x)
        self.node = None if edge is None else behind_identity(x.array, x.backend, edge)._node

    def fresh(self) -> Tensor:
        return wrap(self.array, self.backend, self.node)


def _entrances(edges: Iterable[Edge], start: int) -> list[Edge]:
    """Where gradients leave what was recorded since ``start``: at leaves and at older nodes."""
    found: list[Edge] = []
    seen: set[Edge] = {None}
    stack = list(edges)
    while stack:
        edge = stack.pop()
        if edge in seen:
            continue
        seen.add(edge)
        if isinstance(edge, Node) and edge.born > start:
            stack.extend(edge.parents)
        else:
            found.append(edge)
    return found


class _Checkpoint:
    """The operation of a checkpoint's node."""

    name = "checkpoint"

    def pull(self, node: Node, g: Any, recording: bool) -> Sequence[Any]:
        """Run f again, and go back through what that recorded."""
        call, specs, values = node.context
        for edge, value in zip(node.parents, values, strict=True):
            if isinstance(edge, Tensor) and edge.array is not value:
                raise GradientError(
                    f"a tensor of shape {edge.shape} that the checkpointed function uses has "
                    "changed since; call backward() before an optimizer's step"
                )
        _, results, entrances = call.again()
        if {*entrances} != {*node.parents} or [_spec(y) for y in results] != specs:
            raise GradientError(
                "the checkpointed function did something else when it was run again; it must "
                "depend on its arguments alone, and neither make leaves nor keep tensors between "
                "its calls"
            )
        wanted = [(y, part) for y, part in zip(results, g, strict=True) if part is not None]
        grads = propagate(
            [y for y, _ in wanted],
            [part if recording else wrap(part, y.backend) for y, part in wanted],
            node.parents,
            recording=recording,
            stop=True,
        )
        return [grads.get(edge) for edge in node.parents]


_checkpoint = _Checkpoint()


def _spec(y: Tensor) -> tuple[Backend, tuple[int, ...], Any]:
    return y.backend, y.shape, y.dtype


def checkpoint(f: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """``f(*args, **kwargs)``, of which nothing is kept for the backward pass but the arguments:
    there f is run again. Memory for time.

    ``f`` may be a Module; arguments and results may be tuples, lists and dicts of Tensors. The
    gradients reach the arguments and all that f closes over. Generators give f the same numbers
    both times. Raises GradientError, in the backward pass, if f then does something else.
    Source: Chen et al. 2016, "Training deep nets with sublinear memory cost".

    >>> x = tx.asarray([1.0, 2.0], requires_grad=True)
    >>> tx.checkpoint(lambda x: tx.exp(tx.sin(x)), x).sum().backward()
    >>> x.grad
    tensor([ 1.2533808, -1.0331168])
    """
    expect_callable("checkpoint", f)
    if not is_grad_enabled():
        return f(*args, **kwargs)
    call = _Call(f, args, kwargs)
    result, results, entrances = call.first()
    values: list[Array | None] = [
        edge.array if isinstance(edge, Tensor) else None for edge in entrances
    ]
    specs = [_spec(y) for y in results]
    node = Node(_checkpoint, entrances, (call, specs, values))
    count = itertools.count()

    def outside(y: Any) -> Any:
        if not isinstance(y, Tensor) or not y.requires_grad:
            return y
        projection = Projection("checkpoint", next(count), len(specs))
        return wrap(y.array, y.backend, Node(projection, (node,), ()))

    return tree_map(outside, result)
