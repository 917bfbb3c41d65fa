"""NumPy arrays that remember which values of a graph they were computed from.

While a watch is on, ``x.array`` is one of them. Views, NumPy functions and copies by methods keep
the origins; ``np.asarray`` and Python numbers lose them.
"""

from typing import Any

import numpy as np

NONE: frozenset[Any] = frozenset()


class ArrayWithOrigins(np.ndarray[Any, Any]):
    """An array with ``origins``: for each source, its id, how it left tinyxp, and where."""

    origins: frozenset[Any]

    def __array_finalize__(self, obj: Any) -> None:
        self.origins = getattr(obj, "origins", NONE) if self.dtype.kind in "fc" else NONE

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if any(hasattr(x, "__array_ufunc__") and not isinstance(x, (np.ndarray, np.generic))
               for x in inputs):  # fmt: skip
            return NotImplemented
        plain = {name: bare(value) for name, value in options.items()}
        result = getattr(ufunc, method)(*(bare(x) for x in inputs), **plain)
        for out in options.get("out", ()):
            if isinstance(out, ArrayWithOrigins):
                out.origins |= origins((inputs, options))
                return out
        return with_origins(result, origins((inputs, options)))

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        result = function(*bare(args), **bare(kwargs))
        return with_origins(result, origins((args, kwargs)))

    def __getitem__(self, key: Any) -> Any:
        return with_origins(np.ndarray.__getitem__(bare(self), bare(key)), self.origins)

    def __setitem__(self, key: Any, value: Any) -> None:
        np.ndarray.__setitem__(self, key, bare(value))
        self.origins |= origins(value)


def origins(value: Any) -> frozenset[Any]:
    """The origins of all arrays with origins in ``value``: an array, or lists and dicts of them."""
    if isinstance(value, np.ndarray):
        array: Any = value
        while array is not None:  # np.asarray returns a plain view of an array with origins
            if isinstance(array, ArrayWithOrigins):
                return array.origins
            array = array.base if isinstance(array.base, np.ndarray) else None
        return NONE
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, (list, tuple)):
        return NONE
    return NONE.union(*(origins(x) for x in value))


def with_origins(value: Any, known: frozenset[Any]) -> Any:
    """``value`` with origins if it is floating: arrays, NumPy scalars, and tuples of them."""
    if type(value) in (tuple, list):
        return type(value)(with_origins(x, known) for x in value)
    if not known or not isinstance(value, (np.ndarray, np.generic)) or value.dtype.kind not in "fc":
        return value
    array = np.asarray(value).view(ArrayWithOrigins)
    array.origins = known
    return array


def bare(value: Any) -> Any:
    """``value`` with plain arrays instead of arrays with origins."""
    if isinstance(value, ArrayWithOrigins):
        return value.view(np.ndarray)
    if type(value) in (list, tuple):
        return type(value)(bare(x) for x in value)
    if type(value) is dict:
        return {name: bare(x) for name, x in value.items()}
    return value
