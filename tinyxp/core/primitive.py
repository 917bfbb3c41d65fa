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
from tinyxp.core.operation import (
    PASSED_ON,
    Operation,
    P,
    explain,
    half,
    in_float32,
    mixed,
    users_own,
)
from tinyxp.core.shortcuts import lane
from tinyxp.core.tape import Edge, Node, attach, edge_of, fit, is_grad_enabled
from tinyxp.core.tensor import SCALARS, Tensor, namespace, raw, to_array, wrap
from tinyxp.core.views import Lens
from tinyxp.core.vjp import Vjp
from tinyxp.errors import DTypeError

Plan = tuple[tuple[bool, ...], tuple[bool, ...], bool]  # live operands, kept operands, keep y
SEVERAL = (tuple, list)  # types of the results of an operation that has several


class Primitive(Operation[P]):
    """An operation on arrays with its vjps; made by :func:`primitive`."""

    def __init__(
        self,
        fn: Callable[..., Any],
        floating: bool,
        real: bool,
        promote: int | None,
        why: str | None,
        narrow: bool,
        autocast: str | None,
    ) -> None:
        super().__init__(fn, skip=1)
        self.floating = floating
        self.real = real
        self.promote = promote
        self.broadcasts = promote is not None and not self.variadic
        self.why = why  # it is not differentiable
        self.narrow = narrow
        self.autocast = autocast
        self.vjps: dict[int, Vjp] = {}
        self.plans: dict[tuple[bool, ...], Plan] = {}
        self.meetings: dict[tuple[Any, ...], Any] = {}  # dtypes of operands -> where they meet
        self.lens: Lens | None = None  # of one whose results are views

    def call(self, args: tuple[Any, ...], static: dict[str, Any]) -> Any:
        if not self.variadic and len(args) > len(self.operands):
            args, static = self.split(args, static)
        if static:
            static = self.spelled(static)
        if self.autocast is not None and casting() is not None:
            return autocast_call(self, args, static)
        backend, arrays, tracked = self.unwrap(args)
        if self.promote is not None and self._promote(arrays, backend):
            return self.wide(args, arrays, backend, static)
        if static.get("dtype") is not None:
            static["dtype"] = raw(static["dtype"], backend)
        try:
            y = self.fn(backend.xp, *arrays, **static)
        except PASSED_ON as error:
            error.__suppress_context__ = True  # it was met before, on the fast lane
            raise
        except Exception as error:
            if users_own(self.fn, error):
                raise
            if static.get("dtype") is None and any(map(half, args)):  # the library cannot
                return self.wide(args, arrays, backend, static)
            y = backend.fallback(self.fn, arrays, static)
            if y is NotImplemented:
                problem, cause = explain(self, arrays, static, backend, error)
                raise problem from cause
        if not (tracked and is_grad_enabled()):
            return _wrap_many(y, backend, None) if isinstance(y, SEVERAL) else wrap(y, backend)
        parents = [edge_of(x) for x in args]
        # of the operands before they were brought to one dtype: what their gradients go back to
        kinds = [getattr(x.array if isinstance(x, Tensor) else x, "dtype", None) for x in args]
        return self.recorded(y, backend, parents, arrays, static, kinds)

    def wide(
        self, args: Sequence[Any], arrays: list[Any], backend: Backend, static: dict[str, Any]
    ) -> Any:
        """The call in float32, of operands of 16 bits."""
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
                # NumPy's arrays move to the backend in use, but not beside a Tensor
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
        """Cast ``arrays`` in place to the dtype they meet in, unless that is left to ``wide``."""
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
        """The dtype that operands of these dtypes and Python types meet in, which to cast, and our
        dtype if Python integers must fit into it; no dtype for one of 16 bits that the backend has
        computed in float32."""
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

    def recorded(
        self,
        y: Any,
        backend: Backend,
        parents: Sequence[Edge],
        arrays: Sequence[Any],
        static: dict[str, Any],
        kinds: Sequence[Any],
    ) -> Any:
        """The result of a call that recorded a node, which holds of its arrays only what its vjps
        name. ``kinds`` are the dtypes that gradients are brought to."""
        mask = tuple([parent is not None for parent in parents])
        plan = self.plans.get(mask) or self.plan(mask)
        live, kept, keep_y = plan
        if True in live:
            self.plans[mask] = plan
        node = None
        if live != mask:
            parents = [
                parent if alive else None for parent, alive in zip(parents, live, strict=True)
            ]
        if True in live:
            inputs = [x if keep else None for x, keep in zip(arrays, kept, strict=True)]
            shapes = [() if type(x) in SCALARS else x.shape for x in arrays]
            known = y if keep_y else None
            if not keep_y and isinstance(y, SEVERAL):
                known = [Spec(part.shape, part.dtype) for part in y]
            node = Node(self, parents, (inputs, known, static, shapes, kinds, backend))
        if isinstance(y, SEVERAL):
            return _wrap_many(y, backend, node)
        tensor = wrap(y, backend, node)
        if not self.vjps:
            tensor._cut = f"{self.name} is not differentiable: {self.why}"
        return tensor

    def plan(self, mask: tuple[bool, ...]) -> Plan:
        """For operands with a gradient as in ``mask``: which have a vjp, and what these name."""
        if self.variadic:
            live, vjps = mask, list(self.vjps.values())
        else:
            live = tuple(wanted and i in self.vjps for i, wanted in enumerate(mask))
            vjps = [self.vjps[i] for i, alive in enumerate(live) if alive]
        sources = {source for vjp in vjps for source in vjp.sources}
        return live, tuple(i in sources for i in range(len(mask))), "y" in sources

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
    """What is kept of an output that no vjp names: enough for zeros, if nobody uses it."""

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


def primitive(
    fn: Callable[Concatenate[Any, P], Any] | None = None,
    *,
    floating: bool = False,
    real: bool = False,
    promote: int | None = 0,
    no_gradient: str | None = None,
    narrow: bool = False,
    autocast: str | None = None,
    view: bool = False,
) -> Any:
    """Declare a primitive: ``fn(xp, *operands, **static)`` on raw arrays.

    ``floating``: integer operands become the default float dtype. ``real``: complex ones are
    refused. ``promote``: the first operand from which on all are brought to one dtype (None: none).
    ``no_gradient``: why there is no vjp. ``narrow``: it means something else in float32.
    ``autocast``: the precision that it chooses, "lower" or "float32" (see ``autocasting``).
    ``view``: its result is a view of its operand; ``@name.put``, a function ``(x, v, **static)`` of
    Tensors, says what x is with the view replaced by ``v`` (see ``views``).

    Its vjps follow: ``@name.vjp`` for the first operand (for all, of a variadic primitive) or
    ``@name.vjp(i)`` for operand i, a function ``(xp, g, ...)`` whose further parameters name what
    it needs: operands, ``y`` for the result, ``x_shape`` for the shape of the operand ``x``, static
    parameters. Only what is named is kept alive.
    """
    if fn is None:
        return functools.partial(
            primitive,
            floating=floating,
            real=real,
            promote=promote,
            no_gradient=no_gradient,
            narrow=narrow,
            autocast=autocast,
            view=view,
        )
    op: Primitive[P] = Primitive(fn, floating, real, promote, no_gradient, narrow, autocast)

    def vjp(which: Any) -> Any:
        if isinstance(which, int):
            return lambda rule: op.vjps.__setitem__(which, Vjp(rule, op))
        op.vjps[0] = Vjp(which, op)
        return which

    call = op.public(skip=1)
    if view:
        op.lens = Lens(lambda x, key: call(x, **key), lambda a, key: op.fn(np, a, **key))
        call.put = op.lens.putting
    short = lane(op)
    if short is not None:
        call = functools.update_wrapper(short, call)

    def on(xp: Any, *operands: Any, **static: Any) -> Any:
        return call(*operands, **static) if xp is namespace() else fn(xp, *operands, **static)

    call.vjp, call.on = vjp, on  # on: for a vjp that calls a primitive which no library has
    return call
