"""Shortcuts for the most frequent calls: Tensors of one backend and dtype, or such a Tensor and a
Python number.

With them a call on small arrays takes two and a half times as long as NumPy's, without them eight
times (bench/namespace.py). All other calls, and errors, go to the general ``Primitive.call``.
"""

from typing import Any

from tinyxp.backends import Array, Backend
from tinyxp.core.autocast import casting
from tinyxp.core.binding import SPELLINGS
from tinyxp.core.tape import edge_of, grad_enabled
from tinyxp.core.tensor import Tensor, raw, wrap
from tinyxp.core.views import link_view

Plain = Tensor  # the type that may take a shortcut; no type may while calls are observed (debug/)
NONE: dict[str, Any] = {}
MISSING = object()  # for an argument that was not given
recording = grad_enabled.get


def _several(parts: tuple[Array, ...], backend: Backend) -> tuple[Tensor, ...]:
    return tuple([wrap(part, backend) for part in parts])


def shortcut(op: Any, general: Any = None) -> Any:
    """``op.call`` with a shortcut, or None for an operation whose form has none.

    ``general`` replaces ``op.call`` for two operands that cannot take the shortcut.
    """
    fn, record, nodes, lens = op.fn, op.record, op.nodes, op.lens
    general = general or (lambda args, static: op.call(args, static))
    any_dtype = not (op.floating or op.real)  # else only floats need no cast and no check
    takes_dtype = "dtype" in op.parameters
    spellings = [(s, own) for s in SPELLINGS for own in SPELLINGS[s] if own in op.statics]
    free = op.autocast is None  # autocast leaves the operands as they are
    first = op.statics[0] if op.statics else None

    # PyTorch's names are parameters so that a second value is refused; **options would be slower
    def unary(x: Any, input: Any = MISSING) -> Any:
        if type(x) is Plain and input is MISSING:
            backend, array = x.backend, x.array
            if (any_dtype or array.dtype in backend.native) and (free or casting() is None):
                try:
                    y = fn(backend.xp, array)
                except Exception:  # the general call explains it
                    return op.call((x,), {})
                if (x._node is not None or x._leaf) and recording():
                    return record(y, backend, (edge_of(x),), (array,), {}, (array.dtype,))
                return wrap(y, backend) if not isinstance(y, tuple) else _several(y, backend)
        return op.call((x,), {} if input is MISSING else {"input": input})

    def binary(x1: Any, x2: Any, other: Any = MISSING, input: Any = MISSING) -> Any:
        if type(x1) is Plain and other is MISSING and input is MISSING:
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
                if (edge1 is not None or edge2 is not None) and recording():
                    node = nodes.get((edge1 is not None, edge2 is not None))
                    if node is None:
                        return record(y, backend, (edge1, edge2), (a, b), NONE, (dtype, kind))
                    return wrap(
                        y, backend, node(y, backend, (edge1, edge2), (a, b), NONE, (dtype, kind))
                    )
                return wrap(y, backend) if not isinstance(y, tuple) else _several(y, backend)
        named = {"input": input, "other": other}
        return general((x1, x2), {k: x for k, x in named.items() if x is not MISSING})

    def with_static(x: Any, /, *rest: Any, **static: Any) -> Any:
        if "axis" not in static and static and not rest:
            for spelling, own in spellings:  # PyTorch's names, without the general call
                if spelling in static and own not in static:
                    static[own] = static.pop(spelling)
        if type(x) is Plain and not (rest and (takes_dtype or len(rest) > 1)):
            backend, array = x.backend, x.array
            tracked = (x._node is not None or x._leaf) and recording()
            plain = (any_dtype or array.dtype in backend.native) and not (tracked and rest)
            if plain and (free or casting() is None):
                if takes_dtype and static.get("dtype") is not None:
                    static["dtype"] = raw(static["dtype"], backend)
                try:
                    y = fn(backend.xp, array, *rest, **static)
                except Exception:
                    return op.call((x, *rest), static)
                if tracked:
                    return record(y, backend, (edge_of(x),), (array,), static, (array.dtype,))
                return wrap(y, backend) if not isinstance(y, tuple) else _several(y, backend)
        return op.call((x, *rest), static)

    def viewing(x: Any, /, *rest: Any, **static: Any) -> Any:
        if static or len(rest) > 1 or (rest and type(rest[0]) is list):
            static, rest = op.bind((x, *rest), static)[1], ()
            static = {k: tuple(v) if type(v) is list else v for k, v in static.items()}
        key = {first: rest[0]} if rest else static
        if type(x) is Plain:
            backend, array = x.backend, x.array
            try:
                y = fn(backend.xp, array, *rest, **static)
            except Exception:
                y = op.call((x, *rest), static)
            else:
                if (x._node is not None or x._leaf) and recording():
                    y = record(y, backend, (edge_of(x),), (array,), key, (array.dtype,))
                else:
                    y = wrap(y, backend)
            return link_view(y, x, lens, key)
        y = op.call((x, *rest), static)
        return link_view(y, x, lens, key) if isinstance(x, Tensor) else y

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
