"""Tensors in other libraries: NumPy's operators and functions, DLPack, and einops."""

import importlib.util
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from tinyxp.backends.common.capture import refuse_recording
from tinyxp.core.exchange import scipy_hint
from tinyxp.core.tensor import Tensor, namespace
from tinyxp.errors import DTypeError, ExportError
from tinyxp.ops import methods
from tinyxp.ops.methods import add_methods

# NumPy's names that differ from tinyxp's
NAMES = {
    "absolute": "abs",
    "amax": "max",
    "amin": "min",
    "arccos": "acos",
    "arccosh": "acosh",
    "arcsin": "asin",
    "arcsinh": "asinh",
    "arctan": "atan",
    "arctan2": "atan2",
    "arctanh": "atanh",
    "concatenate": "concat",
    "conjugate": "conj",
    "cumprod": "cumulative_prod",
    "cumsum": "cumulative_sum",
    "dot": "matmul",
    "fabs": "abs",
    "hstack": "concat",
    "invert": "bitwise_invert",
    "left_shift": "bitwise_left_shift",
    "power": "pow",
    "right_shift": "bitwise_right_shift",
    "rint": "round",
    "transpose": "permute_dims",
    "vstack": "concat",
}
# functions by which plotting libraries convert their arguments
CONVERSIONS = frozenset(["broadcast_arrays"])
# functions that NumPy's arrays call for an operator: array + tensor, array @ tensor …
OPERATORS = {f.__name__ for f in (*methods.OPERATORS.values(), *methods.COMPARISONS.values())}


def _counterpart(function: Any) -> str | None:
    """The name of tinyxp's counterpart of a function of NumPy, if there is one."""
    name = NAMES.get(function.__name__, function.__name__)
    parts = getattr(function, "__module__", "numpy").split(".")[1:]  # numpy.linalg: linalg
    home = namespace()
    for part in parts:
        home = getattr(home, part, None)
    return ".".join(["tx", *parts, name]) if callable(getattr(home, name, None)) else None


def array_ufunc(self: Tensor, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
    """NumPy calls this for a ufunc with a Tensor. An operator between an array and a tensor works;
    ``np.exp(x)`` raises DTypeError, because its result, a NumPy array, would cut the graph.
    """
    name = ufunc.__name__
    ours = NAMES.get(name, name)
    if method == "__call__" and ours in OPERATORS and not options:
        return getattr(namespace(), ours)(*inputs)
    if "out" in options:
        raise DTypeError(
            f"numpy.{name} cannot put its result into a NumPy array: that would cut the graph of "
            "the tensor; write a = a + x for a += x, or pass x.detach().numpy()"
        )
    raise _refusal(name if method == "__call__" else f"{name}.{method}", _counterpart(ufunc))


def array_function(
    self: Tensor, function: Any, types: Any, args: tuple[Any, ...], options: dict[str, Any]
) -> Any:
    """NumPy calls this for its other functions with a Tensor.

    A function that tinyxp has too raises DTypeError. The others convert the tensor by
    ``np.asarray``, which refuses a tensor that requires grad.
    """
    ours = _counterpart(function)
    if ours is None or function.__name__ in CONVERSIONS:
        return function._implementation(*args, **options)
    raise _refusal(f"{function.__module__}.{function.__name__}".removeprefix("numpy."), ours)


def _refusal(theirs: str, ours: str | None) -> DTypeError:
    instead = "pass x.detach().numpy()" if ours is None else f"use {ours}, or x.detach().numpy()"
    return DTypeError(f"numpy.{theirs} takes NumPy's arrays, got a Tensor; {instead}{scipy_hint()}")


# -- DLPack: arrays shared between libraries -----------------------------------------------------


def dlpack(
    self: Tensor,
    /,
    *,
    stream: Any = None,
    max_version: tuple[int, int] | None = None,
    dl_device: tuple[Any, int] | None = None,
    copy: bool | None = None,
) -> Any:
    """A DLPack capsule that shares the data, or holds a copy.

    Raises GradientError for a tensor that requires grad, ExportError if its library cannot do it.
    """
    refuse_recording("DLPack export")
    array = _as_array(self._leave("DLPack export"))
    if copy and dl_device in (None, dlpack_device(self)):  # CuPy does not copy by itself
        array, copy = self.backend.xp.asarray(array, copy=True), None
    options = {"max_version": max_version, "dl_device": dl_device, "copy": copy}
    given = {name: value for name, value in options.items() if value is not None}
    try:
        return array.__dlpack__(stream=stream, **given)  # older libraries take the stream alone
    except (BufferError, ValueError) as error:
        asked = "".join(f" with {name}={value}" for name, value in given.items())
        raise ExportError(
            f"the backend {self.backend.name!r} cannot export a tensor on {self.device!r}{asked}: "
            f"{error}; move it first: x.to(…)"
        ) from error


def dlpack_device(self: Tensor) -> Any:
    return _as_array(self.array).__dlpack_device__()


def _as_array(array: Any) -> Any:
    """The array; a NumPy scalar, which has no DLPack, becomes an array."""
    return np.asarray(array) if isinstance(array, np.generic) else array


add_methods(
    {
        "__array_function__": array_function,
        "__array_ufunc__": array_ufunc,
        "__dlpack__": dlpack,
        "__dlpack_device__": dlpack_device,
    }
)


# -- einops: it finds the library of an array among the subclasses of its AbstractBackend ------


def _register_with_einops(module: Any) -> None:
    """Make the functions of einops accept Tensors."""
    tx = namespace()
    operations: dict[str, Any] = {
        "framework_name": "tinyxp",
        "is_appropriate_type": lambda self, x: isinstance(x, Tensor),
        "from_numpy": lambda self, x: tx.asarray(x),
        "to_numpy": lambda self, x: x.numpy(),
        "arange": lambda self, start, stop: tx.arange(start, stop),
        "is_float_type": lambda self, x: x.dtype.kind.endswith("floating"),
        "transpose": lambda self, x, axes: tx.permute_dims(x, axes),
        "stack_on_zeroth_dimension": lambda self, xs: tx.stack(xs),
        "concat": lambda self, xs, axis: tx.concat(xs, axis=axis),
        "add_axis": lambda self, x, position: tx.expand_dims(x, axis=position),
        "tile": lambda self, x, repeats: tx.tile(x, repeats),
        "einsum": lambda self, pattern, *xs: tx.einsum(pattern, *xs),
    }
    # stored in the module, because a class does not keep its subclasses alive
    module.TinyxpBackend = type("TinyxpBackend", (module.AbstractBackend,), operations)


class _WhenImported:
    """A finder on ``sys.meta_path`` that calls ``then`` with a module once it is imported.

    So tinyxp does not import einops, and the two may be imported in any order.
    """

    def __init__(self, name: str, then: Callable[[Any], None]) -> None:
        self.name, self.then = name, then

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name != self.name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module: Any) -> None:
                execute(module)
                self.then(module)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _when_imported(name: str, then: Callable[[Any], None]) -> None:
    if name in sys.modules:
        then(sys.modules[name])
    else:
        sys.meta_path.insert(0, _WhenImported(name, then))


_when_imported("einops._backends", _register_with_einops)
