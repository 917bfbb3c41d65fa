"""The graph: Nodes, and the one backward pass over them.

A Node refers to its op, its parents and the raw arrays that its gradient needs, but never to the
Tensor that it made. Without that link back there are no reference cycles.
"""

import itertools
import operator
from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from heapq import heappop, heappush
from typing import Any, Protocol

import numpy as np

from tinyxp import backends
from tinyxp.backends import Array, Backend
from tinyxp.backends.common.context import bound, put_back
from tinyxp.core.foreign_errors import PASSED_ON, first_line, users_own
from tinyxp.core.tensor import Tensor, expect_like, is_complex, namespace, wrap
from tinyxp.errors import DTypeError, GradientError

# hot paths ask it directly, others by is_grad_enabled()
grad_enabled: ContextVar[bool] = ContextVar("tinyxp_grad_enabled", default=True)
births = itertools.count()
_birth = births.__next__


def is_grad_enabled() -> bool:
    """Whether operations record a graph here.

    >>> tx.is_grad_enabled()
    True
    """
    return grad_enabled.get()


class set_grad_enabled(bound):
    """Record a graph, or not: from this statement on, or inside a ``with`` block.

    It decorates functions too, and holds for the current thread or task. Raises DTypeError unless
    ``mode`` is True or False.

    >>> x = tx.asarray([1.0], requires_grad=True)
    >>> with tx.set_grad_enabled(False):
    ...     (x * 2).requires_grad
    False
    >>> tx.is_grad_enabled()
    True
    """

    def __init__(self, mode: bool) -> None:
        super().__init__(grad_enabled, _switch("set_grad_enabled", mode))
        self._at_once: Any = self._variable.set(self._value)

    def __enter__(self) -> Any:
        self._begin_anew()
        return super().__enter__()

    def __call__(self, f: Any) -> Any:
        self._begin_anew()
        return super().__call__(f)

    def _begin_anew(self) -> None:
        """Undo the effect of the call itself, because it opens a block or decorates a function."""
        if self._at_once is not None and put_back(self._variable, self._at_once):
            self._at_once = None


class no_grad(bound, bare=True):
    """Record nothing inside a ``with`` block or a function decorated with ``@no_grad``.

    >>> x = tx.asarray([1.0], requires_grad=True)
    >>> with tx.no_grad():
    ...     (x * 2).requires_grad
    False
    """

    def __init__(self) -> None:
        super().__init__(grad_enabled, False)


class enable_grad(bound, bare=True):
    """Record again inside a ``no_grad`` block, or in a function decorated with ``@enable_grad``.

    >>> x = tx.asarray([1.0], requires_grad=True)
    >>> with tx.no_grad(), tx.enable_grad():
    ...     (x * 2).requires_grad
    True
    """

    def __init__(self) -> None:
        super().__init__(grad_enabled, True)


class inference_mode(bound, bare=True):
    """PyTorch's name of ``no_grad`` for computing without training; ``False``: record again.

    Its results may be used in a graph later, as constants.

    >>> x = tx.asarray([1.0], requires_grad=True)
    >>> with tx.inference_mode():
    ...     (x * 2).requires_grad
    False
    """

    def __init__(self, mode: bool = True) -> None:
        super().__init__(grad_enabled, not _switch("inference_mode", mode))


def _switch(name: str, mode: Any) -> bool:
    if not isinstance(mode, (bool, np.bool_)):
        raise DTypeError(f"{name} expects True or False, got {type(mode).__name__}")
    return bool(mode)


class Op(Protocol):
    """The operation of a Node."""

    name: str

    def pull(self, node: "Node", g: Any, recording: bool) -> Sequence[Any]:
        """The gradients of ``node.parents`` from ``g``, the gradient of the result: Tensors if
        recording, raw arrays if not."""


class Node:
    """One recorded operation: its op, its parents' edges, and what its gradient needs.

    An edge is the Node that made an operand, the Tensor itself for a leaf that collects its
    gradient, or None where no gradient flows.
    """

    __slots__ = ("__weakref__", "born", "context", "op", "parents")

    def __init__(self, op: Op, parents: Sequence["Edge"], context: Any) -> None:
        self.op = op
        self.parents = parents
        self.context = context  # None once a backward pass has used it
        self.born = _birth()  # a node is younger than all its parents


Edge = Node | Tensor | None
_age = operator.attrgetter("born")


class _Identity:
    name = "identity"

    def pull(self, node: Node, g: Any, recording: bool) -> Sequence[Any]:
        return (g,)


class _Root:
    name = "root"

    def pull(self, node: Node, g: Any, recording: bool) -> Sequence[Any]:
        parts: Sequence[Any] = node.context
        return parts


_identity, _root = _Identity(), _Root()


def edge_of(x: Any) -> Edge:
    """Where the gradient of ``x`` goes."""
    if not isinstance(x, Tensor):
        return None
    return x._node if x._node is not None else (x if x._leaf else None)


def attach(array: Array, backend: Backend, edge: Edge) -> Tensor:
    """A Tensor of ``array`` whose gradient flows to ``edge``."""
    node = Node(_identity, (edge,), ()) if isinstance(edge, Tensor) else edge
    return wrap(array, backend, node)


def behind_identity(array: Array, backend: Backend, edge: Edge) -> Tensor:
    """As ``attach``, with a separate node at which an inner backward pass can stop."""
    return wrap(array, backend, None if edge is None else Node(_identity, (edge,), ()))


def fit(xp: Any, g: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """Sum a gradient over broadcast axes and cast it, to its operand's shape and dtype."""
    if g.shape != shape:
        extra = len(g.shape) - len(shape)
        stretched = (i + extra for i, n in enumerate(shape) if n != g.shape[i + extra])
        axes = (*range(extra), *stretched)
        g = xp.reshape(xp.sum(g, axis=axes), shape)
    if g.dtype == dtype:
        return g
    if is_complex(g) and not xp.isdtype(dtype, "complex floating"):
        g = xp.real(g)
    return xp.astype(g, dtype)


def at_border(g: Any) -> Any:
    """The gradient g, a Tensor or array, as it enters or leaves a backward pass: its conjugate.

    Inside a pass dL = Re Σ g·dy, so that a vjp is the textbook formula without conjugates. Users
    see the conjugate, which is PyTorch's ∂L/∂Re y + i ∂L/∂Im y.
    """
    if not is_complex(g):
        return g
    xp: Any = namespace() if isinstance(g, Tensor) else backends.of(g).xp  # type: ignore[union-attr]
    return xp.conj(g)


def graph_order(edges: Iterable[Edge], stop: Iterable[Edge] = ()) -> list[Node | Tensor]:
    """Every node and leaf below ``edges``, once each, and parents before their children."""
    leaves: list[Tensor] = []
    nodes: list[Node] = []
    ends = {*stop}
    seen: set[Edge] = {None}
    stack = list(edges)
    while stack:  # iterative: graphs are deeper than Python's stack
        edge = stack.pop()
        if edge in seen:
            continue
        seen.add(edge)
        if type(edge) is not Node:
            leaves.append(edge)  # type: ignore[arg-type]
            continue
        nodes.append(edge)
        if edge not in ends:
            stack += edge.parents
    nodes.sort(key=_age)
    return [*leaves, *nodes]


def _sum(a: Any, b: Any) -> Any:
    """The sum of two gradients; those of an op with several results are tuples with gaps."""
    if isinstance(a, tuple):
        return tuple(
            y if x is None else x if y is None else x + y for x, y in zip(a, b, strict=True)
        )
    return a + b


def propagate(
    outputs: Sequence[Tensor],
    gradients: Sequence[Tensor | None],
    targets: Sequence[Edge] | None = None,
    *,
    recording: bool = False,
    retain: bool | None = None,
    stop: bool = False,
) -> dict[Any, Any]:
    """The one backward pass: the gradient at every leaf, or at the ``targets`` alone.

    Visits each node once, in reverse topological order. The gradients are Tensors that can be
    differentiated again if ``recording``, and raw arrays if not. ``stop`` is for a pass inside a
    vjp: it ends at the targets and conjugates nothing (see ``at_border``).
    """
    retain = recording if retain is None else retain
    edges = [edge_of(y) for y in outputs]
    wanted: frozenset[Edge] = frozenset()
    useful: set[Edge] | None = None  # None: every node leads to a target
    if targets is not None:
        wanted = frozenset(targets)
        useful = {*wanted}
        for edge in graph_order(edges, wanted if stop else ()):
            if type(edge) is Node and not useful.isdisjoint(edge.parents):
                useful.add(edge)
    grads: dict[Any, Any] = {}  # by Edge
    owned: set[Edge] = (
        set()
    )  # sums made here, which nobody else holds, so that they may be added to in place

    with bound(grad_enabled, recording):
        seeds = [_seed(y, g) for y, g in zip(outputs, gradients, strict=True)]
        seeds = seeds if stop else [at_border(seed) for seed in seeds]
        seeds = seeds if recording else [seed.array for seed in seeds]
        root = Node(_root, edges, seeds)  # where the gradients start
        grads[root] = ()
        # the gradient of the youngest waiting node is complete: all nodes that used it are younger
        waiting = [(-root.born, root)]
        while waiting:
            node = heappop(waiting)[1]
            g = grads[node]
            if node in wanted:
                if stop:
                    continue
            else:
                del grads[node]
            if node.context is None:
                raise GradientError(
                    f"this graph was used up by an earlier backward pass (at {node.op.name}); "
                    "compute it again, or pass retain_graph=True the first time"
                )
            try:
                parts = _pull(node, g) if recording else node.op.pull(node, g, False)
            except PASSED_ON:
                raise
            except Exception as error:
                if users_own(getattr(node.op, "fn", None), error):
                    raise
                problem = f"the gradient of {node.op.name} failed: {first_line(error)}"
                raise GradientError(problem) from error
            if not retain:
                node.context = None  # free the saved arrays at once
            for parent, part in zip(node.parents, parts, strict=True):
                if part is None or parent is None or (useful is not None and parent not in useful):
                    continue
                if parent not in grads:
                    grads[parent] = part
                    if type(parent) is Node:
                        heappush(waiting, (-parent.born, parent))
                elif parent in owned:
                    grads[parent] += part
                else:
                    grads[parent] = _sum(grads[parent], part)
                    if not recording and type(part) is not tuple:
                        owned.add(parent)
        if not stop:
            for edge, g in grads.items():
                grads[edge] = at_border(g)
    return grads


def _pull(node: Node, g: Any) -> Sequence[Any]:
    """A recorded pull on the backend of ``g``, because a graph may cross backends."""
    if node.op is _root:
        return node.op.pull(node, g, True)
    one = next(part for part in g if part is not None) if isinstance(g, tuple) else g
    with backends.using(one.backend):
        return node.op.pull(node, g, True)


def expect_real_number(y: Tensor, instead: str) -> None:
    """Raise GradientError unless y is a single real number; ``instead`` is a way out."""
    if y.size != 1:
        raise GradientError(
            f"a gradient starts at a single number, got shape {y.shape}; reduce it with .sum() or "
            f".mean(), or {instead}"
        )
    if y.dtype.kind == "complex floating":
        raise GradientError(
            f"a gradient starts at a real number, got {y.dtype!r}; make it real with tx.abs or "
            f"tx.real, or {instead}"
        )


def _seed(output: Tensor, gradient: Tensor | None) -> Tensor:
    """The gradient that a backward pass starts with."""
    if not output.requires_grad:
        reason = output._cut or (
            "no operation on a tensor with requires_grad=True led to it, or it was made under "
            "no_grad() or cut by detach()"
        )
        raise GradientError(f"this tensor has no gradient: {reason}")
    if gradient is None:
        expect_real_number(output, "pass the gradient of its own")
        return wrap(output.backend.xp.ones_like(output.array), output.backend)
    expect_like("the gradient", gradient, output)
    return gradient


def backward(
    self: Tensor,
    gradient: Tensor | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
) -> None:
    """Add d(self)/d(leaf) to ``leaf.grad`` for every leaf that self was computed from.

    ``gradient`` (same shape as self) may be left out for a single element. With
    ``create_graph`` the gradients can be differentiated again. Raises GradientError when
    there is no graph, or when it was used up and ``retain_graph`` was not set.

    >>> x = tx.asarray(3.0, requires_grad=True)
    >>> (x**2).backward()
    >>> x.grad.item()
    6.0
    """
    grads = propagate([self], [gradient], recording=create_graph, retain=retain_graph)
    for leaf, g in grads.items():
        if isinstance(leaf, Tensor):
            if leaf.grad is not None:
                g = leaf.grad + g if create_graph else leaf.grad.array + g
            leaf.grad = g if create_graph else wrap(g, leaf.backend)


Tensor.backward = backward  # type: ignore[method-assign]
