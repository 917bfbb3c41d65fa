"""Activations against PyTorch where its samples do not look: kinks, infinities, modules."""

import inspect
import math
import re

import numpy as np
import pytest

import tinyxp as tx
from tests.compare import close
from tests.helpers import each, leaf
from tests.nn.test_nn_torch import compare
from tinyxp import nn
from tinyxp.errors import ArgumentError, AxisError, DTypeError, GradientError, ShapeError
from tinyxp.random import Generator

torch = pytest.importorskip("torch", reason="PyTorch is the reference: pip install torch")
F, TF = nn.functional, torch.nn.functional

ELEMENTWISE = {
    "relu": {},
    "relu6": {},
    "leaky_relu": {"negative_slope": 0.3},
    "rrelu": {"lower": 0.25, "upper": 0.5},
    "elu": {"alpha": 1.7},
    "selu": {},
    "celu": {"alpha": 0.5},  # a float32: PyTorch rounds α to one in the gradient
    "gelu": {"approximate": "tanh"},
    "silu": {},
    "mish": {},
    "softplus": {"beta": 0.5, "threshold": 2.0},
    "softsign": {},
    "sigmoid": {},
    "logsigmoid": {},
    "tanh": {},
    "tanhshrink": {},
    "hardtanh": {"min_val": -1.0, "max_val": 2.0},
    "hardswish": {},
    "hardshrink": {"lambd": 1.0},
    "softshrink": {"lambd": 1.0},
    "threshold": {"threshold": 1.0, "value": 20.0},
}
INPLACE = [
    name for name in ELEMENTWISE if "inplace" in inspect.signature(getattr(F, name)).parameters
]


@each("name", ELEMENTWISE)
def test_values_and_slopes_where_pieces_meet(name, backend):
    x = np.asarray([-40.0, -6, -3, -2, -1, -0.5, -1e-9, 0, 1e-9, 0.5, 1, 2, 3, 4, 6, 40])
    options = ELEMENTWISE[name]
    compare(lambda x: getattr(F, name)(x, **options), lambda x: getattr(TF, name)(x, **options), x)


@each("name", ELEMENTWISE)
def test_far_away(name, backend):
    """Infinities and numbers whose exponential overflows give values, not warnings or NaN."""
    product = name in ("silu", "mish", "hardswish", "gelu", "softsign")  # inf · 0 is NaN
    x = np.asarray([-1e4, 1e4] if product else [-np.inf, -1e4, 1e4, np.inf])
    options = ELEMENTWISE[name]
    y = getattr(F, name)(tx.asarray(x), **options).numpy()
    expected = getattr(TF, name)(torch.from_numpy(x), **options).numpy()
    np.testing.assert_allclose(y, expected, rtol=1e-12)


@each(
    "name",
    ["relu", "relu6", "hardtanh", "leaky_relu", "elu", "threshold", "hardshrink", "softshrink"],
)
def test_nan_stays_nan_and_its_gradient_is_not_lost(name, backend):
    x = leaf([math.nan])
    y = getattr(F, name)(x, **ELEMENTWISE[name])
    y.sum().backward()
    assert np.isnan(y.detach().numpy()).all()
    assert x.grad.numpy()[0] != 0


def test_hardsigmoid(backend):
    """PyTorch's own gradient has 1/6 in float32; it is asked by its definition."""
    x = np.asarray([-4.0, -3.0, -1.0, 0.0, 2.0, 3.0, 4.0])
    compare(F.hardsigmoid, lambda x: TF.relu6(x + 3) / 6, x)
    np.testing.assert_allclose(
        F.hardsigmoid(tx.asarray(x)).numpy(),
        TF.hardsigmoid(torch.from_numpy(x)).numpy(),
        rtol=1e-15,
    )


@each("name", INPLACE)
def test_in_place(name, backend, rng):
    values, options = rng.normal(size=(3, 4)) * 3, ELEMENTWISE[name] | {"inplace": True}

    def ours(x):
        h = x * 1.5
        y = getattr(F, name)(h, **options)
        assert y is h
        return h * h

    def theirs(x):
        h = x * 1.5
        y = getattr(TF, name)(h, **options)
        return y * y

    compare(ours, theirs, values)
    x = tx.asarray(values, requires_grad=True)
    with pytest.raises(GradientError, match=r"inplace=True on a leaf that requires grad"):
        getattr(F, name)(x, **options)
    with tx.no_grad():
        assert getattr(F, name)(x, **options) is x
    expected = getattr(TF, name)(torch.from_numpy(values), **ELEMENTWISE[name])
    close(x, expected, 1e-10, name)


@each("name", [name for name in ELEMENTWISE if hasattr(F, f"{name}_")])
def test_overwriting(name, backend, rng):
    values, options = rng.normal(size=(3, 4)) * 3, ELEMENTWISE[name]

    def through(functional):
        def run(x):
            h = x * 1.5
            assert getattr(functional, f"{name}_")(h, **options) is h
            return h * h

        return run

    compare(through(F), through(TF), values)
    with pytest.raises(GradientError, match=r"inplace=True on a leaf that requires grad"):
        getattr(F, f"{name}_")(tx.asarray(values, requires_grad=True), **options)


@pytest.mark.parametrize("shape", [(), (0,), (1,), (2, 0, 3), (2, 3, 4)])
def test_prelu(shape, backend, rng):
    x = np.asarray(rng.normal(size=shape))
    compare(F.prelu, TF.prelu, x, np.asarray([0.3]))
    channels = shape[1] if len(shape) > 1 else 1
    if channels:
        compare(F.prelu, TF.prelu, x, rng.uniform(size=(channels,)))


def test_the_slope_of_prelu_has_no_part_in_what_is_infinite(backend):
    x, slope = tx.asarray([[math.inf, 2.0], [-1.0, math.inf]]), leaf([0.5, 0.2])
    F.prelu(x, slope).sum().backward()
    assert slope.grad.tolist() == [-1.0, 0.0]


def test_rrelu_in_training(backend, rng):
    x = tx.asarray(rng.normal(size=(100, 100)), requires_grad=True)
    y = F.rrelu(x, 0.2, 0.6, True, generator=Generator(0))
    y.sum().backward()
    values, found, slopes = x.detach().numpy(), y.detach().numpy(), x.grad.numpy()
    above = values > 0
    np.testing.assert_array_equal(found[above], values[above])
    np.testing.assert_array_equal(slopes[above], 1)
    drawn = slopes[~above]  # the gradient is the slope that was drawn
    np.testing.assert_allclose(found[~above], drawn * values[~above], rtol=1e-14)
    assert drawn.min() >= 0.2
    assert drawn.max() <= 0.6
    spread = 0.4 / math.sqrt(12)
    assert abs(drawn.mean() - 0.4) < 5 * spread / math.sqrt(drawn.size)
    assert abs(drawn.std() - spread) < 5 * spread / math.sqrt(drawn.size)
    again = nn.RReLU(0.2, 0.6, generator=Generator(0))
    assert (again(x.detach()).numpy() == found).all()
    assert (again(x.detach()).numpy() != found).any()
    close(
        again.eval()(x.detach()), TF.rrelu(torch.from_numpy(values), 0.2, 0.6), 1e-10, "evaluation"
    )


# -- along an axis ----------------------------------------------------------------------------


@each("name", ["softmax", "softmin", "log_softmax"])
@each("shape", [(), (5,), (2, 3), (2, 3, 4), (2, 1, 3, 2), (0, 3), (3, 0)])
@pytest.mark.filterwarnings("ignore:Implicit dimension choice")
def test_softmax_without_an_axis(name, shape, backend, rng):
    compare(getattr(F, name), getattr(TF, name), np.asarray(rng.normal(size=shape) * 5))


@pytest.mark.parametrize("name", ["softmax", "softmin", "log_softmax"])
def test_softmax_of_a_view_and_in_another_dtype(name, backend, rng):
    x = rng.normal(size=(3, 4, 2))
    for dim in (0, 1, -1):
        compare(
            lambda x, dim=dim: getattr(F, name)(tx.permute_dims(x, (2, 0, 1)), dim),
            lambda x, dim=dim: getattr(TF, name)(x.permute(2, 0, 1), dim),
            x,
        )
    ours = leaf(x, tx.float32)
    y = getattr(F, name)(ours, dim=1, dtype=tx.float64)
    theirs = torch.tensor(x, dtype=torch.float32, requires_grad=True)
    z = getattr(TF, name)(theirs, dim=1, dtype=torch.float64)
    close(y, z, 1e-10, "value")
    (y * y).sum().backward()
    (z * z).sum().backward()
    assert ours.grad.dtype is tx.float32
    close(ours.grad, theirs.grad, 1e-6, "gradient")


@pytest.mark.parametrize("dim", [0, 1, -1])
def test_glu(dim, backend, rng):
    compare(lambda x: F.glu(x, dim), lambda x: TF.glu(x, dim), rng.normal(size=(2, 4, 6)))
    compare(lambda x: F.glu(x, 1), lambda x: TF.glu(x, 1), rng.normal(size=(0, 4)))


def test_gumbel_softmax_draws_by_the_probabilities(backend):
    p = np.asarray([0.5, 0.3, 0.15, 0.05])
    n = 4000
    logits = tx.asarray(np.tile(np.log(p), (n, 1)))
    hard = F.gumbel_softmax(logits, hard=True, generator=Generator(0)).numpy()
    assert set(np.unique(hard)) == {0.0, 1.0}
    assert (hard.sum(axis=-1) == 1).all()
    assert (abs(hard.mean(axis=0) - p) < 5 * np.sqrt(p * (1 - p) / n)).all()


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("dim", [0, -1])
def test_gumbel_softmax_has_the_gradient_of_the_soft_one(hard, dim, backend, rng):
    values, tau = rng.normal(size=(5, 3)), 0.7
    soft = F.gumbel_softmax(tx.asarray(values), tau, dim=dim, generator=Generator(3)).numpy()
    np.testing.assert_allclose(soft.sum(axis=dim), 1, rtol=1e-12)
    # softmax((x + G) / τ) = soft, so τ ln soft has the x + G that was drawn, up to a constant
    noise = torch.from_numpy(tau * np.log(soft) - values)

    def theirs(x):
        y = TF.softmax((x + noise) / tau, dim)
        if not hard:
            return y
        one_hot = torch.zeros_like(y).scatter(dim, y.argmax(dim, keepdim=True), 1.0)
        return one_hot - y.detach() + y

    compare(
        lambda x: F.gumbel_softmax(x, tau, hard, dim=dim, generator=Generator(3)), theirs, values
    )


# -- modules ----------------------------------------------------------------------------------

MODULES = {
    "ReLU": [(), (True,)],
    "ReLU6": [(), (True,)],
    "LeakyReLU": [(), (0.2, True)],
    "PReLU": [(), (3, 0.5)],
    "RReLU": [(), (0.1, 0.3)],
    "ELU": [(), (0.5,)],
    "SELU": [()],
    "CELU": [(), (0.5, True)],
    "GELU": [(), ("tanh",)],
    "SiLU": [(), (True,)],
    "Mish": [()],
    "Softplus": [(), (2.0, 1.0)],
    "Softsign": [()],
    "Sigmoid": [()],
    "LogSigmoid": [()],
    "Tanh": [()],
    "Tanhshrink": [()],
    "Hardtanh": [(), (-0.5, 0.25)],
    "Hardsigmoid": [()],
    "Hardswish": [()],
    "Hardshrink": [(), (0.1,)],
    "Softshrink": [(), (0.1,)],
    "Threshold": [(0.1, 2.0), (0.1, 2.0, True)],
    "GLU": [(1,)],
    "Softmax": [(1,), (-1,)],
    "Softmax2d": [()],
    "Softmin": [(1,)],
    "LogSoftmax": [(1,)],
}


@each("name", MODULES)
def test_modules(name, backend, rng):
    for args in MODULES[name]:
        channels = 2 if name == "GLU" else 3
        x = rng.normal(size=(2, channels, 4, 2))
        ours = getattr(nn, name)(*args).to(dtype=tx.float64).eval()
        theirs = getattr(torch.nn, name)(*args).double().eval()
        assert repr(ours).split("  #")[0] == repr(theirs)
        assert list(ours.state_dict()) == list(theirs.state_dict())
        for key, value in theirs.state_dict().items():
            close(ours.state_dict()[key], value, 1e-10, f"first value of {key}")
        compare(  # times 1, because inplace=True refuses leaves
            lambda x, ours=ours: ours(x * 1),
            lambda x, theirs=theirs: theirs(x * 1),
            x,
            rtol=1e-7 if name == "Hardsigmoid" else 1e-10,  # see test_hardsigmoid
        )


@pytest.mark.parametrize(
    "name", [*(n for n in ELEMENTWISE if n not in ("tanh", "sigmoid")), "softmax", "prelu", "glu"]
)
def test_signatures(name):
    try:
        theirs = inspect.signature(getattr(TF, name))
    except ValueError:  # written in C++, which has no signature to look at
        return
    found = inspect.signature(getattr(F, name)).parameters.values()
    ours = [(p.name, p.default) for p in found if p.kind is not p.KEYWORD_ONLY]
    assert ours == [(p.name, p.default) for p in theirs.parameters.values()]


# -- refusals ---------------------------------------------------------------------------------


@each(
    ("call", "error", "message"),
    [
        (lambda x: F.hardtanh(x, 1.0, -1.0), ArgumentError, "min_val <= max_val, got 1.0 and -1.0"),
        (lambda x: F.rrelu(x, 0.5, 0.25), ArgumentError, "lower <= upper, got 0.5 and 0.25"),
        (lambda x: F.celu(x, 0.0), ArgumentError, "divides by alpha, got 0"),
        (lambda x: F.softshrink(x, "a"), DTypeError, "a number as lambd, got 'a'"),
        (lambda x: F.softshrink(x, -1.0), ArgumentError, "lambd of 0 or more, got -1.0"),
        (lambda x: F.gelu(x, "erf"), ArgumentError, "'none' or 'tanh', got 'erf'"),
        (lambda x: F.prelu(x, tx.ones(2)), ShapeError, r"(3), a slope .* (2, 3), got (2,)"),
        (lambda x: F.prelu(x, tx.ones((1, 1))), ShapeError, r"got (1, 1)"),
        (lambda x: F.prelu(x, 0.5), DTypeError, "prelu expects Tensors, got float"),
        (lambda x: F.glu(x), ShapeError, "even length of axis 1, got shape (2, 3)"),
        (lambda x: F.glu(tx.asarray(1.0)), ShapeError, "a tensor without any"),
        (lambda x: F.glu(x, 2), AxisError, "axis 2 does not exist"),
        (lambda x: F.glu(x, None), DTypeError, "one axis, an integer, got None"),
        (lambda x: F.softmax(x, 2), AxisError, "axis 2 does not exist"),
        (lambda x: F.log_softmax(x, -3), AxisError, "axis -3 does not exist"),
        (lambda x: F.softmax(x, (0, 1)), DTypeError, "one axis, an integer, got (0, 1)"),
        (lambda x: nn.Softmax2d()(x), ShapeError, r"(N, C, H, W) or (C, H, W), got (2, 3)"),
        (lambda x: F.relu([1.0]), DTypeError, "relu expects Tensors, got list"),
        (lambda x: F.elu(tx.astype(x, tx.complex128)), DTypeError, "elu is for real numbers"),
    ],
)
def test_what_is_refused(call, error, message, backend):
    pattern = ".*".join(map(re.escape, message.split(".*")))
    with pytest.raises(error, match=pattern):
        call(tx.ones((2, 3)))
