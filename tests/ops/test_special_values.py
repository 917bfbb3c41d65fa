"""NumPy's corrected functions are unchanged for the values that need no correction."""

import numpy as np
import pytest

import tinyxp as tx
from tests.compare import same
from tests.helpers import each

INF, NAN = float("inf"), float("nan")


@each("dtype", [tx.float32, tx.float64])
@each(
    ("x1", "x2", "expected"),
    [
        (INF, 2.0, INF),
        (INF, -2.0, -INF),
        (-INF, 2.0, -INF),
        (-INF, -2.0, INF),
        (1.0, INF, 0.0),
        (1.0, -INF, -0.0),
        (-1.0, INF, -0.0),
        (-1.0, -INF, 0.0),
        (INF, INF, NAN),
        (0.0, 0.0, NAN),
        (0.0, -2.0, -0.0),
        (-0.0, 2.0, -0.0),
        (1.0, 0.0, INF),
        (1.0, -0.0, -INF),
        (7.0, 2.0, 3.0),
        (-7.0, 2.0, -4.0),
        (1.0, 0.1, 9.0),  # of the true quotient, 9.99…, as in Python
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_floor_of_a_quotient(x1, x2, expected, dtype):
    a, b = tx.asarray([x1], dtype=dtype), tx.asarray([x2], dtype=dtype)
    for y in (a // b, tx.floor_divide(a, b), a[0] // b):
        assert y.dtype is dtype
        same(y.numpy(), np.asarray([expected], dtype=dtype.name))
    if abs(x2) != 0.1:
        same((a // x2).numpy(), np.asarray([expected], dtype=dtype.name))
        same((x1 // b).numpy(), np.asarray([expected], dtype=dtype.name))


def test_mended_functions_are_exact_elsewhere(rng):
    z = rng.normal(size=8) * 1e-9 + 1j * rng.normal(size=8) * 1e-9
    x = np.concatenate([z, [complex(INF, 0)]])  # beside a special value too
    np.testing.assert_array_equal(tx.expm1(tx.asarray(x)).numpy()[:-1], np.expm1(z))
    np.testing.assert_array_equal(tx.tanh(tx.asarray(x)).numpy()[:-1], np.tanh(z))
