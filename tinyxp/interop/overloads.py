"""Functions whose names mean one thing in the Array API and another in PyTorch.

The call tells which one is meant. The Array API has no methods, and names an axis by keyword:
``tx.max(x, axis=1)``. An axis by position or as ``dim=`` is PyTorch's, and so is a method:
``x.max(1)`` returns indices too, and ``x.std()`` divides by n - 1. Ambiguous calls are refused.
"""

import functools
import warnings

from tinyxp.core.binding import bind
from tinyxp.core.operation import expect_tensors
from tinyxp.core.tensor import Tensor
from tinyxp.errors import ArgumentError, DTypeError
from tinyxp.ops import bounds, reductions, repetition, searching, shaping, sorting
from tinyxp.ops.gathering import take_along_axis
from tinyxp.ops.sorting import ValuesAndIndices

__all__ = ["max", "meshgrid", "min", "nonzero", "sort", "std", "var"]


def _expect_axis(name, x, dim):
    """PyTorch's ``dim`` as an axis from 0. Raises DTypeError unless it is one integer."""
    expect_tensors(name, x)
    if isinstance(dim, bool) or not hasattr(type(dim), "__index__"):
        raise DTypeError(
            f"PyTorch's {name} takes one axis, got {dim!r}; write tx.{name}(x, axis=…) for the "
            "values alone, over several axes or all"
        )
    return shaping.normalize_axis(name, dim, x.ndim)


def _expect_bool(name, value):
    if not isinstance(value, bool):
        raise DTypeError(f"{name} is True or False, got {value!r}")
    return value


def _refuse_mixture(name, options):
    """Raise ArgumentError for a keyword of the Array API in a call of PyTorch's."""
    ours = options.keys() & {"axis", "keepdims"}
    if ours:
        raise ArgumentError(
            f"{name} with {sorted(ours)[0]}= mixes the Array API's call and PyTorch's, which mean "
            f"different things: write tx.{name}(x, axis=…, keepdims=…) or "
            f"x.{name}(dim=…, keepdim=…)"
        )


def _extremum(standard, argument, pairwise):
    """max or min: the Array API's, PyTorch's with indices, or the pairwise one of two tensors."""
    name = standard.op.name

    @functools.wraps(standard)
    def call(x, /, *args, **options):
        if not args and options.keys() <= {"axis", "keepdims"}:
            return standard(x, **options)
        if (args and isinstance(args[0], Tensor)) or "other" in options:
            return pairwise(x, bind(name, ("other",), args, options)["other"])
        _refuse_mixture(name, options)
        bound = bind(name, ("dim", "keepdim"), args, options)
        axis = _expect_axis(name, x, bound.get("dim"))
        keepdim = _expect_bool("keepdim", bound.get("keepdim", False))
        indices = argument(x, axis=axis, keepdims=True)
        pair = take_along_axis(x, indices, axis=axis), indices
        return ValuesAndIndices(*(y if keepdim else shaping.squeeze(y, axis=axis) for y in pair))

    return call


max = _extremum(reductions.max, reductions.argmax, bounds.maximum)
min = _extremum(reductions.min, reductions.argmin, bounds.minimum)


@functools.wraps(sorting.sort)
def sort(x, /, *args, **options):
    if not args and options.keys() <= {"axis", "descending", "stable"}:
        return sorting.sort(x, **options)
    return pytorch_sort(x, *args, **options)


def pytorch_sort(x, /, *args, **options):
    """PyTorch's sort, and the method of Tensors: values and indices."""
    _refuse_mixture("sort", options)
    stable = _expect_bool("stable", options.pop("stable", False))
    bound = bind("sort", ("dim", "descending"), args, options)
    axis = _expect_axis("sort", x, bound.get("dim", -1))
    descending = _expect_bool("descending", bound.get("descending", False))
    indices = searching.argsort(x, axis=axis, descending=descending, stable=stable)
    return ValuesAndIndices(take_along_axis(x, indices, axis=axis), indices)


def _spread(standard):
    """std or var, as a function and as a method: the Array API divides by n, PyTorch by n - 1."""
    name = standard.op.name

    def pytorch(x, /, *args, **options):
        _refuse_mixture(name, options)
        unbiased_first = args[:1] and isinstance(args[0], bool)  # the older form std(x, False)
        parameters = ("unbiased",) if unbiased_first else ("dim", "unbiased", "keepdim")
        correction = options.pop("correction", None)
        bound = bind(name, parameters, args, options)
        if "unbiased" in bound and correction is not None:
            raise DTypeError(f"{name} got correction twice (as unbiased); give it once")
        if correction is None:
            correction = 1 if _expect_bool("unbiased", bound.get("unbiased", True)) else 0
        keepdim = _expect_bool("keepdim", bound.get("keepdim", False))
        return standard(x, axis=bound.get("dim"), correction=correction, keepdims=keepdim)

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


std, std_method = _spread(reductions.std)
var, var_method = _spread(reductions.var)


@functools.wraps(searching.nonzero)
def nonzero(x, /, *, as_tuple=True):
    indices = searching.nonzero(x)
    return indices if _expect_bool("as_tuple", as_tuple) else shaping.stack(indices, axis=1)


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
