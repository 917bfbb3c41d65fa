"""NumPy arrays that remember which values of a graph they were computed from.

While a watch is on, ``x.array`` is one of them. Views, NumPy functions and copies by methods keep
the origins; ``np.asarray`` and Python numbers lose them.
"""

from typing import Any

import numpy as np

from tinyxp.core.tree import leaves_of, tree_map

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


def origins(tree: Any) -> frozenset[Any]:
    """The origins of all arrays in ``tree``: an array, or tuples, lists and dicts of them."""
    return NONE.union(*map(_origins_of, leaves_of(tree)))


def _origins_of(x: Any) -> frozenset[Any]:
    while isinstance(x, np.ndarray):
        if isinstance(x, ArrayWithOrigins):
            return x.origins
        x = x.base  # np.asarray returns a plain view of an array with origins
    return NONE


def with_origins(tree: Any, known: frozenset[Any]) -> Any:
    """``tree`` with origins for its floating arrays and NumPy scalars."""

    def mark(x: Any) -> Any:
        if not isinstance(x, (np.ndarray, np.generic)) or x.dtype.kind not in "fc":
            return x
        array = np.asarray(x).view(ArrayWithOrigins)
        array.origins = known
        return array

    return tree_map(mark, tree) if known else tree


def bare(tree: Any) -> Any:
    """``tree`` with plain arrays instead of arrays with origins."""
    return tree_map(lambda x: x.view(np.ndarray) if isinstance(x, ArrayWithOrigins) else x, tree)
