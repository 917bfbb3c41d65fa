"""The Tensor's operators and its methods of the Array API; PyTorch's are in ``interop``."""

import functools

import numpy as np

from tinyxp import backends
from tinyxp.core.binding import bind
from tinyxp.core.primitive import Primitive
from tinyxp.core.shortcuts import shortcut
from tinyxp.core.tensor import SCALARS, Tensor, namespace
from tinyxp.core.views import rebind
from tinyxp.errors import ArgumentError, ShapeError
from tinyxp.ops import (
    arithmetic,
    bounds,
    complexes,
    creation,
    exponential,
    indexing,
    linear,
    logic,
    reductions,
    rounding,
    scans,
    shaping,
    trigonometric,
)

OPERATORS = {
    "add": arithmetic.add,
    "sub": arithmetic.subtract,
    "mul": arithmetic.multiply,
    "truediv": arithmetic.divide,
    "floordiv": arithmetic.floor_divide,
    "mod": arithmetic.remainder,
    "pow": arithmetic.pow,
    "matmul": linear.matmul,
    "and": logic.bitwise_and,
    "or": logic.bitwise_or,
    "xor": logic.bitwise_xor,
    "lshift": logic.bitwise_left_shift,
    "rshift": logic.bitwise_right_shift,
}
COMPARISONS = {
    "eq": logic.equal,
    "ne": logic.not_equal,
    "lt": logic.less,
    "le": logic.less_equal,
    "gt": logic.greater,
    "ge": logic.greater_equal,
}
COUNTERPARTS = {name: f"__r{name}__" for name in OPERATORS}
COUNTERPARTS |= {"lt": "__gt__", "gt": "__lt__", "le": "__ge__", "ge": "__le__"}
API_VERSIONS = ("2021.12", "2022.12", "2023.12", "2024.12", "2025.12")


def _operator(name, function):
    """An operation as an operator; NotImplemented leaves the decision to the other operand."""
    op = function.op

    def general(args, static):
        return NotImplemented if _is_foreign(name, *args) else op.call(args, static)

    short = shortcut(op, general) if isinstance(op, Primitive) else None
    operator = short or (lambda self, other: general((self, other), {}))
    return functools.update_wrapper(operator, function)


def _is_foreign(name, x, other):
    """Whether Python asks ``other`` instead: its type has the operator's counterpart, or it can
    never equal a tensor. A list is repeated by a tensor without axes, as by an integer."""
    if isinstance(other, (Tensor, np.generic, *SCALARS)) or backends.of(other) is not None:
        return False
    if isinstance(other, (list, tuple, str, bytes)):
        if name in COMPARISONS:
            return name in ("eq", "ne") and isinstance(other, (str, bytes))
        return name == "mul" and x.ndim == 0 and x.dtype.kind.endswith("integer")
    if name in ("eq", "ne"):
        return True
    theirs = getattr(type(other), COUNTERPARTS[name], None)
    own = theirs is not getattr(object, COUNTERPARTS[name], None)
    return own and type(other).__module__ != "builtins"  # the builtin types know no Tensor


def _reflected(name, op):
    def operator(self, other):
        if type(other) in SCALARS or not _is_foreign(name, self, other):
            return op(other, self)
        return NotImplemented

    return operator


def _in_place(op):
    return lambda self, other: rebind(self, op(self, other), "an in-place operator")


def takes_several(name, parameter, function):
    """A method that also takes a tuple as its arguments: ``x.reshape(2, 3)``, ``x.reshape((2, 3))``
    and ``x.reshape(shape=(2, 3))``."""
    by_place = parameter in function.op.statics

    def method(self, *values, **options):
        if len(values) == 1 and isinstance(values[0], (tuple, list)):
            values = values[0]
        elif not values and options:
            return function(self, **options)
        if by_place and not options:
            return function(self, values)
        return function(self, **bind(name, (parameter,), (values,), options, function.op.keywords))

    method.__name__ = name
    method.__doc__ = function.__doc__
    return method


def _transpose(self):
    """The matrix transposed: (m, n) -> (n, m). Raises ShapeError unless x has two axes."""
    if self.ndim != 2:
        raise ShapeError(f"T expects two axes, got shape {self.shape}; use x.mT or permute_dims")
    return shaping.matrix_transpose(self)


def _array_namespace(self, /, *, api_version=None):
    """The Array API namespace of x, tinyxp. Raises ArgumentError for an unknown version."""
    if api_version not in (None, *API_VERSIONS):
        raise ArgumentError(
            f"unknown version of the Array API {api_version!r}; choose one of {API_VERSIONS}"
        )
    return namespace()


def _to_device(self, device, /, *, stream=None):
    """x on another device of its backend. Raises ArgumentError for a stream."""
    if stream is not None:
        raise ArgumentError(f"to_device takes no stream, got {stream!r}; leave it out")
    return creation.to(self, device)


def add_methods(methods):
    """Add methods to Tensor. A second method of one name is an error, because it would depend on
    the order of imports which of them stays."""
    for name, method in methods.items():
        if name in vars(Tensor):
            raise ArgumentError(f"Tensor has {name!r} already; define each method in one table")
        setattr(Tensor, name, method)


for _name, _op in (OPERATORS | COMPARISONS).items():
    add_methods({f"__{_name}__": _operator(_name, _op)})
for _name, _op in OPERATORS.items():
    add_methods({f"__r{_name}__": _reflected(_name, _op), f"__i{_name}__": _in_place(_op)})
add_methods(
    {
        "__divmod__": lambda self, other: (self // other, self % other),
        "__rdivmod__": lambda self, other: (other // self, other % self),
        "__neg__": rounding.negative,
        "__pos__": rounding.positive,
        "__abs__": rounding.abs,
        "__invert__": logic.bitwise_invert,
        "__getitem__": indexing.getitem,
        "__setitem__": indexing.assign,
        "__array_namespace__": _array_namespace,
        "T": property(_transpose),
        "mT": property(shaping.matrix_transpose),
        "real": property(complexes.real),
        "imag": property(complexes.imag),
        "reshape": takes_several("reshape", "shape", shaping.reshape),
        "permute_dims": takes_several("permute_dims", "axes", shaping.permute_dims),
        "to_device": _to_device,
    }
)
for _module, _names in (
    (bounds, "clip"),
    (complexes, "conj"),
    (creation, "astype clone to"),
    (exponential, "exp log sqrt square"),
    (reductions, "all any argmax argmin mean prod sum"),
    (rounding, "abs round sign"),
    (scans, "cumulative_prod cumulative_sum"),
    (shaping, "expand_dims flatten"),
    (trigonometric, "cos sin tanh"),
):
    add_methods({name: getattr(_module, name) for name in _names.split()})
