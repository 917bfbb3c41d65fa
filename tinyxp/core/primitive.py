"""Primitives: functions of arrays, each with its vector-Jacobian product (vjp) beside it.

Both are written against an Array API namespace ``xp``. Run on raw arrays, a vjp gives gradients;
run on Tensors with ``xp = tinyxp``, it gives gradients that can be differentiated again.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, Concatenate, NamedTuple

import numpy as np

from tinyxp import backends
from tinyxp.backends import Array, Backend
from tinyxp.core import dtypes
from tinyxp.core.autocast import autocast_call, casting
from tinyxp.core.foreign_errors import PASSED_ON, explain, users_own
from tinyxp.core.operation import Operation, P, in_float32, is_half, mixed
from tinyxp.core.shortcuts import shortcut
from tinyxp.core.tape import Edge, Node, attach, edge_of, fit, is_grad_enabled
from tinyxp.core.tensor import SCALARS, Tensor, namespace, raw, to_array, wrap
from tinyxp.core.views import Lens
from tinyxp.core.vjp import Vjp
from tinyxp.errors import DTypeError

Mask = tuple[bool, ...]  # for each operand, whether a gradient flows to it
SEVERAL = (tuple, list)  # the type of y for an operation with several results


class Primitive(Operation[P]):
    """An operation on arrays with its vjps; made by :func:`primitive`.

    ``floating``: integer operands become the default float dtype. ``real``: complex operands are
    refused. ``promote``: the first of the operands that are brought to one dtype (None: none are).
    ``no_gradient``: why there is no vjp. ``narrow``: 16-bit operands are not widened, because the
    result depends on the dtype. ``autocast``: the precision that the operation chooses under
    autocast, "lower" or "float32" (see ``autocast``). ``view``: the result is a view of the
    operand; ``@name.put``, a function ``(x, v, **static)`` of Tensors, returns x with ``v`` in the
    place of the view (see ``views``).
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        *,
        floating: bool = False,
        real: bool = False,
        promote: int | None = 0,
        no_gradient: str | None = None,
        narrow: bool = False,
        autocast: str | None = None,
        view: bool = False,
    ) -> None:
        super().__init__(fn, skip=1)
        self.floating = floating
        self.real = real
        self.promote = promote
        self.broadcasts = promote is not None and not self.variadic
        self.no_gradient = no_gradient
        self.narrow = narrow
        self.autocast = autocast
        self.vjps: dict[int, Vjp] = {}
        self.nodes: dict[Any, Callable[..., Node | None]] = {}  # by mask; see node_maker
        self.meetings: dict[tuple[Any, ...], Any] = {}  # dtypes of operands -> their common dtype
        self.view = view
        self.lens: Lens | None = None

    def call(self, args: tuple[Any, ...], static: dict[str, Any]) -> Any:
        if len(args) > self.most or (static and not static.keys() <= self.known):
            args, static = self.bind(args, static)
        if self.autocast is not None and casting() is not None:
            return autocast_call(self, args, static)
        backend, arrays, tracked = self.unwrap(args)
        if self.promote is not None and self._promote(arrays, backend):
            return self.wide(args, arrays, backend, static)
        if static.get("dtype") is not None:
            static["dtype"] = raw(static["dtype"], backend)
        try:
            y = self.fn(backend.xp, *arrays, **static)
        except Exception as error:
            ours = isinstance(error, PASSED_ON) or users_own(self.fn, error)
            if not ours and static.get("dtype") is None and any(map(is_half, args)):
                return self.wide(args, arrays, backend, static)  # the library has no such kernel
            y = NotImplemented if ours else backend.fallback(self.fn, arrays, static)
            if y is NotImplemented:
                explain(self, arrays, static, backend, error)
        if not (tracked and is_grad_enabled()):
            return _wrap_many(y, backend, None) if isinstance(y, SEVERAL) else wrap(y, backend)
        parents = [edge_of(x) for x in args]
        # dtypes of the operands before promotion, to which their gradients are cast back
        kinds = [
            x.array.dtype if isinstance(x, Tensor) else getattr(array, "dtype", None)
            for x, array in zip(args, arrays, strict=True)
        ]
        return self.record(y, backend, parents, arrays, static, kinds)

    def wide(
        self, args: Sequence[Any], arrays: list[Any], backend: Backend, static: dict[str, Any]
    ) -> Any:
        """The call in float32, for 16-bit operands."""
        operands = [
            x if isinstance(x, Tensor) or type(array) in SCALARS else wrap(array, backend)
            for x, array in zip(args, arrays, strict=True)
        ]
        return in_float32(self.call, operands, static)

    def unwrap(self, args: Sequence[Any]) -> tuple[Backend, list[Any], bool]:
        """The operands' backend, their raw arrays brought to one dtype, and whether any requires
        grad. Python numbers stay."""
        backend: Backend | None = None
        tracked = False
        arrays: list[Any] = []
        for x in args:
            if isinstance(x, Tensor):
                if backend is None:
                    backend = x.backend
                elif x.backend is not backend:
                    raise mixed(self.name, backend, x.backend)
                arrays.append(x.array)
                tracked = tracked or x._leaf or x._node is not None
            elif type(x) in SCALARS:
                arrays.append(x)
            elif isinstance(x, np.generic):
                arrays.append(x.item())  # as weak as a Python number
            elif (owner := backends.of(x)) is not None:
                # a NumPy array moves to the backend in use, but not beside a Tensor
                beside = any(isinstance(other, Tensor) for other in args)
                with backends.using(owner if beside else backends.current()):
                    array, owner = to_array(x)
                if backend is not None and owner is not backend:
                    raise mixed(self.name, backend, owner)
                backend = owner
                arrays.append(array)
            else:
                raise DTypeError(
                    f"{self.name} expects Tensors, got {type(x).__name__}; use tx.asarray"
                )
        if backend is None:
            got = ", ".join(type(x).__name__ for x in args) or "nothing"
            raise DTypeError(f"{self.name} expects at least one Tensor, got {got}; use tx.asarray")
        return backend, arrays, tracked

    def _promote(self, arrays: list[Any], backend: Backend) -> bool:
        """Cast ``arrays`` in place to their common dtype; True if ``wide`` should do it."""
        kinds = [getattr(x, "dtype", type(x)) for x in arrays]
        key = (backend, *kinds)
        meeting = self.meetings.get(key)
        if meeting is None:
            meeting = self.meetings[key] = self._meet(kinds, backend)
        wanted, casts, exact = meeting
        if wanted is None:
            return True
        if exact is not None:  # integers, to which a Python integer may be too large
            low, high = dtypes.SPANS[exact]
            for x in arrays[self.promote :]:
                if type(x) is int and not low <= x <= high:
                    raise dtypes.not_held(x, exact)
        for i in casts:
            arrays[i] = backend.xp.astype(arrays[i], wanted)
        return False

    def _meet(self, kinds: list[Any], backend: Backend) -> tuple[Any, tuple[int, ...], Any]:
        """The common dtype of operands of these dtypes and Python types, the operands to cast, and
        our dtype if Python integers must fit into it. None for a 16-bit dtype in which the backend
        computes by way of float32."""
        start, kinds = self.promote or 0, kinds[self.promote or 0 :]
        known = [
            kind() if kind in SCALARS else dtypes.BY_NAME[backend.dtype_names[kind]]
            for kind in kinds
        ]
        target = dtypes.result_type(*known)
        if self.real and target.kind == "complex floating":
            raise self.refuse_complex(target)
        if self.floating and not target.kind.endswith("floating"):
            target = dtypes.DEFAULT_FLOAT
        wanted = raw(target, backend)
        if target.name in backend.widened and not self.narrow:
            return None, (), None
        casts = tuple(
            i for i, kind in enumerate(kinds, start) if kind not in SCALARS and kind != wanted
        )
        return wanted, casts, target if int in kinds and target in dtypes.SPANS else None

    # -- gradients ----------------------------------------------------------------------------

    def record(
        self,
        y: Any,
        backend: Backend,
        parents: Sequence[Edge],
        arrays: Sequence[Any],
        static: dict[str, Any],
        kinds: Sequence[Any],
    ) -> Any:
        """The result y of a call as a Tensor, or several, with its node on the tape.

        ``kinds`` are the dtypes to which the gradients of the operands are cast.
        """
        mask: Any = tuple([parent is not None for parent in parents])
        several = isinstance(y, SEVERAL)
        make = self.nodes.get((mask, "several") if several else mask)
        make = make or self.node_maker(mask, several)
        node = make(y, backend, parents, arrays, static, kinds)
        if several:
            return _wrap_many(y, backend, node)
        tensor = wrap(y, backend, node)
        if not self.vjps:
            tensor._cut = f"{self.name} is not differentiable: {self.no_gradient}"
        return tensor

    def node_maker(self, mask: Mask, several: bool) -> Callable[..., Node | None]:
        """The function that makes the nodes of calls whose operands require grad as in ``mask``.

        A node keeps only the arrays that its vjps name. The function's source is written for the
        mask, because a loop over the operands would take as long as a small operation.
        """
        live = [wanted and (self.variadic or i in self.vjps) for i, wanted in enumerate(mask)]
        if True not in live:
            return lambda *_: None
        places = range(len(mask))
        rules = [self.vjps[0 if self.variadic else i] for i in places if live[i]]
        sources = {source for rule in rules for source in rule.sources}
        parents = "".join(f"parents[{i}], " if live[i] else "None, " for i in places)
        inputs = "".join(
            f"arrays[{i}], " if f"inputs[{i}]" in sources else "None, " for i in places
        )
        shapes = "".join(
            f"arrays[{i}].shape, "
            if live[i]
            else f"() if kinds[{i}] is None else arrays[{i}].shape, "
            for i in places
        )
        known = "y" if "y" in sources else "specs(y)" if several else "None"
        line = (
            "lambda y, backend, parents, arrays, static, kinds: "
            f"Node(op, ({parents}), (({inputs}), {known}, static, ({shapes}), kinds, backend))"
        )
        specs = lambda y: [Spec(part.shape, part.dtype) for part in y]  # noqa: E731
        make = eval(line, {"op": self, "Node": Node, "specs": specs})
        self.nodes[(mask, "several") if several else mask] = make
        return make

    def pull(self, node: Node, g: Any, recording: bool) -> Sequence[Any]:
        inputs, y, static, shapes, kinds, backend = node.context
        xp: Any = backend.xp
        if isinstance(g, tuple):
            g = _without_gaps(g, y, backend, recording)
        if recording:
            xp = namespace()
            inputs = [
                x if x is None or type(x) in SCALARS else _operand(x, backend, parent, kind)
                for x, parent, kind in zip(inputs, node.parents, kinds, strict=True)
            ]
            y = _results(y, backend, node)
            kinds = [
                None if kind is None else dtypes.BY_NAME[backend.dtype_names[kind]]
                for kind in kinds
            ]
        vjps = self.vjps
        several = vjps[0].rule(xp, g, inputs, y, shapes, static) if self.variadic else None
        parts: list[Any] = []
        for i, parent in enumerate(node.parents):
            part = None
            if parent is not None:
                if several is None:
                    part = vjps[i].rule(xp, g, inputs, y, shapes, static)
                else:
                    part = several[i]
                if part.dtype is not kinds[i] or part.shape != shapes[i]:
                    part = fit(xp, part, shapes[i], kinds[i])
            parts.append(part)
        return parts


def _operand(x: Array, backend: Backend, parent: Edge, kind: Any) -> Tensor:
    """The Tensor of a saved operand, behind its cast if it was brought to another dtype."""
    if parent is None or x.dtype == kind:
        return attach(x, backend, parent)
    part = backend.xp.real(x) if kind in backend.floating and x.dtype not in backend.floating else x
    own = attach(backend.xp.astype(part, kind), backend, parent)
    cast: Tensor = namespace().astype(own, dtypes.BY_NAME[backend.dtype_names[x.dtype]])
    return cast


class Spec(NamedTuple):
    """The shape and dtype of an output that no vjp names: its gradient may be zeros."""

    shape: tuple[int, ...]
    dtype: Any


def _results(y: Any, backend: Backend, node: Node) -> Any:
    """The Tensors of what a node has kept of its results."""
    if y is None:
        return None
    if not isinstance(y, (tuple, list)):
        return attach(y, backend, node)
    return y if isinstance(y[0], Spec) else _wrap_many(y, backend, node)


class Projection:
    """Output ``i`` of an operation with ``n`` outputs."""

    def __init__(self, name: str, i: int, n: int) -> None:
        self.name, self.i, self.n = name, i, n

    def pull(self, node: Node, g: Any, recording: bool) -> Sequence[Any]:
        return (tuple(g if k == self.i else None for k in range(self.n)),)


def _wrap_many(parts: Sequence[Array], backend: Backend, node: Node | None) -> tuple[Tensor, ...]:
    if node is None:
        return tuple(wrap(part, backend) for part in parts)
    n, name = len(parts), node.op.name
    return tuple(
        wrap(part, backend, Node(Projection(name, i, n), (node,), ()))
        for i, part in enumerate(parts)
    )


def _without_gaps(g: tuple[Any, ...], specs: Any, backend: Backend, recording: bool) -> list[Any]:
    """The gradients of all outputs: zeros for those that nobody used."""
    like = next(part for part in g if part is not None)
    device = like.array.device if recording else like.device
    filled = []
    for part, spec in zip(g, specs, strict=True):
        if part is None:
            zeros = backend.xp.zeros(tuple(spec.shape), dtype=spec.dtype, device=device)
            part = wrap(zeros, backend) if recording else zeros
        filled.append(part)
    return filled


def primitive(fn: Callable[Concatenate[Any, P], Any] | None = None, **options: Any) -> Any:
    """Declare a primitive: ``fn(xp, *operands, **static)`` on raw arrays.

    The options are those of :class:`Primitive`. The vjps follow: ``name.vjp(rule)`` for the first
    operand (for all, of a variadic primitive) or ``name.vjp(i, ...)(rule)`` for operand i, or for
    several that share the rule; ``@name.vjp`` is the same above a longer one. A rule is a function
    ``(xp, g, ...)`` whose further parameters name what it needs (see ``vjp``). Nothing else is kept
    alive.
    """
    if fn is None:
        return functools.partial(primitive, **options)
    op: Primitive[P] = Primitive(fn, **options)

    def vjp(*which: Any) -> Any:
        if callable(which[0]):
            return vjp(0)(which[0])

        def declare(rule: Any) -> Any:
            op.vjps.update((i, Vjp(rule, op, i)) for i in which)
            return rule

        return declare

    call = op.public(skip=1)
    if op.view:
        op.lens = Lens(lambda x, key: call(x, **key), lambda a, key: op.fn(np, a, **key))
        call.put = op.lens.putting
    short = shortcut(op)
    if short is not None:
        call = functools.update_wrapper(short, call)

    def on(xp: Any, *operands: Any, **static: Any) -> Any:
        return call(*operands, **static) if xp is namespace() else fn(xp, *operands, **static)

    call.vjp, call.on = vjp, on  # on: for a vjp that calls a primitive which no library has
    return call
