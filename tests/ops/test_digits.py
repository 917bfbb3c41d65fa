"""Accuracy of values and gradients in float32, where a formula could cancel, against float64."""

import numpy as np
import pytest

import tinyxp as tx
from tests.conftest import reason_missing
from tests.helpers import each
from tests.registry import example, slopes
from tinyxp.core.operation import OPS
from tinyxp.nn import functional as F

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy warns of such numbers


def spread(low=-12.0, high=2.2, signs=(1, -1)):
    """Numbers of all sizes between 10^low and 10^high, with these signs."""
    rng = np.random.default_rng(3)
    return 10 ** rng.uniform(low, high, 300) * rng.choice(signs, 300)


NEAR_1 = 1 - spread(-6.5, -0.5, (1,))
DIGITS = {
    **dict.fromkeys(
        ("asinh", "atan", "erf", "erfc", "exp", "expm1", "sech2", "sinh", "cosh", "tan", "tanh"),
        spread(),
    ),
    **dict.fromkeys(("log", "log2", "log10", "sqrt", "reciprocal"), spread(signs=(1,))),
    **dict.fromkeys(("acos", "asin", "atanh"), np.concatenate([NEAR_1, -NEAR_1, spread(-8, -0.1)])),
    "acosh": 1 + spread(-6, 4, (1,)),
    "log1p": np.concatenate([-NEAR_1, spread(signs=(1,)), -spread(-12, -1, (1,))]),
    **dict.fromkeys(
        (
            "elu",
            "gelu",
            "logsigmoid",
            "mish",
            "sigmoid",
            "silu",
            "softplus",
            "softsign",
            "tanhshrink",
        ),
        spread(),
    ),
}


@each("name", DIGITS)
def test_digits(name, backend):
    """float32 agrees with float64 to a few ε of the result and of its change by an ε of x."""
    x = DIGITS[name].astype("float32")
    static = example(name, 0)[1]
    cases = [static, {"approximate": "tanh"}] if name == "gelu" else [static]
    for options in cases:

        def f(x, options=options):
            return OPS[name].call((x,), dict(options))

        found = slopes(f, [x])
        leaf = tx.asarray(np.float64(x), requires_grad=True)
        y = f(leaf)
        (first,) = tx.autograd.grad([tx.sum(y)], [leaf], create_graph=True)
        (second,) = tx.autograd.grad([tx.sum(first)], [leaf])
        exact = [y.detach().numpy(), first.detach().numpy(), second.numpy()]
        for what, k in (("y", 0), ("d1", 1)):
            if (name, what) == ("tanhshrink", "y"):
                continue  # x - tanh x cancels, as in PyTorch
            allowed = 12 * np.finfo("f").eps * (abs(exact[k]) + abs(x * exact[k + 1])) + 1e-35
            wrong = ~(abs(found[what] - exact[k]) <= allowed) & (abs(exact[k]) < 1e38)
            i = np.argmax(wrong)
            assert not wrong.any(), f"{name} {what} at {x[i]}: {found[what][i]}, not {exact[k][i]}"


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "cross_entropy"])
def test_gradient_of_a_class_that_is_nearly_sure(name, axis, backend):
    """It is minus the sum of all others, where rounding could leave 0."""
    x = np.array([[20.0, 0.0, 1.0], [-3.0, 9.0, 0.0], [0.5, 0.25, 30.0]])
    chosen = np.eye(3)

    def loss(x):
        if name == "cross_entropy":
            return F.cross_entropy(x, tx.asarray(np.arange(3)), reduction="sum")
        y = getattr(F, name)(x if axis else x.mT, dim=axis)
        return tx.sum((y if axis else y.mT) * tx.asarray(chosen.astype(x.dtype.name)))

    exact, found = (slopes(loss, [x.astype(dtype)])["d1"] for dtype in ("float64", "float32"))
    np.testing.assert_allclose(found, exact, 1e-5, 1e-37)
    assert (abs(np.diagonal(exact)) > 1e-16).all()


@pytest.mark.parametrize(
    "z",
    [
        1e-10 + 1e-12j,
        1e-19 + 1e-18j,
        -1e-9 + 1e-9j,
        1e-250 + 2e-250j,
        -0.3 - 1e-5j,
        2.0j,
        1e250 + 1j,
    ],
)
def test_log1p_of_complex_numbers(z, backend):
    y = tx.log1p(tx.asarray([z, 1j, z], dtype=tx.complex128)).numpy()
    exact = z - z * z / 2 + z**3 / 3 if abs(z) < 1e-4 else np.log(1 + z)
    np.testing.assert_allclose([y[0].real, y[2].imag], [exact.real, exact.imag], 1e-12)


@pytest.mark.parametrize("name", ["tanh", "tan", "atan", "asinh", "asin", "atanh", "expm1"])
def test_complex_slopes_keep_their_digits(name, backend):
    """Where 1 - y² or 1 + x² would cancel; the exact values come from series."""
    z, slope = {
        "tanh": (20 + 1j, 4 * np.exp(-2 * (20 + 1j))),
        "tan": (1 + 20j, 4 * np.exp(2j * (1 + 20j))),
        "atan": (1e-9 + 1j, 1 / (2e-9j + 1e-18)),
        "asinh": (1e-9 + 1j, 1 / np.sqrt(2e-9j + 1e-18)),
        "asin": (1 - 1e-9j, 1 / np.sqrt(2e-9j + 1e-18)),
        "atanh": (1 - 1e-9j, 1 / (2e-9j + 1e-18)),
        "expm1": (-30 + 1j, np.exp(-30 + 1j)),
    }[name]
    x = tx.asarray([z], dtype=tx.complex128, requires_grad=True)
    tx.sum(tx.real(getattr(tx, name)(x))).backward()
    np.testing.assert_allclose(x.grad.numpy(), [np.conj(slope)], 1e-7)


@pytest.mark.parametrize("name", ["numpy", "torch"])
@pytest.mark.parametrize(
    ("shape", "axis"),
    [((100_003, 4), 0), ((3, 40_000, 2), 1), ((5000, 2, 3), (0, 2)), ((60_000, 3), (-2,))],
)
def test_long_sums(shape, axis, name):
    """Equal numbers, whose rounding errors have one sign, in every memory layout."""
    if reason_missing(name):
        pytest.skip(reason_missing(name))
    with tx.backend(name):
        x = np.full(shape, 0.1, "float32")
        x[::7] = 3.3
        for y in (x, np.asfortranarray(x), np.repeat(x, 2, axis=0)[::2], x[::-1]):
            exact = y.astype("float64").sum(axis=axis)
            found = tx.sum(tx.asarray(y), axis=axis)
            assert found.dtype == tx.float32 and found.shape == exact.shape
            np.testing.assert_allclose(found.numpy(), exact, 5e-5)
            wide = tx.sum(tx.asarray(y), axis=axis, dtype=tx.float64, keepdims=True).numpy()
            np.testing.assert_allclose(np.squeeze(wide), exact, 1e-12)


@pytest.mark.parametrize("name", ["numpy", "torch"])
def test_running_sums_and_products(name):
    if reason_missing(name):
        pytest.skip(reason_missing(name))
    with tx.backend(name):
        x = np.full(100_000, 0.1, "float32")
        sums = tx.cumulative_sum(tx.asarray(x)).numpy()
        np.testing.assert_allclose(sums, np.cumsum(x.astype("float64")), 1e-6)
        x = np.full(10_000, 1.0001, "float32")
        products = tx.cumulative_prod(tx.asarray(x)).numpy()
        np.testing.assert_allclose(products, np.cumprod(x.astype("float64")), 1e-6)
        x = tx.astype(tx.asarray(np.full(4000, 1.001)), tx.float16)
        exact = x.numpy().astype("float64")
        assert x.dtype == tx.prod(x).dtype == tx.float16
        for found, wanted in (
            (tx.prod(x), exact.prod()),
            (tx.cumulative_prod(x)[-1], exact.prod()),
            (tx.sum(x), exact.sum()),
            (tx.cumulative_sum(x)[-1], exact.sum()),
        ):
            np.testing.assert_allclose(found.item(), wanted, 1e-3)
