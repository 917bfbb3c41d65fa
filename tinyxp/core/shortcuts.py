"""Short cuts for the commonest calls: Tensors of one backend and one dtype, and such a Tensor with
a Python number.

With them a call on small arrays costs two and a half times NumPy's, without them eight times
(bench/namespace.py). Whatever else comes, an error too, goes to the general call.
"""

from typing import Any

from tinyxp.backends import Array, Backend
from tinyxp.core.autocast import casting
from tinyxp.core.tape import Node, edge_of, is_recording
from tinyxp.core.tensor import Tensor, raw, wrap
from tinyxp.core.views import linked

Plain = Tensor  # what takes a short cut; nothing does while calls are observed (debug/)
NONE: dict[str, Any] = {}


def _several(parts: tuple[Array, ...], backend: Backend) -> tuple[Tensor, ...]:
    return tuple([wrap(part, backend) for part in parts])


def lane(op: Any, general: Any = None) -> Any:
    """``op.call`` with a short cut, or None for an operation of another form than these.

    ``general`` is called instead of ``op.call`` for two operands that take none.
    """
    fn, recorded, plans, lens = op.fn, op.recorded, op.plans, op.lens
    general = general or (lambda args, static: op.call(args, static))
    any_dtype = not (op.floating or op.real)  # else floating ones alone stay what they are
    takes_dtype = "dtype" in op.parameters
    free = op.autocast is None  # of what autocast chooses
    first = op.statics[0] if op.statics else None

    def unary(x: Any, /) -> Any:
        if type(x) is Plain:
            backend, array = x.backend, x.array
            if (any_dtype or array.dtype in backend.native) and (free or casting() is None):
                try:
                    y = fn(backend.xp, array)
                except Exception:  # which the general call explains
                    return op.call((x,), {})
                if (x._node is not None or x._leaf) and is_recording():
                    return recorded(y, backend, (edge_of(x),), (array,), {}, (array.dtype,))
                return wrap(y, backend) if not isinstance(y, tuple) else _several(y, backend)
        return op.call((x,), {})

    def binary(x1: Any, x2: Any, /) -> Any:
        if type(x1) is Plain:
            backend, a, edge1, edge2 = x1.backend, x1.array, x1._node, None
            dtype = a.dtype
            if type(x2) is Plain:
                b, kind = x2.array, dtype
                plain = (
                    x2.backend is backend
                    and dtype is b.dtype
                    and (any_dtype or dtype in backend.native)
                )
                edge2 = x2._node or (x2 if x2._leaf else None)
            else:  # a Python number takes the dtype of a floating array
                b, kind = x2, None
                plain = (type(b) is float or type(b) is int) and dtype in backend.native
            if plain and (free or casting() is None):
                try:
                    y = fn(backend.xp, a, b)
                except Exception:
                    return op.call((x1, x2), {})
                if edge1 is None and x1._leaf:
                    edge1 = x1
                if (edge1 is not None or edge2 is not None) and is_recording():
                    plan = plans.get((edge1 is not None, edge2 is not None))
                    if plan is None:
                        return recorded(y, backend, (edge1, edge2), (a, b), {}, (dtype, kind))
                    (live1, live2), (keep1, keep2), keep_y = plan
                    shapes = a.shape, () if kind is None else b.shape
                    inputs = a if keep1 else None, b if keep2 else None
                    context = inputs, y if keep_y else None, NONE, shapes, (dtype, kind), backend
                    parents = edge1 if live1 else None, edge2 if live2 else None
                    return wrap(y, backend, Node(op, parents, context))
                return wrap(y, backend) if not isinstance(y, tuple) else _several(y, backend)
        return general((x1, x2), {})

    def with_static(x: Any, /, *rest: Any, **static: Any) -> Any:
        if type(x) is Plain and not (rest and (takes_dtype or len(rest) > 1)):
            backend, array = x.backend, x.array
            tracked = (x._node is not None or x._leaf) and is_recording()
            plain = (any_dtype or array.dtype in backend.native) and not (tracked and rest)
            if plain and (free or casting() is None):
                if takes_dtype and static.get("dtype") is not None:
                    static["dtype"] = raw(static["dtype"], backend)
                try:
                    y = fn(backend.xp, array, *rest, **static)
                except Exception:
                    return op.call((x, *rest), static)
                if tracked:
                    return recorded(y, backend, (edge_of(x),), (array,), static, (array.dtype,))
                return wrap(y, backend) if not isinstance(y, tuple) else _several(y, backend)
        return op.call((x, *rest), static)

    def viewing(x: Any, /, *rest: Any, **static: Any) -> Any:
        if static or len(rest) > 1 or (rest and type(rest[0]) is list):
            try:
                static, rest = named(rest, static), ()
            except TypeError:
                return op.call((x, *rest), static)  # which explains it
        key = {first: rest[0]} if rest else static
        if type(x) is Plain:
            backend, array = x.backend, x.array
            try:
                y = fn(backend.xp, array, *rest, **static)
            except Exception:
                y = op.call((x, *rest), static)
            else:
                if (x._node is not None or x._leaf) and is_recording():
                    y = recorded(y, backend, (edge_of(x),), (array,), key, (array.dtype,))
                else:
                    y = wrap(y, backend)
            return linked(y, x, lens, key)
        y = op.call((x, *rest), static)
        return linked(y, x, lens, key) if isinstance(x, Tensor) else y

    def named(rest: tuple[Any, ...], static: dict[str, Any]) -> dict[str, Any]:
        """All static parameters under their names, lists as tuples: callers may change a list."""
        names = op.statics[: len(rest)]
        if len(names) < len(rest) or not static.keys().isdisjoint(names):
            raise TypeError
        static = op.spelled(dict(zip(names, rest, strict=True), **static))
        return {k: tuple(v) if type(v) is list else v for k, v in static.items()}

    def variadic(*operands: Any, **static: Any) -> Any:
        if operands and type(operands[0]) is Plain:
            backend, dtype = operands[0].backend, operands[0].array.dtype
            arrays = [
                x.array
                for x in operands
                if type(x) is Plain
                and x._node is None
                and not x._leaf
                and x.backend is backend
                and x.array.dtype is dtype
            ]
            if len(arrays) == len(operands) and (any_dtype or dtype in backend.native):
                try:
                    y = fn(backend.xp, *arrays, **static)
                except Exception:
                    return op.call(operands, static)
                return wrap(y, backend) if not isinstance(y, tuple) else _several(y, backend)
        return op.call(operands, static)

    if lens is not None:
        return viewing
    if op.variadic:
        return variadic
    if len(op.operands) == 1:
        return unary if op.bare else with_static
    return binary if op.bare and len(op.operands) == 2 else None
