"""First values: the exact ones against PyTorch, the random ones by their distribution."""

import math

import numpy as np
import pytest

import tinyxp as tx
from tests.helpers import each
from tinyxp import nn
from tinyxp.errors import ArgumentError, DTypeError, GradientError, ShapeError
from tinyxp.nn import init
from tinyxp.random import Generator

torch = pytest.importorskip("torch", reason="PyTorch is the reference: pip install torch")


def leaf(*shape):
    return nn.Parameter(tx.zeros(shape, dtype=tx.float64))


def drawn(fill, *shape, seed=0):
    """The values that ``fill(parameter, generator)`` gives, which must stay the same parameter."""
    p = leaf(*shape)
    assert fill(p, Generator(seed)) is p
    assert p.is_leaf
    assert p.requires_grad
    return p.detach().numpy()


# -- exact ones -------------------------------------------------------------------------------

EXACT = {
    "constant_": [((2, 3), (0.5,)), ((0,), (2.0,)), ((), (1.0,))],
    "ones_": [((2, 3), ())],
    "zeros_": [((2, 3), ())],
    "eye_": [((3, 3), ()), ((2, 5), ()), ((5, 2), ()), ((0, 2), ())],
    "dirac_": [
        *[((4, 3, 3), ()), ((2, 5, 4), ()), ((4, 2, 3, 5), ()), ((3, 3, 2, 3, 4), ())],
        *[((6, 2, 3), (2,)), ((6, 4, 3, 3), (3,)), ((6, 1, 1), (6,)), ((0, 2, 3), ())],
    ],
}


@pytest.mark.parametrize("name", EXACT)
def test_exact_values(name, backend):
    for shape, arguments in EXACT[name]:
        expected = getattr(torch.nn.init, name)(torch.full(shape, 7.0), *arguments)
        p = nn.Parameter(tx.full(shape, 7.0))
        assert getattr(init, name)(p, *arguments) is p
        assert p.dtype is tx.float32
        np.testing.assert_array_equal(p.detach().numpy(), expected.numpy(), f"{name} {shape}")


NAMES = [*("linear", "sigmoid", "tanh", "relu", "leaky_relu", "selu")]
NAMES += [f"conv{kind}{n}d" for kind in ("", "_transpose") for n in (1, 2, 3)]


@pytest.mark.parametrize("name", NAMES)
def test_gains(name):
    assert init.calculate_gain(name) == torch.nn.init.calculate_gain(name)
    for slope in (0, 0.2, 1):
        assert init.calculate_gain(name, slope) == torch.nn.init.calculate_gain(name, slope)


@pytest.mark.parametrize("shape", [(3, 4), (5, 2, 3), (2, 3, 4, 5), (0, 3), (3, 0)])
def test_fans(shape):
    expected = torch.nn.init._calculate_fan_in_and_fan_out(torch.zeros(shape))
    assert init.fans(tx.zeros(shape)) == expected
    assert init._calculate_fan_in_and_fan_out(tx.zeros(shape)) == expected


# -- distributions ----------------------------------------------------------------------------

SHAPE = (40, 30, 5)  # fan_in 150, fan_out 200


def uniform(bound, middle=0.0):
    """(mean, variance, fourth central moment, lowest, highest) of U(middle ± bound)."""
    return middle, bound**2 / 3, bound**4 / 5, middle - bound, middle + bound


def gaussian(std, mean=0.0):
    return mean, std**2, 3 * std**4, mean - 7 * std, mean + 7 * std


LEAKY = math.sqrt(2 / (1 + 0.2**2))
RANDOM = {
    "uniform_": (lambda p, g: init.uniform_(p, -1, 3, g), uniform(2, 1)),
    "normal_": (lambda p, g: init.normal_(p, 2.0, 0.5, g), gaussian(0.5, 2.0)),
    "xavier_uniform_": (
        lambda p, g: init.xavier_uniform_(p, 2.0, g),
        uniform(2 * math.sqrt(6 / 350)),
    ),
    "xavier_normal_": (
        lambda p, g: init.xavier_normal_(p, 2.0, g),
        gaussian(2 * math.sqrt(2 / 350)),
    ),
    "kaiming_uniform_": (
        lambda p, g: init.kaiming_uniform_(p, 0.2, generator=g),
        uniform(LEAKY * math.sqrt(3 / 150)),
    ),
    "kaiming_uniform_ of outputs": (
        lambda p, g: init.kaiming_uniform_(p, 0.2, "fan_out", "relu", g),
        uniform(math.sqrt(2 * 3 / 200)),
    ),
    "kaiming_normal_": (
        lambda p, g: init.kaiming_normal_(p, 0.2, generator=g),
        gaussian(LEAKY / math.sqrt(150)),
    ),
    "kaiming_normal_ of outputs": (
        lambda p, g: init.kaiming_normal_(p, 0, "fan_out", "tanh", g),
        gaussian(5 / 3 / math.sqrt(200)),
    ),
}


def expect_moments(values, mean, variance, fourth, low, high):
    """Mean and variance within 5 standard errors, all values within their bounds."""
    n = values.size
    assert low <= values.min() < values.max() <= high
    assert abs(values.mean() - mean) < 5 * math.sqrt(variance / n)
    spread = ((values - mean) ** 2).mean()
    assert abs(spread - variance) < 5 * math.sqrt((fourth - variance**2) / n)


@each("name", RANDOM)
def test_distributions(name, backend):
    fill, moments = RANDOM[name]
    values = drawn(fill, *SHAPE)
    expect_moments(values, *moments)
    np.testing.assert_array_equal(values, drawn(fill, *SHAPE))  # the seed says it all
    assert (values != drawn(fill, *SHAPE, seed=1)).mean() > 0.99


def density(t):
    return math.exp(-(t**2) / 2) / math.sqrt(2 * math.pi) if math.isfinite(t) else 0.0


def below(t):
    return math.erfc(-t / math.sqrt(2)) / 2


@each(
    ("mean", "std", "a", "b"),
    [
        *[(0.0, 1.0, -2.0, 2.0), (1.0, 2.0, -2.0, 2.0), (0.0, 0.02, -0.04, 0.04)],
        *[(0.0, 1.0, 0.5, math.inf), (0.0, 1.0, -math.inf, -3.0), (0.0, 1.0, 12.0, 13.0)],
        *[(-1.0, 1.0, -math.inf, math.inf), (0.0, 1.0, -2.0, 30.0), (5.0, 1.0, -2.0, 2.0)],
    ],
)
def test_truncated_normal(mean, std, a, b, backend):
    values = drawn(lambda p, g: init.trunc_normal_(p, mean, std, a, b, g), 30000)
    assert a <= values.min() < values.max() <= b
    low, high = (a - mean) / std, (b - mean) / std
    if low > 0:  # on the left the distribution function keeps its digits
        values, low, high = 2 * mean - values, -high, -low
    # by the distribution function the values become uniform ones
    mass = below(high) - below(low)
    u = np.asarray([(below((v - mean) / std) - below(low)) / mass for v in values.tolist()])
    u = np.sort(u)
    distance = max(
        abs(u - np.arange(len(u)) / len(u)).max(), abs(u - np.linspace(0, 1, len(u))).max()
    )
    assert distance < 1.95 / math.sqrt(len(u))  # Kolmogorov's test at one in a thousand
    # and their mean is the one in the textbooks
    if abs(low) < 10:
        expected = mean + std * (density(low) - density(high)) / mass
        assert abs(values.mean() - expected) < 5 * std / math.sqrt(len(u))


def test_truncated_normal_as_in_pytorch():
    """The default arguments, by the quantiles of a large draw."""
    ours = drawn(lambda p, g: init.trunc_normal_(p, generator=g), 100000)
    torch.manual_seed(0)
    theirs = torch.nn.init.trunc_normal_(torch.zeros(100000, dtype=torch.float64)).numpy()
    at = np.linspace(0.01, 0.99, 25)
    assert abs(np.quantile(ours, at) - np.quantile(theirs, at)).max() < 0.04


@each("shape", [(6, 4), (4, 6), (5, 5), (4, 3, 2, 2), (3, 1), (1, 1), (7, 2, 3)])
@each("gain", [1, 2.5])
def test_orthogonal(shape, gain, backend):
    q = drawn(lambda p, g: init.orthogonal_(p, gain, g), *shape) / gain
    q = q.reshape(len(q), -1)
    product = q @ q.T if q.shape[0] <= q.shape[1] else q.T @ q
    assert abs(product - np.eye(len(product))).max() < 1e-12


def test_orthogonal_matrices_are_spread_evenly():
    """Every element has the mean 0 and the variance 1/n; the determinant's sign is a coin."""
    n, count = 3, 2000
    g = Generator(0)
    every = np.stack(
        [init.orthogonal_(leaf(n, n), generator=g).detach().numpy() for _ in range(count)]
    )
    assert abs(every.mean(axis=0)).max() < 5 * math.sqrt(1 / n / count)
    # the fourth moment of an element is 3 / (n (n + 2))
    error = math.sqrt((3 / (n * (n + 2)) - 1 / n**2) / count)
    assert abs((every**2).mean(axis=0) - 1 / n).max() < 5 * error
    assert abs(np.linalg.det(every).mean()) < 5 / math.sqrt(count)


@pytest.mark.parametrize(
    ("rows", "sparsity"), [(400, 0.9), (10, 0.25), (7, 0.0), (5, 1.0), (3, 0.5)]
)
def test_sparse(rows, sparsity, backend):
    values = drawn(lambda p, g: init.sparse_(p, sparsity, 0.5, g), rows, 60)
    zeros = math.ceil(sparsity * rows)
    assert ((values == 0).sum(axis=0) == zeros).all()
    if zeros not in (0, rows):
        assert len({tuple(column) for column in (values == 0).T}) > 1  # not the same everywhere
    rest = values[values != 0]
    if rest.size > 400:
        expect_moments(rest, *gaussian(0.5))


RANDOM_NAMES = ["uniform_", "normal_", "trunc_normal_", "kaiming_uniform_", "kaiming_normal_"]
RANDOM_NAMES += ["xavier_uniform_", "xavier_normal_", "orthogonal_"]


@each("name", [*RANDOM_NAMES, "sparse_"])
def test_empty_weights_and_float32(name, backend):
    arguments = (0.5,) if name == "sparse_" else ()
    for shape in [(0, 3), (3, 0), (0, 0)]:
        p = leaf(*shape)
        assert getattr(init, name)(p, *arguments) is p  # and no warning, which is an error here
        assert p.shape == shape
    p = nn.Parameter(tx.zeros((3, 4)))
    getattr(init, name)(p, *arguments, generator=Generator(0))
    assert p.dtype is tx.float32
    wide = drawn(lambda p, g: getattr(init, name)(p, *arguments, generator=g), 3, 4)
    if "uniform" not in name:  # which takes other bits for float32
        np.testing.assert_allclose(p.detach().numpy(), wide, rtol=1e-6)
    with tx.backend("numpy"):
        q = nn.Parameter(tx.zeros((3, 4)))
        getattr(init, name)(q, *arguments, generator=Generator(0))
    np.testing.assert_array_equal(p.detach().numpy(), q.detach().numpy())  # on every backend


# -- refusals ---------------------------------------------------------------------------------

BAD = {
    "eye_": (lambda: init.eye_(leaf(3)), ShapeError, r"a matrix, got shape \(3,\)"),
    "dirac_": (lambda: init.dirac_(leaf(3, 3)), ShapeError, r"3, 4 or 5 axes, got shape \(3, 3\)"),
    "groups": (lambda: init.dirac_(leaf(4, 3, 3), 3), ArgumentError, "multiple of groups=3"),
    "sparse_": (lambda: init.sparse_(leaf(3), 0.5), ShapeError, "a matrix"),
    "sparsity": (lambda: init.sparse_(leaf(3, 3), 1.5), ArgumentError, r"in \[0, 1\], got 1.5"),
    "orthogonal_": (lambda: init.orthogonal_(leaf(3)), ShapeError, "two axes or more"),
    "xavier_normal_": (lambda: init.xavier_normal_(leaf(3)), ShapeError, "two axes or more"),
    "kaiming_normal_": (lambda: init.kaiming_normal_(leaf(3)), ShapeError, "two axes or more"),
    "mode": (lambda: init.kaiming_normal_(leaf(3, 3), 0, "in"), ArgumentError, "unknown mode 'in'"),
    "gain": (lambda: init.calculate_gain("gelu"), ArgumentError, "unknown nonlinearity 'gelu'"),
    "slope": (lambda: init.calculate_gain("leaky_relu", "a"), DTypeError, "a number as the slope"),
    "bounds": (lambda: init.trunc_normal_(leaf(3), a=2.0, b=1.0), ArgumentError, "expects a < b"),
    "std": (lambda: init.trunc_normal_(leaf(3), std=0.0), ArgumentError, "std > 0, got"),
    "far": (lambda: init.trunc_normal_(leaf(3), 0, 1, 50, 60), ArgumentError, "50 standard"),
    "result": (lambda: init.orthogonal_(leaf(3, 3) * 2), GradientError, "result of multiply"),
}


@pytest.mark.parametrize("what", BAD)
def test_refusals(what):
    run, error, message = BAD[what]
    with pytest.raises(error, match=message):
        run()
