"""Short cuts for calls that record nothing: Tensors of one backend and one dtype, none of which
requires grad, and such a Tensor with a Python number.

With them a call on small arrays costs two and a half times NumPy's, without them eight times
(bench/namespace.py). Whatever else comes, an error too, goes to the general call.
"""

from typing import Any

from tinyxp.backends import Array, Backend
from tinyxp.core import Tensor, raw, wrap

Plain = Tensor  # what takes a short cut; nothing does while calls are observed (debug/)


def _several(parts: tuple[Array, ...], backend: Backend) -> tuple[Tensor, ...]:
    return tuple(wrap(part, backend) for part in parts)


def lane(op: Any) -> Any:
    """``op.call`` with a short cut, or None for an operation of another form than these."""
    fn = op.fn
    any_dtype = not (op.floating or op.real)  # else floating ones alone stay what they are
    takes_dtype = "dtype" in op.parameters

    def unary(x: Any, /) -> Any:
        if type(x) is Plain and x._node is None and not x._leaf:
            backend, array = x.backend, x.data
            if any_dtype or array.dtype in backend.floating:
                try:
                    y = fn(backend.xp, array)
                except Exception:  # which the general call explains
                    return op.call((x,), {})
                return _several(y, backend) if isinstance(y, tuple) else wrap(y, backend)
        return op.call((x,), {})

    def binary(x1: Any, x2: Any, /) -> Any:
        if type(x1) is Plain and x1._node is None and not x1._leaf:
            backend, a = x1.backend, x1.data
            if type(x2) is Plain:
                b = x2.data
                plain = (
                    x2._node is None
                    and not x2._leaf
                    and x2.backend is backend
                    and a.dtype is b.dtype
                    and (any_dtype or a.dtype in backend.floating)
                )
            else:  # a Python number takes the dtype of a floating array
                b = x2
                plain = (type(b) is float or type(b) is int) and a.dtype in backend.floating
            if plain:
                try:
                    y = fn(backend.xp, a, b)
                except Exception:
                    return op.call((x1, x2), {})
                return _several(y, backend) if isinstance(y, tuple) else wrap(y, backend)
        return op.call((x1, x2), {})

    def with_static(x: Any, /, *rest: Any, **static: Any) -> Any:
        if type(x) is Plain and x._node is None and not x._leaf and not (takes_dtype and rest):
            backend, array = x.backend, x.data
            if any_dtype or array.dtype in backend.floating:
                if takes_dtype and static.get("dtype") is not None:
                    static["dtype"] = raw(static["dtype"], backend)
                try:
                    y = fn(backend.xp, array, *rest, **static)
                except Exception:
                    return op.call((x, *rest), static)
                return _several(y, backend) if isinstance(y, tuple) else wrap(y, backend)
        return op.call((x, *rest), static)

    def variadic(*operands: Any, **static: Any) -> Any:
        if operands and type(operands[0]) is Plain:
            backend, dtype = operands[0].backend, operands[0].data.dtype
            arrays = [
                x.data
                for x in operands
                if type(x) is Plain
                and x._node is None
                and not x._leaf
                and x.backend is backend
                and x.data.dtype is dtype
            ]
            if len(arrays) == len(operands) and (any_dtype or dtype in backend.floating):
                try:
                    y = fn(backend.xp, *arrays, **static)
                except Exception:
                    return op.call(operands, static)
                return _several(y, backend) if isinstance(y, tuple) else wrap(y, backend)
        return op.call(operands, static)

    if op.variadic:
        return variadic
    if len(op.operands) == 1:
        return unary if op.bare else with_static
    return binary if op.bare and len(op.operands) == 2 else None
