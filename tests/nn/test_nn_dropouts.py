"""Dropout: what is kept is exact, what is dropped as likely as said, and the rest as in PyTorch."""

import itertools
import math

import numpy as np
import pytest

import tinyxp as tx
from tests.helpers import each
from tests.nn.test_nn_torch import compare
from tinyxp import nn
from tinyxp.errors import ArgumentError, GradientError, ShapeError
from tinyxp.random import Generator

torch = pytest.importorskip("torch", reason="PyTorch is the reference: pip install torch")
F, TF = nn.functional, torch.nn.functional

MODULES = {
    "dropout": "Dropout",
    "dropout1d": "Dropout1d",
    "dropout2d": "Dropout2d",
    "dropout3d": "Dropout3d",
    "alpha_dropout": "AlphaDropout",
    "feature_alpha_dropout": "FeatureAlphaDropout",
}
SHAPES = {  # and how many axes in front are drawn for
    "dropout": [((40, 50), 2), ((300,), 1)],
    "dropout1d": [((40, 50, 2), 2), ((900, 3), 1)],
    "dropout2d": [((40, 50, 2, 3), 2), ((40, 50, 3), 2)],
    "dropout3d": [((40, 50, 2, 1, 3), 2), ((900, 2, 2, 1), 1)],
    "alpha_dropout": [((40, 50), 2), ((300,), 1)],
    "feature_alpha_dropout": [((40, 50, 2), 2), ((30, 40), 2)],
}
CASES = [(name, *case) for name, cases in SHAPES.items() for case in cases]
FLOOR = -1.0507009873554805 * 1.6732632423543772


def affine(name, p):
    """What becomes of a kept x, a x + b, and of a dropped one."""
    if "alpha" not in name:
        return 1 / (1 - p), 0.0, 0.0
    a = ((1 - p) * (1 + p * FLOOR**2)) ** -0.5
    b = -a * FLOOR * p
    return a, b, a * FLOOR + b


@each(("name", "shape", "axes"), CASES)
@each("p", [0.2, 0.5])
def test_kept_and_dropped(name, shape, axes, p, backend, rng):
    values = rng.normal(size=shape)
    x = tx.asarray(values, requires_grad=True)
    y = getattr(F, name)(x, p, True, generator=Generator(0))
    a, b, dropped = affine(name, p)
    found = y.detach().numpy()
    kept = ~np.isclose(found, dropped, rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(
        found, np.where(kept, a * values + b, dropped), rtol=1e-14, atol=1e-14
    )

    rows = kept.reshape(math.prod(shape[:axes]), -1)
    assert (rows == rows[:, :1]).all()  # whole channels
    n = len(rows)
    assert abs(rows[:, 0].mean() - (1 - p)) < 5 * math.sqrt(p * (1 - p) / n)

    weights = rng.normal(size=shape)
    (y * tx.asarray(weights)).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), np.where(kept, a * weights, 0), rtol=1e-14)


@pytest.mark.parametrize("name", ["alpha_dropout", "feature_alpha_dropout"])
def test_mean_and_variance_stay(name, backend, rng):
    x = rng.normal(size=(300, 100))
    y = getattr(F, name)(tx.asarray(x), 0.3, True, generator=Generator(0)).numpy()
    assert abs(y.mean()) < 5 / math.sqrt(y.size)
    assert abs(y.var() - 1) < 5 * math.sqrt(2 / y.size)


@each(("name", "shape", "axes"), CASES)
@pytest.mark.filterwarnings("ignore:dropout2d. Received a 3D input")
def test_where_nothing_is_drawn(name, shape, axes, backend, rng):
    """p = 0, p = 1 and evaluation, exactly as PyTorch; also in place and for no elements."""
    for p, training in ((0.0, True), (1.0, True), (0.5, False), (1.0, False)):
        for inplace in (False, True):
            options = {"p": p, "training": training, "inplace": inplace}
            compare(
                lambda x, options=options: getattr(F, name)(x * 2, **options),
                lambda x, options=options: getattr(TF, name)(x * 2, **options),
                rng.normal(size=(2, *(1,) * (len(shape) - 1))),
            )
        empty = tx.zeros((0, *shape[1:]))
        assert getattr(F, name)(empty, p, training).shape == empty.shape
    assert getattr(F, name)(tx.zeros((0, *shape[1:])), 0.5, True).shape == (0, *shape[1:])


@pytest.mark.parametrize("name", MODULES)
def test_modules(name, backend, rng):
    x = tx.asarray(rng.normal(size=(20, 10, 2)))
    make = getattr(nn, MODULES[name])
    module = make(0.4, generator=Generator(5))
    expected = getattr(F, name)(x, 0.4, True, generator=Generator(5)).tolist()
    assert module(x).tolist() == expected
    assert module(x).tolist() != expected  # it draws on
    assert module.eval()(x) is x
    assert repr(module) == repr(getattr(torch.nn, MODULES[name])(0.4))
    assert repr(make(0.4, True)) == repr(getattr(torch.nn, MODULES[name])(0.4, True))
    tx.manual_seed(5)
    assert make(0.4)(x).tolist() == expected


@pytest.mark.parametrize("name", MODULES)
def test_in_place(name, backend, rng):
    x = tx.asarray(rng.normal(size=(20, 10, 2)), requires_grad=True)
    expected = getattr(F, name)(x, 0.5, True, generator=Generator(0))
    h = x * 1
    assert getattr(F, name)(h, 0.5, True, True, generator=Generator(0)) is h
    assert h.tolist() == expected.tolist()
    (found,) = tx.autograd.grad((h * h).sum(), [x])
    (right,) = tx.autograd.grad((expected * expected).sum(), [x])
    assert found.tolist() == right.tolist()
    with pytest.raises(GradientError, match="inplace=True on a leaf"):
        getattr(F, name)(x, 0.5, True, True)


def test_the_same_places_on_every_backend():
    x = np.ones((7, 5, 3))
    for name in MODULES:
        seen = []
        for backend in ("numpy", "strict", "torch"):
            with tx.backend(backend):
                y = getattr(F, name)(tx.asarray(x), 0.5, True, generator=Generator(2))
                seen.append(y.tolist())
        for one, other in itertools.pairwise(seen):
            np.testing.assert_allclose(one, other, rtol=1e-15)


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("p", [-0.1, 1.5, math.nan])
def test_p_is_a_probability(name, p):
    for call in (
        lambda: getattr(nn, MODULES[name])(p),
        lambda: getattr(F, name)(tx.ones((1, 1)), p),
    ):
        with pytest.raises(ArgumentError, match=r"lies in \[0, 1\]"):
            call()


def test_shapes_without_channels_are_refused():
    for name, shape in (
        ("dropout1d", (3,)),
        ("dropout1d", (2, 3, 4, 5)),
        ("dropout2d", (3,)),
        ("dropout3d", ()),
        ("feature_alpha_dropout", (3,)),
    ):
        with pytest.raises(ShapeError, match=name):
            getattr(F, name)(tx.ones(shape), 0.5, True)
