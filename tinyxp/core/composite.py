"""Composites: formulas over Tensors, each with a fused kernel where a backend has one.

With a kernel, the whole is one node on the tape. Its second derivative comes from replaying the
formula, so that a kernel is only ever an acceleration.
"""

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from tinyxp import backends
from tinyxp.backends import Backend, Kernel
from tinyxp.core.autocast import Region, autocast_call, casting, within
from tinyxp.core.foreign_errors import explain
from tinyxp.core.operation import (
    Operation,
    P,
    expect_tensors,
    floats,
    in_float32,
    is_half,
    to_float32,
)
from tinyxp.core.tape import Edge, Node, behind_identity, edge_of, fit, grad_enabled, propagate
from tinyxp.core.tensor import Tensor, is_complex, wrap
from tinyxp.core.views import own
from tinyxp.errors import ShapeError


class Composite(Operation[P]):
    """A formula over Tensors, with a kernel where a backend has one; made by :func:`composite`.

    ``real``: complex operands are refused. ``floating``: names of operands whose integers become
    floats first, because differences of small integers would wrap. A formula on 16-bit operands is
    computed in float32 and rounded once, except ``narrow`` ones: products, which accumulate in
    float32 by themselves. ``autocast``: the precision that the composite chooses under autocast,
    "lower" or "float32" (see ``autocast``).
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        *,
        real: bool = False,
        floating: Sequence[str] = (),
        narrow: bool = False,
        autocast: str | None = None,
    ) -> None:
        super().__init__(in_floats(fn, floating) if floating else fn, skip=0)
        self.real = real
        self.narrow = narrow
        self.autocast = autocast
        self.absent = (False,) * len(self.operands)  # whether operands need gradients, if left out
        self.static_defaults = {k: v for k, v in self.defaults.items() if k not in self.operands}

    def call(self, args: tuple[Any, ...], static: dict[str, Any]) -> Any:
        if len(args) > self.most or (static and not static.keys() <= self.known):
            args, static = self.bind(args, static)
        if (region := casting()) is not None:
            y = self.single(region, args, static)
            return autocast_call(self, args, static) if y is NotImplemented else y
        for x in args:
            if isinstance(x, Tensor):
                kernel = x.backend.kernels.get(self.name)
                if kernel is not None:
                    y = self.run(kernel, x.backend, args, static)
                    if y is not NotImplemented:
                        return y
                if x.array.dtype in x.backend.halves and not (self.narrow and kernel is None):
                    return in_float32(self.call, args, static)
                return self.formula(args, static, x.backend)
        expect_tensors(self.name, *args)
        return self.fn(*args, **static)

    def single(self, region: Region, args: tuple[Any, ...], static: dict[str, Any]) -> Any:
        """Where autocast wants float32: the result by a kernel that reads 16 bits itself."""
        first = next((x for x in args if isinstance(x, Tensor)), None)
        wanted = region.dtype is not None and self.autocast == "float32"
        if not wanted or first is None or not is_half(first):
            return NotImplemented
        kernel = first.backend.kernels.get(self.name)
        while kernel is not None:
            if kernel.single is not None:
                alone = replace(kernel, forward=kernel.single, next=None)
                return self.run(alone, first.backend, args, static)
            kernel = kernel.next
        return NotImplemented

    def formula(self, args: tuple[Any, ...], static: dict[str, Any], backend: Backend) -> Any:
        if self.real:
            for x in args:
                if isinstance(x, Tensor) and is_complex(x):
                    raise self.refuse_complex(x.dtype)
        try:
            if backends.current() is backend:
                return own(self.fn(*args, **static), args)
            with backends.using(backend):  # where the formula makes its constants
                return own(self.fn(*args, **static), args)
        except Exception as error:
            arrays = [x.array if isinstance(x, Tensor) else x for x in args]
            explain(self, arrays, static, backend, error)

    def run(
        self, kernel: Kernel, backend: Backend, args: tuple[Any, ...], static: dict[str, Any]
    ) -> Any:
        """One node for the whole composite, or NotImplemented to leave it to the formula."""
        arrays: list[Any] = []
        parents: list[Edge] = []
        tracked = False
        for x in args:
            if x is None:
                arrays.append(None)
                parents.append(None)
                continue
            if not isinstance(x, Tensor) or x.backend is not backend:
                return NotImplemented
            arrays.append(x.array)
            edge = x._node or (x if x._leaf else None)
            parents.append(edge)
            tracked = tracked or edge is not None
        if self.static_defaults:
            static = self.static_defaults | static
        try:
            result = kernel.forward(*arrays, **static)
            while result is NotImplemented:
                if kernel.next is None:
                    return NotImplemented
                kernel = kernel.next
                result = kernel.forward(*arrays, **static)
        except Exception as error:
            explain(self, arrays, static, backend, error)
        y, residuals = result
        if not (tracked and grad_enabled.get()):
            return wrap(y, backend)
        context = arrays, residuals, static, kernel, backend, y.shape, y.dtype
        return wrap(y, backend, Node(self, parents, context))

    def pull(self, node: Node, g: Any, recording: bool) -> Sequence[Any]:
        arrays, residuals, static, kernel, backend, shape, dtype = node.context
        if not recording:
            # compiled kernels check no shapes, and would read beyond the end of a smaller gradient
            if g.shape != shape or g.dtype != dtype:
                names = backend.dtype_names
                raise ShapeError(
                    f"the gradient of {self.name} must match its result, {tuple(shape)} "
                    f"{names.get(dtype, dtype)}, got {tuple(g.shape)} "
                    f"{names.get(g.dtype, g.dtype)}; look for a hook or a vjp that returns another"
                )
            needs = tuple([parent is not None for parent in node.parents])
            parts = kernel.vjp(g, residuals, needs + self.absent[len(needs) :])[: len(needs)]
            for part, x in zip(parts, arrays, strict=True):
                if part is not None and (part.dtype is not x.dtype or part.shape != x.shape):
                    return [
                        part if part is None else fit(backend.xp, part, x.shape, x.dtype)
                        for part, x in zip(parts, arrays, strict=True)
                    ]
            return parts
        # The formula, replayed from identity nodes: the inner pass stops there, the graph goes on.
        replayed = [
            None if x is None else behind_identity(x, backend, parent)
            for x, parent in zip(arrays, node.parents, strict=True)
        ]
        edges = [edge_of(x) for x in replayed]
        with within(None):  # as in the first run
            if kernel.forward is kernel.single:  # in float32, as in ``single``
                y = self.fn(*to_float32(replayed), **static)
            elif any(map(is_half, replayed)) and not self.narrow:
                y = in_float32(lambda wide, static: self.fn(*wide, **static), replayed, static)
            else:
                y = self.fn(*replayed, **static)
        targets = [edge for edge in edges if edge is not None]
        grads = propagate([y], [g], targets, recording=True, retain=True, stop=True)
        return [None if edge is None else grads.get(edge) for edge in edges]


def in_floats(fn: Callable[..., Any], names: Sequence[str]) -> Callable[..., Any]:
    """``fn``, the operands of these names as floating numbers (see ``floats``)."""
    operands = list(inspect.signature(fn).parameters)
    places = [operands.index(name) for name in names]

    @functools.wraps(fn)
    def call(*args: Any, **static: Any) -> Any:
        known = None  # quick where all are floating numbers of one dtype, as nearly always
        for i in places:
            if i < len(args) and isinstance(x := args[i], Tensor) and x.array.dtype is not known:
                known = x.array.dtype
                if known not in x.backend.floating:
                    break
        else:
            return fn(*args, **static)
        given = list(args)
        there = [i for i in places if i < len(given)]
        for i, y in zip(there, floats(*[given[i] for i in there]), strict=True):
            given[i] = y
        return fn(*given, **static)

    return call


def composite(fn: Callable[P, Any] | None = None, **options: Any) -> Any:
    """Declare a composite: ``fn(*operands, **static)``, a formula over Tensors.

    The options are those of :class:`Composite`.
    """
    if fn is None:
        return functools.partial(composite, **options)
    op: Composite[P] = Composite(fn, **options)
    return op.public(skip=0)
