"""What makes a Tensor an object of the Array API: each operator and method is one op."""

import functools

import numpy as np

from tinyxp import backends
from tinyxp.core.primitive import Primitive
from tinyxp.core.shortcuts import lane
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
from tinyxp.ops import overloads as meanings

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
    """An operation as an operator: what it does not know may know what to do with a Tensor."""
    op = function.op

    def general(args, static):
        return NotImplemented if _foreign(name, *args) else op.call(args, static)

    short = lane(op, general) if isinstance(op, Primitive) else None
    operator = short or (lambda self, other: general((self, other), {}))
    return functools.update_wrapper(operator, function)


def _foreign(name, x, other):
    """Whether ``other`` is left to Python: a type with the operator's counterpart, or what is never
    equal to a tensor. A list is repeated by a tensor without axes, as by an integer."""
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
    return own and type(other).__module__ != "builtins"  # which know no Tensor


def _reflected(name, op):
    def operator(self, other):
        if type(other) in SCALARS or not _foreign(name, self, other):
            return op(other, self)
        return NotImplemented

    return operator


def _divmod(self, other):
    return self // other, self % other


def _rdivmod(self, other):
    return other // self, other % self


def _in_place(op):
    return lambda self, other: rebind(self, op(self, other), "an in-place operator")


for _name, _op in OPERATORS.items():
    setattr(Tensor, f"__{_name}__", _operator(_name, _op))
    setattr(Tensor, f"__r{_name}__", _reflected(_name, _op))
    setattr(Tensor, f"__i{_name}__", _in_place(_op))
for _name, _op in COMPARISONS.items():
    setattr(Tensor, f"__{_name}__", _operator(_name, _op))


def _permute(self, *axes):
    return shaping.permute_dims(self, axes[0] if len(axes) == 1 else axes)


def _reshape(self, *shape):
    alone = len(shape) == 1 and isinstance(shape[0], (tuple, list))
    return shaping.reshape(self, shape[0] if alone else shape)


def _transpose(self):
    """The matrix transposed: (m, n) -> (n, m)."""
    if self.ndim != 2:
        raise ShapeError(f"T expects two axes, got shape {self.shape}; use x.mT or permute_dims")
    return shaping.matrix_transpose(self)


def _array_namespace(self, /, *, api_version=None):
    """The namespace of the Array API that x belongs to: tinyxp."""
    if api_version not in (None, *API_VERSIONS):
        raise ArgumentError(
            f"unknown version of the Array API {api_version!r}; choose one of {API_VERSIONS}"
        )
    return namespace()


def _to_device(self, device, /, *, stream=None):
    """x on another device of its backend."""
    if stream is not None:
        raise ArgumentError(f"to_device takes no stream, got {stream!r}; leave it out")
    return creation.to(self, device)


METHODS = {
    "__divmod__": _divmod,
    "__rdivmod__": _rdivmod,
    "__neg__": rounding.negative,
    "__pos__": rounding.positive,
    "__abs__": rounding.abs,
    "__invert__": logic.bitwise_invert,
    "__getitem__": indexing.getitem,
    "__setitem__": indexing.assign,
    "__array_namespace__": _array_namespace,
    "T": property(_transpose),
    "real": property(complexes.real),
    "imag": property(complexes.imag),
    "conj": complexes.conj,
    "mT": property(shaping.matrix_transpose),
    "to": creation.to,
    "to_device": _to_device,
    "astype": creation.astype,
    "clone": creation.clone,
    "reshape": _reshape,
    "permute_dims": _permute,
    "clip": bounds.clip,
    "flatten": shaping.flatten,
}
for _module, _names in (
    (
        reductions,
        ("all", "any", "argmax", "argmin", "mean", "prod", "sum"),
    ),
    (exponential, ("exp", "log", "sqrt", "square")),
    (trigonometric, ("cos", "sin", "tanh")),
    (rounding, ("abs", "round", "sign")),
    (scans, ("cumulative_sum", "cumulative_prod")),
    (shaping, ("expand_dims", "squeeze")),
):
    METHODS |= {_name: getattr(_module, _name) for _name in _names}
METHODS |= meanings.METHODS
for _name, _method in METHODS.items():
    setattr(Tensor, _name, _method)
