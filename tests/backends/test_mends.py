"""What array-api-tests taught about the libraries underneath: mended, and held to NumPy's backend.

The suite itself runs by tests/array_api.sh; NumPy is the reference here because it passes there.
"""

import itertools
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace

import numpy as np
import pytest

import tinyxp as tx
from tests.backends.cuda_on_cpu import on_cpu
from tests.compare import same
from tests.conftest import PRESENT
from tests.helpers import each
from tinyxp import backends
from tinyxp.backends.cupy import mends as cupy_mends
from tinyxp.errors import TinyError

UNSIGNED = ("uint8", "uint16", "uint32", "uint64")
REAL = [0.0, -0.0, 1.5, -1.5, 2.0, -2.0, np.inf, -np.inf, np.nan]


@pytest.fixture(params=[name for name in PRESENT if name != "numpy"])
def other(request):
    """Each backend but NumPy's in turn, in use during the test."""
    with tx.backend(request.param):
        yield


def plain(y):
    """A result as NumPy arrays, whatever it is."""
    if isinstance(y, (tuple, list)):
        return [plain(part) for part in y]
    return y.numpy() if isinstance(y, tx.Tensor) else y


def alike(f, *arrays):
    """Whether ``f`` gives the same on the backend in use as on NumPy's."""
    here = plain(f(*map(tx.asarray, arrays)))
    with tx.backend("numpy"):
        there = plain(f(*map(tx.asarray, arrays)))
    same(here, there)


BINARY = (
    "add bitwise_and bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor equal "
    "floor_divide greater greater_equal less less_equal maximum minimum multiply not_equal pow "
    "remainder subtract"
)
ONE = (
    "abs argmax argmin argsort bitwise_invert count_nonzero cumulative_prod cumulative_sum diff "
    "flip max mean min nonzero prod sign sort square std sum unique_all"
)
OTHERS = {
    "arange": lambda x: tx.arange(1, 6, dtype=x.dtype),
    "clip": lambda x: tx.clip(x, 2, 4),
    "concat": lambda x: tx.concat([x, x]),
    "eye": lambda x: tx.eye(2, 3, k=1, dtype=x.dtype),
    "from the end": lambda x: x[::-1],
    "mask": lambda x: x[x > 2],
    "matmul": lambda x: x @ x,
    "outer": lambda x: tx.tensordot(x, x, axes=0),
    "range": lambda x: 250 - x + 2 * x,
    "repeat": lambda x: tx.repeat(x, 2),
    "replace": lambda x: tx.setitem(x, slice(1, 3), 7),
    "replace by mask": lambda x: tx.setitem(x, x > 2, 7),
    "roll": lambda x: tx.roll(x, 1),
    "searchsorted": lambda x: tx.searchsorted(tx.sort(x), x),
    "sum in its own dtype": lambda x: tx.sum(x, dtype=x.dtype),
    "take": lambda x: tx.take(tx.arange(10.0), x),
    "tile": lambda x: tx.tile(x, (2, 2)),
    "tril": lambda x: tx.tril(tx.stack([x, x])),
    "where": lambda x: tx.where(x > 2, x, 0),
}


def values(dtype):
    return np.array([3, 1, 2, 9, 2], dtype)


@each("dtype", UNSIGNED)
@each("name", BINARY.split())
def test_unsigned_integers_two_by_two(other, name, dtype):
    x = values(dtype)
    alike(getattr(tx, name), x, x[::-1].copy())


@each("dtype", UNSIGNED)
@each("name", ONE.split())
def test_unsigned_integers_alone(other, name, dtype):
    alike(getattr(tx, name), values(dtype))


@each("dtype", ["uint8", "uint16", "uint32"])
@each("name", OTHERS)
def test_unsigned_integers_elsewhere(other, name, dtype):
    alike(OTHERS[name], values(dtype))


@pytest.mark.parametrize("name", ["add", "floor_divide", "less", "maximum", "remainder"])
def test_uint64_keeps_its_highest_bit(other, name):
    big = np.array([2**64 - 1, 2**63, 5], "uint64")
    alike(getattr(tx, name), big, np.array([3, 2**63 + 1, 7], "uint64"))


@pytest.mark.parametrize("number", [2**63 + 1, 2**64 - 1])
def test_uint64_numbers_are_exact(backend, number):
    zeros = tx.zeros(2, dtype=tx.uint64)
    made = [
        tx.asarray([number, 5], dtype=tx.uint64)[0],
        tx.asarray([[5], [number]], dtype=tx.uint64)[1, 0],
        tx.asarray(number, dtype=tx.uint64),
        tx.full((2,), number, dtype=tx.uint64)[0],
        tx.full_like(zeros, number)[0],
        tx.setitem(zeros, 0, number)[0],
        tx.setitem(zeros, tx.asarray([True, False]), number)[0],
        zeros[0] + number,
    ]
    assert [int(x) for x in made] == [number] * len(made)
    assert all(x.dtype is tx.uint64 for x in made)


def test_what_is_wrong_for_unsigned_integers_is_still_an_error(backend):
    x, y = tx.asarray(values("uint16")), tx.asarray(values("uint16")[:2])
    with pytest.raises(TinyError, match="add cannot take"):
        tx.add(x, y)
    with pytest.raises(TinyError):
        tx.take(x, tx.asarray([7]))


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "uint8", "uint16", "uint32"])
def test_indices_of_any_integer_dtype(backend, dtype):
    x = tx.asarray([1.0, 2.0, 3.0], requires_grad=True)
    tx.sum(tx.take(x, tx.asarray(np.array([2, 0, 2], dtype)))).backward()
    assert x.grad.tolist() == [1.0, 0.0, 2.0]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of NumPy, dividing by zero
@pytest.mark.parametrize("name", ["floor_divide", "remainder"])
def test_division_at_zeros_and_infinities(other, name):
    pairs = np.array(list(itertools.product(REAL, REAL)))
    alike(getattr(tx, name), pairs[:, 0].copy(), pairs[:, 1].copy())


@pytest.mark.parametrize(
    ("x1", "x2", "quotient"),
    [(np.inf, 2, np.inf), (-np.inf, 2, -np.inf), (np.inf, -2, -np.inf), (1, -np.inf, -0.0)],
)
def test_floor_divide_is_the_floor_of_the_quotient(backend, x1, x2, quotient):
    y = tx.floor_divide(tx.asarray([float(x1)]), tx.asarray([float(x2)])).item()
    assert y == quotient
    assert np.signbit(y) == np.signbit(quotient)


def test_a_zero_remainder_has_the_sign_of_the_divisor(backend):
    y = tx.remainder(tx.asarray([4.0, -4.0, 0.0, -0.0]), tx.asarray([2.0, 2.0, -2.0, 2.0]))
    assert np.signbit(y.numpy()).tolist() == [False, False, True, False]


SPECIAL = [  # of the standard's tables: function, argument, result
    ("expm1", complex(np.inf, 0), complex(np.inf, 0)),
    ("expm1", complex(-np.inf, np.inf), complex(-1, 0)),
    ("expm1", complex(-np.inf, np.nan), complex(-1, 0)),
    ("expm1", complex(np.nan, 0), complex(np.nan, 0)),
    ("expm1", complex(-0.0, 0), complex(0, 0)),
    ("log1p", complex(np.inf, np.nan), complex(np.inf, np.nan)),
    ("log1p", complex(np.nan, np.inf), complex(np.inf, np.nan)),
    ("acos", complex(0, 0), complex(np.pi / 2, -0.0)),
    ("acos", complex(-0.0, 0), complex(np.pi / 2, -0.0)),
    ("acos", complex(2, -0.0), complex(0, np.arccosh(2))),
    ("tanh", complex(np.inf, 2), complex(1, 0)),
    ("sign", complex(-0.0, -0.0), complex(0, 0)),
    ("expm1", complex(0, -0.0), complex(0, -0.0)),
    ("log1p", complex(-3, -0.0), complex(np.log(2), -np.pi)),
    ("round", complex(1.5, -np.inf), complex(2, -np.inf)),
    ("round", complex(-0.5, -0.5), complex(-0.0, -0.0)),
]


@each(("name", "x", "y"), SPECIAL)
def test_complex_special_cases(backend, name, x, y):
    found = np.asarray(getattr(tx, name)(tx.asarray([x], dtype=tx.complex128)).item())
    wanted = np.asarray(y)
    for part, other in ((found.real, wanted.real), (found.imag, wanted.imag)):
        np.testing.assert_allclose(part, other, rtol=1e-15)
        assert np.isnan(other) or np.signbit(part) == np.signbit(other)


# -- CuPy's, with NumPy in its place ---------------------------------------------------------------


@pytest.fixture(scope="module")
def cupys():
    """The mends of CuPy, for NumPy, whose linear algebra is told to raise by nothing."""
    import array_api_compat.numpy as compat

    return SimpleNamespace(**cupy_mends.mends(compat, np, nullcontext))


@pytest.mark.parametrize("name", ["floor_divide", "remainder"])
@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "uint8"])
@np.errstate(all="ignore")
def test_quotients_of_cupys(name, dtype, cupys):
    rng = np.random.default_rng(0)
    special = [*REAL, 0.1, 0.3, 1.0, 6.0, -3.0, 1e300, 1e-300, 1e30, 1e-30]
    x = np.array([*special, *rng.normal(size=30), *rng.integers(-9, 9, 30)])
    if dtype.startswith("int"):
        x = rng.integers(-9, 9, 40)
    elif dtype.startswith("uint"):
        x = rng.integers(1, 9, 40)
    else:
        x = np.concatenate([x, [1.7e308, -1.5e308], 2.0 ** rng.uniform(-40, 40, 30)])
    x = x.astype(dtype)
    a, b = (part.reshape(-1) for part in np.meshgrid(x, x))
    own = getattr(backends.get("numpy").xp, name)
    same(getattr(cupys, name)(a, b), np.asarray(own(a, b)))
    same(getattr(cupys, name)(a, 3), own(a, 3))
    same(getattr(cupys, name)(7, b), own(7, b))


def test_what_cupy_would_round_wrongly(cupys):
    one, tenth = np.ones(1), np.full(1, 0.1)
    assert np.floor(one / tenth) == 10 and cupys.floor_divide(one, tenth) == 9
    assert cupys.remainder(one, np.full(1, np.inf)) == 1


@pytest.mark.parametrize("x", [-0.0, 0.0, 1.5, 0, True, -0.0 + 0j, 0 - 0.0j, [-0.0, 1.0]], ids=repr)
def test_a_number_keeps_its_sign_on_the_way_to_cupy(x):
    """Where asarray fills zeros by zero bytes, as CuPy's does."""

    def asarray(array):
        return np.zeros((), array.dtype) if array.ndim == 0 and array == 0 else np.array(array)

    given = np.asarray(x)
    found = cupy_mends.from_host(SimpleNamespace(asarray=asarray, full=np.full), given)
    assert found.dtype == given.dtype and found.tobytes() == given.tobytes()


def test_tanh_keeps_a_real_part_of_0_where_cupys_loses_it():
    lost = complex(np.nan, np.nan)
    xp = SimpleNamespace(**vars(np) | {"tanh": lambda x: np.full(x.shape, lost)})
    y = cupy_mends.tanh(xp, np.asarray([complex(0, np.inf), complex(-0.0, np.nan), complex(1, 1)]))
    assert np.array_equal(y.real, [0.0, -0.0, np.nan], equal_nan=True) and np.signbit(y.real[1])
    assert np.isnan(y.imag).all()


@pytest.mark.parametrize("dtype", ["complex128", "complex64", "float64"])
def test_complex_functions_of_cupys(dtype, cupys):
    """As the numpy backend's, whose special values the standard's tests have seen."""
    parts = np.array([0.0, -0.0, 1.0, -3.0, 0.3, np.inf, -np.inf, np.nan])
    x = parts + 4
    if dtype[0] == "c":
        x = np.empty((8, 8), dtype)
        x.real, x.imag = parts[:, None], parts
    numpy = backends.get("numpy").xp
    with np.errstate(all="ignore"):
        for name in ("acosh", "log", "log1p", "tanh"):
            if name == "acosh" and dtype == "float64":
                x = np.abs(x) + 1
            found, expected = getattr(cupys, name)(x), getattr(numpy, name)(x)
            assert found.dtype == expected.dtype
            for part in ("real", "imag"):
                a, b = getattr(found, part), getattr(expected, part)
                np.testing.assert_allclose(a, b, rtol=1e-6)
                assert np.array_equal(np.signbit(a) & (a == 0), np.signbit(b) & (b == 0))


@pytest.mark.parametrize(
    ("a", "b"),
    [((3, 3), (3,)), ((2, 1, 3, 3), (4, 3, 2)), ((3, 3), (2, 3, 1)), ((2, 3, 3), (3,))],
    ids=str,
)
def test_stacks_of_other_shapes_are_solved(a, b, cupys):
    rng = np.random.default_rng(1)
    x1, x2 = rng.normal(size=a), rng.normal(size=b)
    found = cupys.linalg.solve(x1, x2)
    again = x1 @ (found[..., None] if len(b) == 1 else found)
    expected = np.broadcast_to(x2[:, None] if len(b) == 1 else x2, again.shape)
    np.testing.assert_allclose(again, expected, atol=1e-12)


def test_cupy_keeps_dtypes_and_waits_for_nothing(cupys):
    x = np.array([-2.5, np.nan, 0.5, 7.0], "float16")
    for found in (cupys.round(x), cupys.tril(x[None]), cupys.clip(x, -1, 1), cupys.sum(x)):
        assert found.dtype == x.dtype
    same(cupys.clip(x, max=1.0), np.clip(x, None, 1.0))
    assert cupys.clip(x) is x
    same(cupys.clip(x, np.float16(0)), np.clip(x, 0, None))
    entered = []

    @contextmanager
    def told():
        entered.append(True)
        yield

    import array_api_compat.numpy as compat

    linalg = cupy_mends.mends(compat, np, told)["linalg"]
    assert np.array_equal(linalg.inv(np.eye(2)), np.eye(2)) and len(entered) == 1
    assert linalg.det(np.zeros((2, 2))) == 0 and len(entered) == 1  # no fault of a singular one
    with pytest.raises(np.linalg.LinAlgError):
        linalg.cholesky(-np.eye(2))
    linalg.solve(np.eye(2), np.ones(2))
    assert len(entered) == 3


def test_cupys_results_have_the_dtypes_of_the_standard(cupys):
    w, v = cupys.linalg.eig(np.zeros((2, 0, 0), "float32"))
    assert (w.dtype, v.dtype) == ("complex64", "complex64") and v.shape == (2, 0, 0)
    matrix = np.array([[0.0, -1.0], [1.0, 0.0]])
    w, v = cupys.linalg.eig(matrix)
    np.testing.assert_allclose(matrix @ v, v * w, atol=1e-12)
    half = np.dtype(pytest.importorskip("ml_dtypes").bfloat16)
    found = cupys.where(np.array([True, False]), np.ones(2, half), 0)
    assert found.dtype == half and found.tolist() == [1, 0]
    assert cupys.where(np.array(True), np.ones(2, "float32"), 0.0).dtype == "float32"


def test_devices_without_a_hash():
    """As CuPy's are."""

    class Device:
        id = 3
        __hash__ = None

    assert on_cpu().place(SimpleNamespace(device=Device())) == 3
    assert on_cpu().place(np.ones(1)) == "cpu"
