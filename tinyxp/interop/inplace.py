"""PyTorch's methods in place: ``x.name_(…)`` gives x and its views the values of ``name``."""

from tinyxp import backends
from tinyxp.core.foreign_errors import typed
from tinyxp.core.tensor import Tensor
from tinyxp.core.views import rebind
from tinyxp.errors import ArgumentError
from tinyxp.nn.functional import relu, sigmoid
from tinyxp.ops import arithmetic, exponential, logic, padding, rounding, scans, trigonometric
from tinyxp.ops.arithmetic import where
from tinyxp.ops.bounds import clip
from tinyxp.ops.creation import astype, move
from tinyxp.ops.indexing import setitem
from tinyxp.ops.methods import add_methods
from tinyxp.ops.shaping import broadcast_to
from tinyxp.random import source


def _divide(x, other, rounding_mode=None):
    if rounding_mode is None:
        return x / other
    if not isinstance(rounding_mode, str) or rounding_mode not in ("floor", "trunc"):
        raise ArgumentError(f"rounding_mode is None, 'floor' or 'trunc', got {rounding_mode!r}")
    return x // other if rounding_mode == "floor" else rounding.trunc(x / other)


def _copy(x, other):
    if isinstance(other, Tensor):
        other = broadcast_to(astype(move(other, x.backend, x.device), x.dtype), x.shape)
    return setitem(x, ..., other)


def _random(x, draw, a, b):
    with backends.using(x.backend):
        return setitem(x, ..., draw(x.shape, a, b, dtype=x.dtype, device=x.device))


OPERATIONS = {
    name: getattr(module, name)
    for module, names in (
        (rounding, "abs ceil floor round sign trunc"),
        (exponential, "erf exp expm1 log log10 log1p log2 reciprocal sqrt square"),
        (trigonometric, "acos acosh asin asinh atan atanh cos cosh sin sinh tan tanh"),
        (arithmetic, "atan2 floor_divide hypot pow remainder"),
        (logic, "bitwise_and bitwise_or bitwise_xor"),
        (logic, "logical_and logical_not logical_or logical_xor"),
        (padding, "tril triu"),
    )
    for name in names.split()
} | {
    "add": lambda x, other, *, alpha=1: x + (other if alpha == 1 else alpha * other),
    "addcdiv": lambda x, tensor1, tensor2, *, value=1: x + tensor1 * value / tensor2,
    "addcmul": lambda x, tensor1, tensor2, *, value=1: x + tensor1 * value * tensor2,
    "clamp": clip,
    "clip": clip,
    "copy": _copy,
    "cumprod": lambda x, dim: scans.cumulative_prod(x, axis=dim),
    "cumsum": lambda x, dim: scans.cumulative_sum(x, axis=dim),
    "div": _divide,
    "fill": lambda x, value: setitem(x, ..., value),
    "lerp": lambda x, end, weight: x + weight * (end - x),
    "masked_fill": lambda x, mask, value: where(mask, value, x),
    "mul": arithmetic.multiply,
    "neg": rounding.negative,
    "normal": lambda x, mean=0.0, std=1.0, *, generator=None: _random(
        x, source(generator).normal, mean, std
    ),
    "relu": relu,
    "rsqrt": lambda x: exponential.reciprocal(exponential.sqrt(x)),
    "sigmoid": sigmoid,
    "sub": lambda x, other, *, alpha=1: x - (other if alpha == 1 else alpha * other),
    "uniform": lambda x, low=0.0, high=1.0, *, generator=None: _random(
        x, source(generator).uniform, low, high
    ),
    "zero": lambda x: setitem(x, ..., 0),
}


def _method(name, operation):
    if not hasattr(operation, "op"):
        operation = typed(operation, name)

    def in_place(self, *args, **options):
        return rebind(self, operation(self, *args, **options), name)

    in_place.__name__ = name
    in_place.__doc__ = f"PyTorch's {name}: the result of the operation replaces x."
    return in_place


add_methods({f"{name}_": _method(f"{name}_", f) for name, f in OPERATIONS.items()})
