"""Edge cases: signed zeros, infinities, NaN, borders of domains, saturation.

Values and slopes of every elementwise operation are compared with PyTorch's and with their limits.
A NaN in an operand gives a NaN.
"""

import importlib
import itertools
import math

import numpy as np
import pytest

import tinyxp as tx
from tests.helpers import each
from tests.registry import example, slopes
from tinyxp.core.operation import OPS
from tinyxp.errors import ArgumentError, AxisError
from tinyxp.nn import functional as F

INF, NAN = math.inf, math.nan
GRID = [s * x for x in (0.0, 1e-30, 0.5, 1.0, 2.0, 3.0, 6.0, 25.0, 1e4, INF) for s in (1, -1)] + [
    NAN
]
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy warns of such numbers

# -- every elementwise operation against PyTorch --------------------------------------------------

FLOORS = (
    *("activations", "arithmetic", "bounds", "exponential", "margins", "probabilities"),
    *("rectifiers", "regression", "rounding", "trigonometric"),
)
ROWS = ("glu", "log_softmax", "multi_margin_loss", "multilabel_margin_loss", "prelu", "softmax")
ELEMENTWISE = [
    name
    for name, op in sorted(OPS.items())
    if op.fn.__module__.rsplit(".", 1)[-1] in FLOORS and name not in ROWS
]
DOMAIN = {"binary_cross_entropy": [0.0, 1e-30, 0.3, 1.0], "gaussian_nll_loss": GRID[:-1]}


# where tinyxp differs from PyTorch: operation, result, where, and why
DEVIATIONS = [
    ("atan2", "d1", lambda y, x: (abs(x) < 1) & (abs(y) < 1), "its squares underflow to 0"),
    ("atan2", "d2", lambda y, x: (abs(x) < 1) & (abs(y) < 1), "its squares underflow to 0"),
    ("remainder", "d2", lambda x1, x2: np.isinf(x2), "its quotient there is Python's, -1, not -0"),
    ("sign", "y", np.isnan, "0, the sign of a NaN"),
    ("gelu", "y", np.isposinf, "NaN for infinity in float32, by its vector instructions"),
]


def grid(name, dtype):
    """The operands of an operation: the numbers, or all pairs of them, and 1 for a third."""
    operands, static = example(name, 0)
    numbers = np.array(DOMAIN.get(name, GRID), dtype)
    if len(operands) == 1:
        return [numbers], static
    pairs = [np.ravel(x).copy() for x in np.meshgrid(numbers, numbers)]
    if len(operands) == 3:
        first = [np.arange(pairs[0].size) % 2 == 0] if name == "where" else []
        pairs = first + pairs + [np.ones_like(pairs[0])] * (1 - len(first))
    return pairs, static


def slopes_of_torch(torch, f, operands):
    xs = [torch.tensor(x) for x in operands]
    leaves = [x.requires_grad_() for x in xs if x.is_floating_point()]
    y = f(*xs)
    if y.requires_grad:
        y.sum().backward()
    zeros = torch.zeros(y.shape)
    return {"y": y.detach().numpy()} | {
        f"d{i}": (zeros if x.grad is None else x.grad).numpy(force=True)
        for i, x in enumerate(leaves, 1)
    }


@each("name", ELEMENTWISE)
def test_as_pytorch(name, backend):
    """Except slopes where the value is NaN, and those where PyTorch gives 0 · ∞."""
    torch = pytest.importorskip("torch", reason="PyTorch is the reference")
    reference = importlib.import_module("tests.ops.test_reference").REFERENCE[name]
    for dtype in ("float32", "float64"):
        operands, static = grid(name, dtype)
        ours = slopes(lambda *xs, static=static: OPS[name].call(xs, dict(static)), operands)
        theirs = slopes_of_torch(
            torch, lambda *xs, static=static: reference(*xs, **static), operands
        )
        rtol, atol = (2e-3, 1e-6) if dtype == "float32" else (1e-8, 1e-14)
        for what, a in ours.items():
            b = theirs[what]
            alike = (a == b) | (np.isnan(a) & np.isnan(b)) | (abs(a - b) <= rtol * abs(b) + atol)
            if what != "y":
                alike |= np.isnan(ours["y"]) | np.isnan(b)
            for operation, result, where, _ in DEVIATIONS:
                if (operation, result) == (name, what):
                    alike |= where(*operands)
            wrong = [
                f"{[float(x[i]) for x in operands]}: {a[i]}, PyTorch {b[i]}"
                for i in np.flatnonzero(~alike)[:6]
            ]
            assert not wrong, f"{name} {what}, {dtype}: {wrong}"


# -- limits, independent of PyTorch ----------------------------------------------------------------

LIMITS = {  # operation: {x: (value, slope)}
    "exp": {-INF: (0, 0), -1e4: (0, 0), 0.0: (1, 1), INF: (INF, INF)},
    "expm1": {-INF: (-1, 0), -25.0: (-1, math.exp(-25)), 0.0: (0, 1), INF: (INF, INF)},
    "log": {0.0: (-INF, INF), 1.0: (0, 1), INF: (INF, 0)},
    "log1p": {-1.0: (-INF, INF), 0.0: (0, 1), INF: (INF, 0)},
    "sqrt": {0.0: (0, INF), INF: (INF, 0)},
    "reciprocal": {0.0: (INF, -INF), INF: (0, 0)},
    "erf": {-INF: (-1, 0), 0.0: (0, 2 / math.sqrt(math.pi)), INF: (1, 0)},
    "tanh": {
        -INF: (-1, 0),
        -25.0: (-1, 4 * math.exp(-50)),
        25.0: (1, 4 * math.exp(-50)),
        INF: (1, 0),
    },
    "asin": {-1.0: (-math.pi / 2, INF), 1.0: (math.pi / 2, INF)},
    "acos": {-1.0: (math.pi, -INF), 1.0: (0, -INF)},
    "atan": {-INF: (-math.pi / 2, 0), INF: (math.pi / 2, 0)},
    "acosh": {1.0: (0, INF), INF: (INF, 0)},
    "asinh": {-INF: (-INF, 0), INF: (INF, 0), 1e30: (None, 1e-30)},
    "atanh": {-1.0: (-INF, INF), 1.0: (INF, INF)},
    "abs": {-0.0: (0, 0), -INF: (INF, -1)},
    "sigmoid": {
        -INF: (0, 0),
        -25.0: (math.exp(-25), math.exp(-25)),
        25.0: (1, math.exp(-25)),
        INF: (1, 0),
    },
    "logsigmoid": {
        -INF: (-INF, 1),
        -1e4: (-1e4, 1),
        25.0: (-math.exp(-25), math.exp(-25)),
        INF: (0, 0),
    },
    "softplus": {-INF: (0, 0), -25.0: (math.exp(-25), math.exp(-25)), 25.0: (25, 1), INF: (INF, 1)},
    "gelu": {-25.0: (0, 0), 0.0: (0, 0.5), 25.0: (25, 1), INF: (INF, None)},
    "relu": {-INF: (0, 0), 0.0: (0, 0), INF: (INF, 1)},
    "softsign": {-1e4: (None, 1 / 10001**2), 0.0: (0, 1), INF: (None, 0)},
    "tanhshrink": {1e-3: (None, math.tanh(1e-3) ** 2), 25.0: (24, 1), INF: (INF, 1)},
}


@each("name", LIMITS)
def test_limits(name, backend):
    for dtype, (x, expected) in itertools.product(("float32", "float64"), LIMITS[name].items()):
        found = slopes(lambda *xs: OPS[name].call(xs, {}), [np.array([x], dtype)])
        for what, wanted in zip(("y", "d1"), expected, strict=True):
            if wanted is not None:
                np.testing.assert_allclose(
                    found[what], [wanted], 1e-5, 1e-30, err_msg=f"{name}({x}) {what}, {dtype}"
                )


@pytest.mark.parametrize("alpha", [1.0, 0.5])
@pytest.mark.parametrize("name", ["elu", "celu", "selu"])
def test_slopes_of_elus_are_exponentials(name, alpha, backend):
    x = np.array([-40.0, -20.0, -10.0, -6.0, -0.5], "float32")
    if name == "selu":
        scale, found = 1.0507009873554805 * 1.6732632423543772, slopes(F.selu, [x])
    else:
        scale, found = alpha, slopes(lambda x: getattr(F, name)(x, alpha), [x])
    if name == "celu":
        x, scale = x / np.float32(alpha), 1.0
    np.testing.assert_allclose(found["d1"], scale * np.exp(np.float64(x)), 1e-6)


PAIRS = {  # operation: {(x1, x2): slopes}
    "pow": {
        (0.0, -1.0): (-INF, -INF),
        (0.0, 0.0): (0, 0),
        (0.0, 1.0): (1, 0),
        (0.0, INF): (None, 0),
        (INF, 0.0): (0, None),
        (-INF, 0.0): (0, None),
        (NAN, 0.0): (0, None),
        (2.0, 0.0): (0, math.log(2)),
        (-2.0, 3.0): (12, NAN),
    },
    "atan2": {(-0.0, 0.0): (0, 0), (1e-30, 1e-30): (5e29, -5e29)},
    "hypot": {(0.0, 0.0): (0, 0), (1e30, 1e30): (math.sqrt(0.5), math.sqrt(0.5))},
    "logaddexp": {
        (1e8, 1e8): (0.5, 0.5),
        (-1e8, -1e8): (0.5, 0.5),
        (0.0, -25.0): (1, math.exp(-25)),
        (-INF, -INF): (0.5, 0.5),
        (-INF, 1.0): (0, 1),
        (INF, 1.0): (1, 0),
    },
    "copysign": {
        (0.0, -1.0): (0, 0),
        (-0.0, 1.0): (0, 0),
        (-2.0, 1.0): (-1, 0),
        (INF, -1.0): (-1, 0),
    },
    "maximum": {(1.0, 1.0): (0.5, 0.5), (0.0, -0.0): (0.5, 0.5), (INF, 1.0): (1, 0)},
    "minimum": {(1.0, 1.0): (0.5, 0.5), (-INF, 1.0): (1, 0)},
    "remainder": {(7.5, 2.0): (1, -3), (-1e-30, 2.0): (1, 1), (1.0, 0.1): (1, -9)},
}


@each("name", PAIRS)
def test_slopes_of_pairs(name, backend):
    for dtype, (x, expected) in itertools.product(("float32", "float64"), PAIRS[name].items()):
        if x == (1.0, 0.1) and dtype == "float32":
            continue  # in these dtypes 0.1 is larger than 1/10
        found = slopes(lambda *xs: OPS[name].call(xs, {}), [np.array([v], dtype) for v in x])
        for what, wanted in zip(("d1", "d2"), expected, strict=True):
            if wanted is not None:
                np.testing.assert_allclose(
                    found[what], [wanted], 1e-5, err_msg=f"{name}{x} {what}, {dtype}"
                )


def test_powers_by_numbers(backend):
    x = np.array([INF, -INF, NAN, 0.0, 2.0])
    assert slopes(lambda x: x**0, [x])["d1"].tolist() == [0, 0, 0, 0, 0]
    assert slopes(lambda x: x**1, [x])["d1"].tolist() == [1, 1, 1, 1, 1]
    y = slopes(lambda y: 0.0**y, [np.array([-1.0, 0.0, 1.0, INF])])
    assert y["d1"].tolist() == [-INF, 0, 0, 0]


def test_clip_passes_the_whole_gradient_on_its_bounds(backend):
    x = np.array([0.0, 1.0, 2.0, 3.0, 5.0])
    assert slopes(lambda x: tx.clip(x, 1, 3), [x])["d1"].tolist() == [0, 1, 1, 1, 0]
    found = slopes(tx.clip, [x, np.ones(5), np.full(5, 3.0)])
    assert found["d1"].tolist() == [0, 1, 1, 1, 0]
    assert found["d2"].tolist() == [1, 0, 0, 0, 0]
    assert found["d3"].tolist() == [0, 0, 0, 0, 1]


def test_gradients_behind_where_are_not_nan(backend):
    x = np.array([0.0, 4.0])
    for f in (tx.log, tx.log2, tx.log10, tx.sqrt, lambda x: tx.log1p(x - 1)):
        assert np.isfinite(slopes(lambda x, f=f: tx.where(x > 0, f(x), 0.0), [x])["d1"]).all()


# -- a NaN in an operand gives a NaN ---------------------------------------------------------------

FOLDS = {
    **{f.__name__: f for f in (tx.cumulative_prod, tx.logsumexp, tx.max, tx.mean, tx.min, tx.prod)},
    **{f.__name__: f for f in (tx.sort, tx.std, tx.sum, tx.var)},
    "clip": lambda x: tx.clip(x, -1.0, 1.0),
    "clip by NaN": lambda x: tx.clip(tx.zeros_like(x), x, None),
    "softmax": lambda x: F.softmax(x, dim=0),
    "log_softmax": lambda x: F.log_softmax(x, dim=0),
    "layer_norm": lambda x: F.layer_norm(x, x.shape),
    "rms_norm": lambda x: F.rms_norm(x, x.shape),
    "batch_norm": lambda x: F.batch_norm(x[:, None], None, None, training=True),
    "group_norm": lambda x: F.group_norm(x[None, :], 1),
    "local_response_norm": lambda x: F.local_response_norm(x[None, None, :], 1),
    "normalize": lambda x: F.normalize(x, dim=0),
    "cosine_similarity": lambda x: F.cosine_similarity(x, tx.ones_like(x), dim=0),
    "pairwise_distance": lambda x: F.pairwise_distance(x, tx.zeros_like(x)),
    "pdist": lambda x: F.pdist(x[:, None]),
    "max_pool1d": lambda x: F.max_pool1d(x[None, :], x.size),
    "avg_pool1d": lambda x: F.avg_pool1d(x[None, :], x.size),
    "lp_pool1d": lambda x: F.lp_pool1d(x[None, None, :], 2.0, x.size),
    "adaptive_max_pool1d": lambda x: F.adaptive_max_pool1d(x[None, :], 1),
    "adaptive_avg_pool1d": lambda x: F.adaptive_avg_pool1d(x[None, :], 1),
    "cross_entropy": lambda x: F.cross_entropy(x, tx.asarray(0)),
    "multi_margin_loss": lambda x: F.multi_margin_loss(x, tx.asarray(0)),
    "multilabel_margin_loss": lambda x: F.multilabel_margin_loss(x, tx.asarray([0, 1, -1, -1])),
    "mse_loss": lambda x: F.mse_loss(x, tx.zeros_like(x)),
    "smooth_l1_loss": lambda x: F.smooth_l1_loss(x, tx.zeros_like(x)),
    "huber_loss": lambda x: F.huber_loss(tx.zeros_like(x), x),
    "kl_div": lambda x: F.kl_div(tx.zeros_like(x), x, reduction="sum"),
    "bce_with_logits": lambda x: F.binary_cross_entropy_with_logits(x, tx.zeros_like(x)),
    "matrix_norm": lambda x: tx.linalg.matrix_norm(x[None, :]),
    **{
        f"vector_norm {p}": lambda x, p=p: tx.linalg.vector_norm(x, ord=p)
        for p in (-INF, -2, -0.5, 0.5, 1, 2, 3, INF)
    },
}


@each("name", FOLDS)
def test_nan_in_nan_out(name, backend):
    for place in range(4):
        x = np.array([0.0, 3.0, -1.0, 0.5])
        x[place] = NAN
        assert np.isnan(FOLDS[name](tx.asarray(x)).numpy()).any(), f"{name} of {x}"


@each("name", ELEMENTWISE)
def test_nan_in_nan_out_elementwise(name, backend):
    operands, static = example(name, 0)
    static.pop("value", None)
    static = static | ({"value": 0.0} if name == "threshold" else {})
    given = [np.full((2,), NAN) if x.dtype.kind == "f" else x.reshape(-1)[:2] for x in operands]
    if name != "where":
        assert np.isnan(slopes(lambda *xs: OPS[name].call(xs, static), given)["y"]).all()


# -- axes, counts, divisors -----------------------------------------------------------------------

REDUCTIONS = (tx.all, tx.any, tx.argmax, tx.argmin, tx.count_nonzero, tx.logsumexp, tx.max, tx.mean)
REDUCTIONS += (tx.min, tx.prod, tx.std, tx.sum, tx.var)
OTHERS = (tx.argsort, tx.cumulative_prod, tx.cumulative_sum, tx.diff, tx.flip, tx.sort, tx.squeeze)
OF_AN_AXIS = {
    **{f.__name__: f for f in (*REDUCTIONS, *OTHERS, tx.unstack)},
    "repeat": lambda x, axis: tx.repeat(x, 2, axis=axis),
    "roll": lambda x, axis: tx.roll(x, 1, axis=axis),
    "take": lambda x, axis: tx.take(x, tx.asarray([0]), axis=axis),
    "topk": lambda x, axis: tx.topk(x, 1, axis=axis),
    "vecdot": lambda x, axis: tx.vecdot(x, x, axis=axis),
    "vector_norm": tx.linalg.vector_norm,
    "vector_norm 3": lambda x, axis: tx.linalg.vector_norm(x, axis=axis, ord=3),
    "fft": lambda x, axis: tx.fft.fft(x, axis=axis),
}


@each("axis", [0, -1])
@each("name", OF_AN_AXIS)
def test_a_tensor_without_axes_has_none(name, axis, backend):
    with pytest.raises(AxisError):
        OF_AN_AXIS[name](tx.asarray(2.0), axis=axis)


def test_all_axes_of_none(backend):
    x = tx.asarray(2.0, requires_grad=True)
    for f in (tx.sum, tx.prod, tx.max, tx.min, tx.mean, tx.logsumexp, tx.linalg.vector_norm):
        x.grad = None
        f(x).backward()
        assert x.grad.item() == 1.0


def test_spreads_of_few_numbers(backend):
    one, two = (slopes(lambda x: tx.std(x, correction=1), [np.ones(n)]) for n in (1, 2))
    assert np.isnan(one["y"]) and two["y"] == 0 and two["d1"].tolist() == [0, 0]
    x = tx.asarray([1.0, 2.0])
    assert tx.var(x, correction=3).item() == tx.std(x, correction=3).item() == INF


def test_products_beside_zeros_and_infinities(backend):
    for f, x, wanted in (
        (tx.prod, [0.0, 2.0, 0.0], [0, 0, 0]),
        (tx.prod, [0.0, 2.0, 3.0], [6, 0, 0]),
        (tx.prod, [INF, 2.0], [2, INF]),
        (tx.cumulative_prod, [1.0, 2.0, INF], [INF, INF, 2]),
        (tx.cumulative_prod, [2.0, 0.0, 3.0], [1, 8, 0]),
    ):
        assert slopes(f, [np.array(x)])["d1"].tolist() == wanted
    x = np.arange(1.0, 8)
    for n in range(1, 8):  # lengths around powers of 2
        sums = slopes(tx.cumulative_prod, [x[:n]])["d1"]
        products = np.cumprod(x[:n])
        np.testing.assert_allclose(sums, [products[i:].sum() / x[i] for i in range(n)])


@each("dtype", ["int8", "int64", "uint8", "uint16", "uint64"])
@each("name", ["floor_divide", "remainder"])
def test_integers_are_not_divided_by_zero(name, dtype, backend):
    x = tx.asarray(np.array([3, 0, 2], dtype))
    for x1, x2 in ((x, 0), (x, x), (5, x)):
        with pytest.raises(ArgumentError, match="zero"):
            getattr(tx, name)(x1, x2)
    assert getattr(tx, name)(x, 2).dtype == x.dtype


def test_numbers_that_do_not_fit_are_no_matter_of_shapes(backend):
    with pytest.raises(ArgumentError, match="pow cannot take"):
        tx.asarray([1, 2]) ** -1
