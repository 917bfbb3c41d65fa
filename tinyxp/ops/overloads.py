"""Names with one meaning in the Array API and another in PyTorch: the spelling tells which.

The standard knows functions, and takes an axis by its name: ``tx.max(x, axis=1)``. An axis by
place or as ``dim=`` is PyTorch's, and so is a method: ``x.max(1)`` gives indices, too, ``x.std()``
divides by n - 1. What could be either is refused.
"""

import functools
import warnings
from typing import Any

from tinyxp.core.operation import expect_tensors, given_twice
from tinyxp.core.tensor import Tensor
from tinyxp.errors import ArgumentError, DTypeError
from tinyxp.ops import bounds, reductions, repetition, searching, shaping, sorting
from tinyxp.ops.gathering import take_along_axis
from tinyxp.ops.sorting import Pair

_OTHER_NAMES = {"axis": "dim", "keepdims": "keepdim", "x2": "other"}


def _bound(name, names, args, options):
    """Arguments under PyTorch's names, each given once."""
    if len(args) > len(names):
        raise DTypeError(f"{name} takes {', '.join(names)} after the tensor, got {len(args)} more")
    found = dict(zip(names, args, strict=False))
    for given, value in options.items():
        own = given if given in names else _OTHER_NAMES.get(given)
        if own not in names:
            raise DTypeError(f"{name} has no parameter {given!r}; it takes {', '.join(names)}")
        if own in found:
            raise given_twice(name, own)
        found[own] = value
    return found


def _one_axis(name, x, dim):
    expect_tensors(name, x)
    if isinstance(dim, bool) or not hasattr(type(dim), "__index__"):
        raise DTypeError(
            f"PyTorch's {name} takes one axis, got {dim!r}; write tx.{name}(x, axis=…) for the "
            "values alone, over several axes or all"
        )
    return shaping.normalize_axis(name, dim, x.ndim)


def _switch(name, value):
    if not isinstance(value, bool):
        raise DTypeError(f"{name} is True or False, got {value!r}")
    return value


def _both(name, args, options):
    """Refuse an axis by PyTorch's spelling beside a keyword of the standard, or the other way."""
    ours = options.keys() & {"axis", "keepdims"}
    if ours:
        raise ArgumentError(
            f"{name} with {min(ours)}= is the Array API's and otherwise PyTorch's, which mean "
            f"different things: write tx.{name}(x, axis=…, keepdims=…) or "
            f"x.{name}(dim=…, keepdim=…)"
        )


def _with_indices(standard, places, pairwise):
    """max or min: the standard's values, PyTorch's values and indices, or the larger of two."""
    name = standard.op.name

    @functools.wraps(standard)
    def call(x, /, *args, **options):
        if not args and options.keys() <= {"axis", "keepdims"}:
            return standard(x, **options)
        if (args and isinstance(args[0], Tensor)) or "other" in options:
            return pairwise(x, _bound(name, ("other",), args, options)["other"])
        _both(name, args, options)
        found = _bound(name, ("dim", "keepdim"), args, options)
        axis = _one_axis(name, x, found.get("dim"))
        keepdim = _switch("keepdim", found.get("keepdim", False))
        indices = places(x, axis=axis, keepdims=True)
        pair = Pair(take_along_axis(x, indices, axis=axis), indices)
        return pair if keepdim else Pair(*(shaping.squeeze(part, axis=axis) for part in pair))

    return call


max = _with_indices(reductions.max, reductions.argmax, bounds.maximum)
min = _with_indices(reductions.min, reductions.argmin, bounds.minimum)


@functools.wraps(sorting.sort)
def sort(x, /, *args, **options):
    if not args and options.keys() <= {"axis", "descending", "stable"}:
        return sorting.sort(x, **options)
    return _sorted(x, *args, **options)


def _sorted(x, /, *args, **options):
    """PyTorch's sort, and the method: values and indices."""
    _both("sort", args, options)
    stable = _switch("stable", options.pop("stable", False))
    found = _bound("sort", ("dim", "descending"), args, options)
    axis = _one_axis("sort", x, found.get("dim", -1))
    descending = _switch("descending", found.get("descending", False))
    indices = searching.argsort(x, axis=axis, descending=descending, stable=stable)
    return Pair(take_along_axis(x, indices, axis=axis), indices)


def _spread(standard):
    """std or var: the standard's, which divides by n, and PyTorch's, by n - 1; and the method."""
    name = standard.op.name

    def pytorch(x, /, *args, **options):
        _both(name, args, options)
        alone = args[:1] and isinstance(args[0], bool)  # std(x, False): as it was once
        names = ("unbiased",) if alone else ("dim", "unbiased", "keepdim")
        correction = options.pop("correction", None)
        found = _bound(name, names, args, options)
        if "unbiased" in found and correction is not None:
            raise given_twice(name, "correction (or unbiased)")
        if correction is None:
            correction = 1 if _switch("unbiased", found.get("unbiased", True)) else 0
        keepdim = _switch("keepdim", found.get("keepdim", False))
        return standard(x, axis=found.get("dim"), correction=correction, keepdims=keepdim)

    @functools.wraps(standard)
    def function(x, /, *args, **options):
        if not args and options.keys() <= {"axis", "correction", "keepdims"}:
            return standard(x, **options)
        return pytorch(x, *args, **options)

    @functools.wraps(standard)
    def method(x, /, *args, **options):
        if not args and "correction" in options and options.keys() & {"axis", "keepdims"}:
            return standard(x, **options)
        if options.keys() & {"axis", "keepdims"}:
            raise ArgumentError(
                f"x.{name}(axis=…) divides by n in NumPy and by n - 1 in PyTorch: write "
                f"x.{name}(axis=…, correction=0) or correction=1, tx.{name}(x, axis=…) for n, or "
                f"x.{name}(dim=…) for n - 1"
            )
        return pytorch(x, *args, **options)

    return function, method


std, _std_method = _spread(reductions.std)
var, _var_method = _spread(reductions.var)


@functools.wraps(searching.nonzero)
def nonzero(x, /, *, as_tuple=True):
    if _switch("as_tuple", as_tuple):
        return searching.nonzero(x)
    places = searching.nonzero(x)
    return shaping.stack(places, axis=1)


def _nonzero_method(x, /, *, as_tuple=False):
    """The places where x is not zero, as the rows of a matrix: PyTorch's method."""
    return nonzero(x, as_tuple=as_tuple)


@functools.wraps(repetition.meshgrid)
def meshgrid(*arrays, indexing=None):
    arrays = arrays[0] if len(arrays) == 1 and isinstance(arrays[0], (list, tuple)) else arrays
    if indexing is None:
        if len(arrays) > 1 and any(getattr(x, "size", 1) > 1 for x in arrays[:2]):
            warnings.warn(
                "meshgrid without indexing= is 'xy' here, as in the Array API and NumPy, and 'ij' "
                "in PyTorch: say which",
                stacklevel=2,
            )
        indexing = "xy"
    return repetition.meshgrid(*arrays, indexing=indexing)


METHODS: dict[str, Any] = {
    "max": max,
    "min": min,
    "sort": _sorted,
    "std": _std_method,
    "var": _var_method,
    "nonzero": _nonzero_method,
}
