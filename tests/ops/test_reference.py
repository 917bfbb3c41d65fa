"""Every operation of the registry against PyTorch: value, gradient and second derivative."""

import importlib
from pathlib import Path

import numpy as np
import pytest

import tinyxp as tx
from tests.compare import close
from tests.helpers import each
from tests.registry import (
    call,
    complex_cases,
    complex_example,
    differentiable,
    example,
    is_floating,
    tensors,
)
from tinyxp.core.operation import OPS
from tinyxp.core.primitive import Primitive

torch = pytest.importorskip("torch", reason="PyTorch is the reference: pip install torch")
F = torch.nn.functional

# the files in reference/: REFERENCE, and INPUTS for what declares no example
OTHERS = [
    importlib.import_module(f"tests.ops.reference.{path.stem}")
    for path in sorted((Path(__file__).parent / "reference").glob("[a-z]*.py"))
]
NO_REFERENCE: dict[str, str] = {}  # operation: why PyTorch has no reference


def pad(x, pad_width, constant_values=0):
    flat = [n for pair in reversed(pad_width) for n in pair]  # PyTorch counts from the last axis
    return F.pad(x, flat, value=constant_values)


def index(key):
    return tuple(key) if isinstance(key, (list, tuple)) else key


def replace(x, values, key):
    y = x.clone()
    y[index(key)] = values
    return y


def unslice(g, shape, key):
    return replace(torch.zeros(shape, dtype=g.dtype), g, key)


def over_axes(fold):
    """A function of one axis for several: ``fold`` is applied to the last axis first."""

    def reduce(x, axis=None, keepdims=False):
        axes = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
        for i in sorted((i % x.ndim for i in axes), reverse=True):
            x = fold(x, i, keepdims)
        return x

    return reduce


def scan(name, first):
    def run(x, axis=None, include_initial=False):
        y = getattr(torch, name)(x, axis or 0)
        if not include_initial:
            return y
        start = torch.full_like(y.narrow(axis or 0, 0, 1), first)
        return torch.concat([start, y], axis or 0)

    return run


def axes_of(x, axis):
    return tuple(range(x.ndim)) if axis is None else axis


def alike(name):
    """The function of PyTorch with this name, which takes numbers as tensors only."""
    f = getattr(torch, name)

    def run(*operands):
        return f(
            *(x if torch.is_tensor(x) else torch.asarray(x, dtype=torch.float64) for x in operands)
        )

    return run


REFERENCE = {
    name: getattr(torch, name)
    for name in [
        "abs",
        "acos",
        "acosh",
        "add",
        "asin",
        "asinh",
        "atan",
        "atan2",
        "atanh",
        "bitwise_and",
        "bitwise_left_shift",
        "bitwise_or",
        "bitwise_right_shift",
        "bitwise_xor",
        "ceil",
        "clone",
        "copysign",
        "cos",
        "cosh",
        "divide",
        "erf",
        "erfc",
        "exp",
        "expm1",
        "floor",
        "hypot",
        "index_add",
        "isfinite",
        "isinf",
        "isnan",
        "log",
        "log10",
        "log1p",
        "log2",
        "logaddexp",
        "logical_and",
        "logical_not",
        "logical_or",
        "logical_xor",
        "matmul",
        "maximum",
        "minimum",
        "moveaxis",
        "multiply",
        "negative",
        "nextafter",
        "positive",
        "reciprocal",
        "remainder",
        "reshape",
        "searchsorted",
        "signbit",
        "sin",
        "sinh",
        "sqrt",
        "square",
        "squeeze",
        "subtract",
        "tan",
        "tanh",
        "tile",
        "trunc",
        "where",
    ]
}
REFERENCE |= {
    "all": lambda x, axis=None, keepdims=False: torch.all(x, dim=axis, keepdim=keepdims),
    "any": lambda x, axis=None, keepdims=False: torch.any(x, dim=axis, keepdim=keepdims),
    "argmax": lambda x, axis=None, keepdims=False: torch.argmax(x, dim=axis, keepdim=keepdims),
    "argmin": lambda x, axis=None, keepdims=False: torch.argmin(x, dim=axis, keepdim=keepdims),
    "argsort": lambda x, axis=-1, descending=False, stable=True: torch.argsort(
        x, dim=axis, descending=descending, stable=stable
    ),
    "conj": lambda x: torch.conj(x).resolve_conj(),
    "imag": torch.imag,
    "real": torch.real,
    "round": lambda x: (
        torch.complex(x.real.round(), x.imag.round()) if x.is_complex() else x.round()
    ),
    "sign": torch.sgn,
    "at_least": lambda x, bound: torch.clamp(x, min=bound),
    "at_most": lambda x, bound: torch.clamp(x, max=bound),
    "sech2": lambda x: 1 / torch.cosh(x) ** 2,
    "astype": lambda x, dtype: x.to(getattr(torch, dtype.name)),
    "bitwise_invert": torch.bitwise_not,
    "broadcast_arrays": torch.broadcast_tensors,
    "broadcast_to": lambda x, shape: torch.broadcast_to(x, shape),
    "clip": lambda x, min=None, max=None: torch.clamp(x, min, max),
    "concat": lambda *xs, axis=0: torch.concat(xs, dim=axis),
    "count_nonzero": lambda x, axis=None: torch.count_nonzero(x, dim=axis),
    "cumulative_prod": scan("cumprod", 1),
    "cumulative_sum": scan("cumsum", 0),
    "diff": lambda x, axis=-1, n=1: torch.diff(x, n=n, dim=axis),
    "equal": torch.eq,
    "expand_dims": lambda x, axis: x[None, ..., None],  # the example's axes
    "flip": lambda x, axis=None: torch.flip(x, axes_of(x, axis)),
    # PyTorch's own has no derivative
    "floor_divide": lambda x1, x2: torch.floor(x1 / x2),
    "greater": torch.gt,
    "greater_equal": torch.ge,
    "index_add": lambda x, indices, values: x.index_add(0, indices, values),
    "less": torch.lt,
    "less_equal": torch.le,
    "logsumexp": lambda x, axis=None, keepdims=False: torch.logsumexp(
        x, axes_of(x, axis), keepdims
    ),
    "matrix_transpose": lambda x: x.mT,
    "max": lambda x, axis=None, keepdims=False: torch.amax(x, axes_of(x, axis), keepdims),
    "mean": lambda x, axis=None, keepdims=False: torch.mean(x, axes_of(x, axis), keepdims),
    "min": lambda x, axis=None, keepdims=False: torch.amin(x, axes_of(x, axis), keepdims),
    "nonzero": lambda x: torch.nonzero(x, as_tuple=True),
    "not_equal": torch.ne,
    "outer": torch.outer,
    "pad": pad,
    "permute_dims": lambda x, axes: torch.permute(x, axes),
    "pow": alike("pow"),
    "prod": over_axes(lambda x, i, keep: torch.prod(x, i, keep)),
    "from_parts": torch.complex,
    "replace": replace,
    "roll": lambda x, shift, axis=None: torch.roll(x, shift, axis),
    "slice": lambda x, key: x[index(key)],
    "sort": lambda x, axis=-1, descending=False, stable=True: (
        torch.sort(x, dim=axis, descending=descending, stable=stable).values
    ),
    "squeeze": lambda x, axis: torch.squeeze(x, axis),
    "std": lambda x, axis=None, correction=0, keepdims=False: torch.std(
        x, axes_of(x, axis), correction=correction, keepdim=keepdims
    ),
    "sum": lambda x, axis=None, keepdims=False: torch.sum(x, axes_of(x, axis), keepdims),
    "stack": lambda *xs, axis: torch.stack(xs, dim=axis),
    "take": lambda x, indices, dim: torch.index_select(x, dim, indices % x.shape[dim]),
    "take_along": lambda x, indices, dim: torch.gather(x, dim, indices % x.shape[dim]),
    "tensordot": lambda x1, x2, axes=2: torch.tensordot(x1, x2, dims=axes),
    "tril": lambda x, k=0: torch.tril(x, k),
    "triu": lambda x, k=0: torch.triu(x, k),
    "unslice": unslice,
    "unstack": lambda x, axis=0: torch.unbind(x, axis),
    "var": lambda x, axis=None, correction=0, keepdims=False: torch.var(
        x, axes_of(x, axis), correction=correction, keepdim=keepdims
    ),
    "vecdot": lambda x1, x2, axis=-1: (x1.conj() * x2).sum(axis),
}


for other in OTHERS:
    REFERENCE |= other.REFERENCE


# inputs for the operations without a gradient, which declare no example
INTEGERS = np.asarray([[6, 3, -5], [0, 7, 12]]), np.asarray([2, 5, 1])
TRUTHS = np.asarray([[True, True, False], [False, True, False]]), np.asarray([True, False, True])
REALS = np.asarray([[1.5, -2.0, 0.0], [3.0, -0.0, 1.5]]), np.asarray([1.5, 3.0, -0.5])
SPECIAL = (np.asarray([[1.0, np.inf, -np.inf], [np.nan, -0.0, 0.0]]),)
INPUTS = (
    {name: [(TRUTHS, {})] for name in ("logical_and", "logical_or", "logical_xor")}
    | {"logical_not": [(TRUTHS[:1], {})], "bitwise_invert": [(INTEGERS[:1], {}), (TRUTHS[:1], {})]}
    | {f"bitwise_{name}": [(INTEGERS, {}), (TRUTHS, {})] for name in ("and", "or", "xor")}
    | {f"bitwise_{name}_shift": [(INTEGERS, {})] for name in ("left", "right")}
    | {name: [(SPECIAL, {})] for name in ("isfinite", "isinf", "isnan", "signbit")}
    | {name: [(TRUTHS[:1], {}), (TRUTHS[:1], {"axis": 1})] for name in ("all", "any")}
    | {
        name: [(REALS, {}), (INTEGERS, {})]
        for name in ["equal", "not_equal", "less", "less_equal", "greater", "greater_equal"]
    }
    | {
        name: [
            ((INTEGERS[0] * 1.0,), {}),
            ((INTEGERS[0] * 1.0,), {"axis": 0}),
            ((INTEGERS[0],), {"axis": -1, "keepdims": True}),
        ]
        for name in ("argmax", "argmin")
    }
    | {
        "argsort": [
            (REALS[:1], {"axis": 0}),
            (REALS[:1], {"descending": True}),  # equal elements keep their order
        ],
        "count_nonzero": [(REALS[:1], {}), (INTEGERS[:1], {"axis": 0})],
        "nextafter": [(REALS, {})],
        "nonzero": [(REALS[:1], {}), (TRUTHS[:1], {})],
        "searchsorted": [
            ((np.asarray([-1.0, 0.5, 0.5, 2.0]), np.asarray([[0.5, 3.0], [-1.0, -2.0]])), {}),
            ((np.asarray([1, 2, 2, 5]), np.asarray([2, 5, 0])), {"side": "right"}),
        ],
    }
)


for other in OTHERS:
    INPUTS |= getattr(other, "INPUTS", {})


def test_every_operation_has_a_reference():
    missing = OPS.keys() - REFERENCE.keys() - NO_REFERENCE.keys()
    assert not missing, f"add to REFERENCE the function of PyTorch for {sorted(missing)}"


def referenced():
    return [(name, i) for name, i in differentiable() if name not in NO_REFERENCE]


def without_gradient():
    return [
        name for name, op in sorted(OPS.items()) if isinstance(op, Primitive) and op.no_gradient
    ]


def leaves(operands):
    """The operands of an example for us and for PyTorch, the floating ones as leaves."""
    ours = [
        x.requires_grad_() if is_floating(a) else x
        for x, a in zip(tensors(operands), operands, strict=True)
    ]
    theirs = [torch.tensor(x) if isinstance(x, np.ndarray) else x for x in operands]
    theirs = [
        x.requires_grad_() if is_floating(a) else x for x, a in zip(theirs, operands, strict=True)
    ]
    return ours, theirs


def as_torch(static):
    return {
        k: torch.tensor(v.numpy()) if isinstance(v, tx.Tensor) else v for k, v in static.items()
    }


def several(y):
    return list(y) if isinstance(y, (tuple, list)) else [y]


def weighted(ys, make, seed):
    """Re Σ weights · y over several results, the weights from one seed on both sides."""
    rng = np.random.default_rng(seed)
    terms = [(y * make(weights(rng, y))).sum().real for y in ys]
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def weights(rng, y):
    real = rng.normal(size=tuple(y.shape))
    return real + 1j * rng.normal(size=real.shape) if "complex" in str(y.dtype) else real


@each(("name", "i"), referenced())
def test_value_gradient_and_curvature(name, i):
    compare(name, *example(name, i))


@each(("name", "i"), complex_cases())
def test_complex_value_gradient_and_curvature(name, i):
    compare(name, *complex_example(name, i))


def compare(name, operands, static):
    ours, theirs = leaves(operands)
    ys = several(call(name, ours, static))
    zs = several(REFERENCE[name](*theirs, **as_torch(static)))
    assert len(ys) == len(zs)
    for y, z in zip(ys, zs, strict=True):
        close(y, z, 1e-12, f"{name}: value")

    xs = [x for x in ours if isinstance(x, tx.Tensor) and x.requires_grad]
    ts = [x for x in theirs if torch.is_tensor(x) and x.requires_grad]
    loss, reference = weighted(ys, tx.asarray, 1), weighted(zs, torch.tensor, 1)
    gs = tx.autograd.grad(loss, xs, create_graph=True, allow_unused=True)
    hs = torch.autograd.grad(reference, ts, create_graph=True, allow_unused=True)
    gs, hs = filled(gs, xs, tx.zeros_like), filled(hs, ts, torch.zeros_like)
    for k, (g, h) in enumerate(zip(gs, hs, strict=True)):
        close(g, h, 1e-12, f"{name}: d/dx{k}")

    curved, bent = weighted(gs, tx.asarray, 2), weighted(hs, torch.tensor, 2)
    unbent = (None,) * len(xs)  # linear: no second derivative is recorded
    gs = tx.autograd.grad(curved, xs, allow_unused=True) if curved.requires_grad else unbent
    hs = torch.autograd.grad(bent, ts, allow_unused=True) if bent.requires_grad else unbent
    gs, hs = filled(gs, xs, tx.zeros_like), filled(hs, ts, torch.zeros_like)
    for k, (g, h) in enumerate(zip(gs, hs, strict=True)):
        close(g, h, 2e-11, f"{name}: second derivative at x{k}")


def filled(gs, xs, zeros):
    return [zeros(x) if g is None else g for g, x in zip(gs, xs, strict=True)]


@each("name", without_gradient())
def test_value_without_gradient(name):
    assert name in INPUTS, f"add inputs for {name} to INPUTS"
    for operands, static in INPUTS[name]:
        ys = several(call(name, tensors(operands), static))
        zs = several(REFERENCE[name](*map(torch.tensor, operands), **renamed(name, static)))
        assert len(ys) == len(zs)
        for y, z in zip(ys, zs, strict=True):
            np.testing.assert_array_equal(y.numpy(), z.numpy(), err_msg=name)


def renamed(name, static):
    return {"right": static["side"] == "right"} if name == "searchsorted" and static else static
