"""Activation recomputation: a function runs again in the backward pass, so that no arrays that it
saved need to be kept."""

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
from tinyxp.random import States, default_generator, rewind_generators, watch_generators


class _Call:
    """A call of ``f`` that can be repeated: its arguments, its context and its random draws."""

    def __init__(self, f: Callable[..., Any], args: Any, kwargs: Any) -> None:
        self.f = f
        self.args = tree_map(lambda x: _Value(x) if isinstance(x, Tensor) else x, (args, kwargs))
        self.backend = backends.current()
        self.default = default_generator()
        self.casting = casting()
        self.drawn: States = {}

    def first(self) -> tuple[Any, list[Tensor], list[Edge]]:
        """Run f and note which generators it draws from."""
        with watch_generators() as self.drawn:
            return self._run()

    def again(self) -> tuple[Any, list[Tensor], list[Edge]]:
        """Run f once more, with the same random numbers, and record it."""
        with (
            backends.using(self.backend),
            rewind_generators(self.drawn, self.default),
            enable_grad(),
        ):
            return self._run()

    def _run(self) -> tuple[Any, list[Tensor], list[Edge]]:
        """The result of f, the tensors in it that require grad, and the edges that lead into f."""
        start = next(births)
        args, kwargs = tree_map(lambda x: x.fresh() if isinstance(x, _Value) else x, self.args)
        with within(self.casting and self.casting.afresh()):
            result = self.f(*args, **kwargs)
        results = [y for _, y in leaves(result) if isinstance(y, Tensor) and y.requires_grad]
        return result, results, _entrances(map(edge_of, results), start)


class _Value:
    """The value of a Tensor argument. ``x += y`` rebinds x, so each run of f gets new Tensors."""

    def __init__(self, x: Tensor) -> None:
        self.array, self.backend, edge = x.array, x.backend, edge_of(x)
        self.node = None if edge is None else behind_identity(x.array, x.backend, edge)._node

    def fresh(self) -> Tensor:
        return wrap(self.array, self.backend, self.node)


def _entrances(edges: Iterable[Edge], start: int) -> list[Edge]:
    """The leaves and older nodes at which gradients leave the graph recorded since ``start``."""
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


class _Recompute:
    """The operation of the node that stands for f."""

    name = "recompute"

    def pull(self, node: Node, g: Any, recording: bool) -> Sequence[Any]:
        """Run f again and propagate through the graph that this records."""
        call, specs, values = node.context
        for edge, value in zip(node.parents, values, strict=True):
            if isinstance(edge, Tensor) and edge.array is not value:
                raise GradientError(
                    f"a tensor of shape {edge.shape} that the recomputed function uses has changed "
                    "since; call backward() before an optimizer's step"
                )
        _, results, entrances = call.again()
        if {*entrances} != {*node.parents} or [_spec(y) for y in results] != specs:
            raise GradientError(
                "the recomputed function behaved differently in its second run; it must depend on "
                "its arguments alone, create no leaves and keep no tensors between its calls"
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


_recompute = _Recompute()


def _spec(y: Tensor) -> tuple[Backend, tuple[int, ...], Any]:
    return y.backend, y.shape, y.dtype


def recompute(f: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Compute ``f(*args, **kwargs)`` and keep only the arguments; the backward pass runs f again.

    This trades time for memory. ``f`` may be a Module; arguments and results may be tuples, lists
    and dicts of Tensors. Gradients reach the arguments and everything that f closes over.
    Generators give f the same random numbers in both runs. The backward pass raises GradientError
    if the second run behaves differently.
    Source: Chen et al. 2016, "Training deep nets with sublinear memory cost".

    >>> x = tx.asarray([1.0, 2.0], requires_grad=True)
    >>> tx.recompute(lambda x: tx.exp(tx.sin(x)), x).sum().backward()
    >>> x.grad
    tensor([ 1.2533808, -1.0331168])
    """
    expect_callable("recompute", f)
    if not is_grad_enabled():
        return f(*args, **kwargs)
    call = _Call(f, args, kwargs)
    result, results, entrances = call.first()
    values: list[Array | None] = [
        edge.array if isinstance(edge, Tensor) else None for edge in entrances
    ]
    specs = [_spec(y) for y in results]
    node = Node(_recompute, entrances, (call, specs, values))
    count = itertools.count()

    def outside(y: Any) -> Any:
        if not isinstance(y, Tensor) or not y.requires_grad:
            return y
        projection = Projection("recompute", next(count), len(specs))
        return wrap(y.array, y.backend, Node(projection, (node,), ()))

    return tree_map(outside, result)
