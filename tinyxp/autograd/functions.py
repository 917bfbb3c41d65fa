"""Transforms of functions: gradients, products with Jacobians, Hessians.

All use the one backward pass. Arguments and results may be trees: nested tuples, lists and dicts of
Tensors. Every transform nests in every other, to any order. Tensors that a function closes over are
constants for the transform; gradients of the result still reach them.

For complex numbers a gradient is PyTorch's ∂L/∂Re z + i ∂L/∂Im z, ``vjp`` is the adjoint of ``jvp``
in the inner product Re Σ conj(a)·b, and ``jvp`` is the derivative along the tangent.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

from tinyxp.core.operation import expect_callable
from tinyxp.core.tape import (
    Node,
    behind_identity,
    edge_of,
    enable_grad,
    expect_real_number,
    graph_order,
    is_grad_enabled,
    propagate,
)
from tinyxp.core.tensor import Tensor, expect_like, namespace, wrap
from tinyxp.core.tree import fill, leaves, matching, tree_map
from tinyxp.errors import ArgumentError, DTypeError, GradientError

Argnums = int | Sequence[int]


class _Run:
    """One recorded call of ``f``, in which the differentiated arguments start a new graph."""

    def __init__(
        self,
        f: Callable[..., Any],
        args: Sequence[Any],
        kwargs: dict[str, Any],
        wanted: Sequence[int],
        has_aux: bool,
    ) -> None:
        expect_callable("a transform", f)
        self.recording = is_grad_enabled()
        self.inputs: list[Tensor] = []  # as the caller gave them
        self.nodes: list[Node] = []  # where their gradients arrive
        self.hidden: list[Node] = []  # of inputs that the caller does not differentiate
        inner = list(args)
        for i in wanted:
            if not -len(args) <= i < len(args):
                raise ArgumentError(
                    f"there is no argument {i} to differentiate: f was called with "
                    f"{len(args)} positional arguments"
                )
            started = [self._start(x, f"argument {i}{at}") for at, x in leaves(args[i])]
            inner[i] = fill(args[i], started)
        with enable_grad():
            result = f(*inner, **kwargs)
        self.aux: Any = None
        if has_aux:
            if not (isinstance(result, tuple) and len(result) == 2):
                raise ArgumentError(
                    f"with has_aux, f must return a pair (output, aux), got {type(result).__name__}"
                )
            result, self.aux = result
        self.output = result
        self.outputs = [self._checked(y, at) for at, y in leaves(result)]
        self.outside = self.recording and any(self._known_outside(y) for y in self.outputs)
        for node in self.hidden:
            node.parents = (None,)  # a later pass must not reach a leaf that nobody holds

    def _start(self, x: Any, where: str) -> Tensor:
        if not isinstance(x, Tensor):
            raise ArgumentError(f"{where} must be a Tensor, got {type(x).__name__}")
        tracked = self.recording and x.requires_grad
        edge = edge_of(x) if tracked else x.detach().requires_grad_()
        inner = behind_identity(x.array, x.backend, edge)
        self.inputs.append(wrap(x.array, x.backend))
        self.nodes.append(inner._node)
        if not tracked:
            self.hidden.append(inner._node)
        return inner

    def _checked(self, y: Any, where: str) -> Tensor:
        if not isinstance(y, Tensor):
            raise ArgumentError(
                f"f{where} must return a Tensor, got {type(y).__name__}; return other values "
                "by has_aux=True"
            )
        if y._cut and not y.requires_grad:
            raise GradientError(f"the result of f{where} has no gradient: {y._cut}")
        return y

    def _known_outside(self, y: Tensor) -> bool:
        """Whether ``y`` depends on a leaf outside, of a model or an outer transform."""
        given = {*self.nodes} - {*self.hidden}
        reached = graph_order([edge_of(y)], self.nodes)
        return any(isinstance(edge, Tensor) or edge in given for edge in reached)

    def pull(self, seeds: dict[int, Tensor | None], last: bool) -> list[Tensor]:
        """The gradients of Σ outputs[k] · seeds[k] at the inputs; zeros where there is no path.

        ``last``: the graph is not needed again.
        """
        recording = is_grad_enabled() and (
            self.outside or any(g is not None and g.requires_grad for g in seeds.values())
        )
        alive = [k for k in seeds if self.outputs[k].requires_grad]
        grads = propagate(
            [self.outputs[k] for k in alive],
            [seeds[k] for k in alive],
            self.nodes,
            recording=recording,
            retain=recording or not last,
        )
        result = []
        for node, x in zip(self.nodes, self.inputs, strict=True):
            g = grads.get(node)
            if g is None:
                g = x.backend.xp.zeros_like(x.array)
            result.append(detach_if_constant(g) if isinstance(g, Tensor) else wrap(g, x.backend))
        return result

    def results(self, tree: Any) -> Any:
        """A tree of results without graphs that lead nowhere."""
        return tree_map(
            lambda x: detach_if_constant(x, self.outside) if isinstance(x, Tensor) else x, tree
        )


def detach_if_constant(x: Tensor, outside: bool = True) -> Tensor:
    """``x``, detached if no gradient from it could reach a leaf."""
    if not x.requires_grad:
        return x
    alive = outside and any(isinstance(edge, Tensor) for edge in graph_order([edge_of(x)]))
    return x if alive else x.detach()


def _positions(argnums: Argnums) -> tuple[int, ...]:
    found = argnums if isinstance(argnums, (tuple, list)) else (argnums,)
    if wrong := [i for i in found if not isinstance(i, int)]:
        raise ArgumentError(f"argnums expects numbers of arguments, got {wrong[0]!r}")
    return tuple(found)


def _tensors(values: Sequence[Any], like: Sequence[Tensor], what: str) -> list[Tensor]:
    """Tangents or cotangents, checked against their tensors."""
    for value, x in zip(values, like, strict=True):
        expect_like(f"a {what}", value, x)
    return list(values)


def value_and_grad(
    f: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False
) -> Callable[..., tuple[Any, Any]]:
    """The function that computes ``(f(...), gradient)``: the value, then the result of ``grad``.

    With ``has_aux``, ``((value, aux), gradient)`` for an f that returns ``(value, aux)``.

    >>> value, slope = tx.value_and_grad(lambda x: x**3)(tx.asarray(2.0))
    >>> value.item(), slope.item()
    (8.0, 12.0)
    """
    wanted = _positions(argnums)

    @functools.wraps(f, updated=())
    def both(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        run = _Run(f, args, kwargs, wanted, has_aux)
        y = run.output
        if not isinstance(y, Tensor):
            raise ArgumentError(f"f must return one Tensor, got {type(y).__name__}")
        expect_real_number(y, "see tx.vjp and tx.jacobian")
        gradient = _like_arguments(args, argnums, run.pull({0: None}, last=True))
        value, aux = run.results((y, run.aux))
        return ((value, aux) if has_aux else value), gradient

    return both


def _like_arguments(args: Sequence[Any], argnums: Argnums, values: list[Any]) -> Any:
    """``values`` in the structure of an argument, or of several as a tuple."""
    if isinstance(argnums, int):
        return fill(args[argnums], values)
    return fill(tuple(args[i] for i in argnums), values)


def grad(f: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """The function that computes the gradient of ``f`` (of one real number) at its arguments.

    ``argnums`` names the arguments: a number gives a gradient with the structure of that argument,
    several a tuple. The gradient is zero where ``f`` does not depend on the argument. Nests to any
    order. With ``has_aux``, ``(gradient, aux)`` for an f that returns ``(value, aux)``. Raises
    ArgumentError for an argument that is no Tensor, DTypeError for integers, GradientError for more
    than one number.

    >>> slope = tx.grad(lambda x: x**3)
    >>> slope(tx.asarray(2.0)).item(), tx.grad(slope)(tx.asarray(2.0)).item()
    (12.0, 12.0)
    """
    both = value_and_grad(f, argnums, has_aux)

    @functools.wraps(f, updated=())
    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, found = both(*args, **kwargs)
        return (found, value[1]) if has_aux else found

    return gradient


def vjp(f: Callable[..., Any], *primals: Any, has_aux: bool = False) -> tuple[Any, ...]:
    """``(output, vjp_fn)``: vjp_fn takes cotangents v like the output and gives Jᵀv (Jᴴv for
    complex numbers) for each primal, as a tuple.

    vjp_fn may be called several times, and differentiated. With ``has_aux``,
    ``(output, vjp_fn, aux)``. Raises ArgumentError, ShapeError or DTypeError for cotangents that do
    not fit the output.

    >>> y, pull = tx.vjp(lambda x: x * x, tx.asarray([1.0, 2.0]))
    >>> pull(tx.asarray([1.0, 10.0]))
    (tensor([ 2., 40.]),)
    """
    run = _Run(f, primals, {}, range(len(primals)), has_aux)
    _floating(run)

    def vjp_fn(cotangents: Any) -> tuple[Any, ...]:
        given = matching(run.output, cotangents, "cotangents")
        found = run.pull(dict(enumerate(_tensors(given, run.outputs, "cotangent"))), last=False)
        filled: tuple[Any, ...] = fill(primals, found)
        return filled

    output = run.results(run.output)
    return (output, vjp_fn, run.results(run.aux)) if has_aux else (output, vjp_fn)


def _floating(run: _Run) -> None:
    for y in run.outputs:
        if not y.dtype.kind.endswith("floating"):
            raise DTypeError(
                f"f must return floating tensors, got {y.dtype!r}; return other values "
                "by has_aux=True"
            )


def jvp(
    f: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any], has_aux: bool = False
) -> tuple[Any, ...]:
    """``(output, J t)``: f and its derivative along ``tangents``, which look like ``primals``.

    The vjp is linear in its cotangent u, so J t is the vjp of u ↦ Jᵀu: two backward passes, and no
    further rules. With ``has_aux``, ``(output, J t, aux)``.
    Source: J. Townsend, "A new trick for calculating Jacobian vector products", 2017.

    >>> tx.jvp(tx.square, (tx.asarray(3.0),), (tx.asarray(1.0),))
    (tensor(9.), tensor(6.))
    """
    if not isinstance(primals, tuple | list):
        raise ArgumentError(
            f"primals must be a tuple of f's arguments, (x,), got {type(primals).__name__}"
        )
    tangents = tuple(tangents) if isinstance(tangents, list) else tangents
    given = matching(tuple(primals), tangents, "tangents")
    run = _Run(f, primals, {}, range(len(primals)), has_aux)
    _floating(run)
    given = _tensors(given, run.inputs, "tangent")
    zeros = [wrap(y.backend.xp.zeros_like(y.array), y.backend) for y in run.outputs]
    adjoint = _Run(lambda u: run.pull(dict(enumerate(u)), last=True), (zeros,), {}, (0,), False)
    pushed = adjoint.pull(dict(enumerate(given)), last=True)
    output, aux = run.results((run.output, run.aux))
    tangent = fill(run.output, pushed)
    return (output, tangent, aux) if has_aux else (output, tangent)


def jacobian(f: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """The function that computes ∂f/∂x, of shape ``y.shape + x.shape``: one pull for each number
    of y.

    Trees: the structure of the output, in each of its leaves that of the argument (several
    ``argnums``: a tuple). Raises DTypeError for complex numbers, whose Jacobian exists for
    holomorphic functions only: take tx.real and tx.imag of them, or ``jvp`` and ``vjp``.

    >>> tx.jacobian(tx.square)(tx.asarray([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    wanted = _positions(argnums)

    @functools.wraps(f, updated=())
    def matrix(*args: Any, **kwargs: Any) -> Any:
        run = _Run(f, args, kwargs, wanted, False)
        _floating(run)
        for x in (*run.inputs, *run.outputs):
            if x.dtype.kind == "complex floating":
                raise DTypeError(
                    f"a Jacobian is for real numbers, got {x.dtype!r}; take tx.real and tx.imag "
                    "of it, or tx.jvp and tx.vjp"
                )
        result = []
        for k in range(len(run.outputs)):
            result.append(_like_arguments(args, argnums, _rows(run, k)))
        return fill(run.output, result)

    return matrix


def _rows(run: _Run, k: int) -> list[Tensor]:
    """For each input, the Jacobian of output k."""
    y, xp = run.outputs[k], namespace()
    rows: list[list[Tensor]] = []
    flat = y.backend.xp.eye(y.size, dtype=y.array.dtype, device=y.array.device)
    for row in range(y.size):
        one = wrap(y.backend.xp.reshape(flat[row, ...], y.shape), y.backend)
        rows.append(run.pull({k: one}, last=False))
    blocks = []
    for i, x in enumerate(run.inputs):
        if rows:
            block = xp.stack([row[i] for row in rows])
        else:
            block = wrap(x.backend.xp.zeros_like(x.array), x.backend)
            block = xp.stack([block])[:0, ...]
        blocks.append(xp.reshape(block, y.shape + x.shape))
    return blocks


def hessian(f: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """The function that computes ∂²f/∂x², of shape ``y.shape + x.shape + x.shape``.

    It is ``jacobian(jacobian(f))``, with the same trees; raises DTypeError for complex numbers.

    >>> tx.hessian(lambda x: x[0] ** 2 * x[1])(tx.asarray([1.0, 2.0]))
    tensor([[4., 2.],
            [2., 0.]])
    """
    return jacobian(jacobian(f, argnums), argnums)


def hvp(f: Callable[..., Any], primals: Any, tangents: Any) -> tuple[Tensor, Any]:
    """``(f(*primals), H t)``: the Hessian of f (of one real number) times ``tangents``.

    ``primals`` is one argument or a tuple of them; ``tangents`` and the product look like it. Two
    backward passes: H is symmetric, so H t = Hᵀt.

    >>> tx.hvp(lambda x: (x**3).sum(), tx.asarray([1.0, 2.0]), tx.asarray([1.0, 1.0]))
    (tensor(9.), tensor([ 6., 12.]))
    """
    args = primals if isinstance(primals, tuple) else (primals,)
    given = tangents if isinstance(primals, tuple) else (tangents,)

    def slope(*args: Any) -> tuple[Any, Any]:
        value, gradient = value_and_grad(f, tuple(range(len(args))))(*args)
        return gradient, value

    _, pull, value = vjp(slope, *args, has_aux=True)
    product = pull(given)
    return value, product if isinstance(primals, tuple) else product[0]
