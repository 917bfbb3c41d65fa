"""The rules of the Array API, continued: values, against NumPy where it follows the standard."""

import math
import operator

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinyxp as tx
from tests.helpers import each
from tests.ops.standard import (
    ARITHMETIC,
    BITS,
    COMPLEXES,
    DTYPES,
    FLOATING,
    INTEGERS,
    REALS,
    SIGNED,
    UNSIGNED,
)
from tinyxp.errors import TinyError


def alike(x, expected, what=""):
    """Equal values, and the same dtype and shape."""
    expected = np.asarray(expected)
    assert isinstance(x, tx.Tensor), what
    assert (x.dtype.name, x.shape) == (expected.dtype.name, expected.shape), what
    np.testing.assert_allclose(np.asarray(x), expected, rtol=1e-5, err_msg=what)


NUMBERS = {
    "int8": st.integers(-8, 8),
    "int64": st.integers(-100, 100),
    "uint8": st.integers(0, 20),
    "float32": st.integers(-64, 64).map(lambda n: n / 8),
    "float64": st.integers(-64, 64).map(lambda n: n / 8),
    "complex128": st.tuples(st.integers(-9, 9), st.integers(-9, 9)).map(lambda z: complex(*z)),
}


def arrays(names=("int64", "float64"), **shape):
    shapes = hnp.array_shapes(**({"min_dims": 0, "max_dims": 3, "max_side": 4} | shape))
    return st.sampled_from(list(names)).flatmap(
        lambda name: hnp.arrays(name, shapes, elements=NUMBERS[name])
    )


def in_turn(backend, check, *strategies):
    """Run a property on the backend of the fixture, which Hypothesis must not see."""

    @settings(max_examples=50)
    @given(st.tuples(*strategies))
    def run(args):
        with tx.backend(backend):
            check(*args)

    run()


INSIDE = {  # where a function is real; the others take any number
    **dict.fromkeys(["acos", "asin", "atanh"], (-0.9, 0.9)),
    **dict.fromkeys(["acosh"], (1.0, 50.0)),
    **dict.fromkeys(["log", "log10", "log2", "sqrt", "reciprocal"], (1e-6, 50.0)),
    "log1p": (-0.9, 50.0),
}
ELEMENTWISE = "abs acos acosh asin asinh atan atanh ceil conj cos cosh exp expm1 floor imag "
ELEMENTWISE += "isfinite isinf isnan log log10 log1p log2 negative positive real reciprocal round "
ELEMENTWISE += "sign sin sinh sqrt square tan tanh trunc signbit"


@each("name", ELEMENTWISE.split())
def test_elementwise(name, backend):
    low, high = INSIDE.get(name, (-20.0, 20.0))

    def check(a, z):
        expected = getattr(np, name)(a)
        np.testing.assert_allclose(
            np.asarray(getattr(tx, name)(tx.asarray(a))), expected, rtol=1e-12
        )
        if name not in ("ceil", "floor", "signbit", "trunc"):
            expected = getattr(np, name)(z)
            found = np.asarray(getattr(tx, name)(tx.asarray(z)))
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)

    inside = st.floats(low, high, allow_subnormal=False)  # a library may flush subnormals to zero
    circle = st.builds(complex, inside, st.floats(0.1, 3))  # away from the branch cuts
    in_turn(
        backend,
        check,
        hnp.arrays("float64", 3, elements=inside),
        hnp.arrays("complex128", 2, elements=circle),
    )


def test_integer_arithmetic(backend):
    def check(a, b, c):
        x, y, n = tx.asarray(a), tx.asarray(b), tx.asarray(c)
        alike(x // y, a // b)
        alike(x % y, a % b)
        alike((x // y) * y + x % y, a)
        alike(x**n, a**c)
        alike(x << n, a << c)
        alike(x >> n, a >> c)
        alike(x & y, a & b)
        alike(x ^ y, a ^ b)
        alike(~x, ~a)

    whole, count = st.integers(-30, 30), st.integers(0, 5)
    divisor = whole.filter(bool)
    lines = [hnp.arrays("int64", 4, elements=e) for e in (whole, divisor, count)]
    in_turn(backend, check, *lines)


def test_clip_and_where(backend):
    def check(a, low, high):
        x, low, high = tx.asarray(a), min(low, high), max(low, high)
        alike(tx.clip(x, low, high), np.clip(a, low, high))
        alike(tx.clip(x, None, high), np.minimum(a, high))
        alike(tx.clip(x, min=low), np.maximum(a, low))
        alike(tx.clip(x), a)
        alike(tx.clip(x, tx.full_like(x, low), high), np.clip(a, low, high))
        alike(tx.where(x > low, x, low), np.where(a > low, a, np.asarray(low, dtype=a.dtype)))
        alike(tx.where(x > low, 1, x), np.where(a > low, np.asarray(1, dtype=a.dtype), a))

    in_turn(backend, check, arrays(), st.integers(-9, 9), st.integers(-9, 9))
    assert tx.isnan(tx.clip(tx.asarray([math.nan]), 0, 1)).tolist() == [True]


def test_astype(backend):
    for source in DTYPES:
        x = tx.asarray([0, 1, 1], dtype=source)
        for target in DTYPES:
            if source in COMPLEXES and target not in (*COMPLEXES, tx.bool):
                with pytest.raises(TypeError):
                    tx.astype(x, target)
            else:
                alike(tx.astype(x, target), np.asarray([0, 1, 1], dtype=target.name))
    x = tx.asarray([-1.7, 1.7, math.nan])
    assert tx.astype(x, tx.bool).tolist() == [True] * 3
    assert tx.astype(x[:2], tx.int32).tolist() == [-1, 1]
    assert tx.astype(x, x.dtype, copy=False) is x and tx.astype(x, x.dtype) is not x


def test_kinds_of_dtypes():
    kinds = {
        "bool": [tx.bool],
        "signed integer": SIGNED,
        "unsigned integer": UNSIGNED,
        "integral": INTEGERS,
        "real floating": REALS,
        "complex floating": COMPLEXES,
        "numeric": INTEGERS + FLOATING,
        (tx.int8, "bool"): [tx.int8, tx.bool],
    }
    for kind, members in kinds.items():
        assert [d for d in DTYPES if tx.isdtype(d, kind)] == [d for d in DTYPES if d in members]


def test_broadcasting(backend):
    def check(shapes):
        a, b = (np.arange(math.prod(s)).reshape(s) for s in shapes.input_shapes)
        z = tx.asarray(a) + tx.asarray(b)
        alike(z, a + b)
        assert tx.broadcast_shapes(a.shape, b.shape) == shapes.result_shape
        x, y = tx.broadcast_arrays(tx.asarray(a), tx.asarray(b))
        assert x.shape == y.shape == shapes.result_shape
        alike(tx.broadcast_to(tx.asarray(a), shapes.result_shape), np.broadcast_to(a, z.shape))

    in_turn(backend, check, hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=4))


def test_shapes_that_do_not_meet(backend):
    with pytest.raises(ValueError, match="-1 is 2 in one and 3 in the other"):
        tx.ones(2) + tx.ones(3)


def test_reductions(backend):
    def check(a, data):
        axes = [None, *range(-a.ndim, a.ndim)]
        axis = data.draw(st.sampled_from(axes))
        if a.ndim > 1:
            axis = data.draw(st.sampled_from([axis, (0, -1)]))
        keep = data.draw(st.booleans())
        x = tx.asarray(a)
        for name in ("sum", "prod", "max", "min", "any", "all"):
            expected = getattr(np, name)(a, axis=axis, keepdims=keep)
            alike(getattr(tx, name)(x, axis=axis, keepdims=keep), expected, name)
        count = np.count_nonzero(a, axis=axis, keepdims=keep)
        alike(tx.count_nonzero(x, axis=axis, keepdims=keep), np.asarray(count, dtype="int64"))
        if not isinstance(axis, tuple):
            for name in ("argmax", "argmin"):
                expected = getattr(np, name)(a, axis=axis, keepdims=keep)
                alike(getattr(tx, name)(x, axis=axis, keepdims=keep), expected, name)
        if a.dtype == "float64":
            n = a.size if axis is None else a.size // max(1, np.mean(a, axis=axis).size)
            for name in ("mean", "std", "var"):
                expected = getattr(np, name)(a, axis=axis, keepdims=keep)
                y = getattr(tx, name)(x, axis=axis, keepdims=keep)
                assert y.shape == expected.shape
                np.testing.assert_allclose(np.asarray(y), expected, rtol=1e-10, atol=1e-10)
            if n > 1:
                y, expected = tx.var(x, axis=axis, correction=1), np.var(a, axis=axis, ddof=1)
                np.testing.assert_allclose(np.asarray(y), expected, rtol=1e-10, atol=1e-10)

    in_turn(backend, check, arrays(), st.data())


def test_reductions_of_nothing(backend):
    x = tx.zeros((0, 3), dtype=tx.float64)
    alike(tx.sum(x, axis=0), np.zeros(3))
    alike(tx.prod(x, axis=0), np.ones(3))
    assert tx.sum(x).item() == 0 and tx.prod(x).item() == 1
    assert tx.all(x).item() is True and tx.any(x).item() is False
    assert tx.count_nonzero(x).item() == 0
    for name in ("max", "min", "argmax", "argmin"):
        with pytest.raises(TinyError):
            getattr(tx, name)(x)


def test_nan_is_passed_on(backend):
    x = tx.asarray([[1.0, math.nan], [2.0, 3.0]])
    for name in ("max", "min", "sum", "mean", "prod", "std"):
        y = getattr(tx, name)(x, axis=1)
        assert tx.isnan(y).tolist() == [True, False], name


def test_scans(backend):
    def check(a, data):
        axis = data.draw(st.integers(-a.ndim, a.ndim - 1))
        x = tx.asarray(a)
        for name in ("cumulative_sum", "cumulative_prod"):
            for first in (False, True):
                expected = getattr(np, name)(a, axis=axis, include_initial=first)
                alike(getattr(tx, name)(x, axis=axis, include_initial=first), expected, name)
        alike(tx.diff(x, axis=axis), np.diff(a, axis=axis))

    in_turn(backend, check, arrays(min_dims=1), st.data())


def test_shaping(backend):
    def check(a, data):
        x, n = tx.asarray(a), a.ndim
        axis = data.draw(st.integers(-n, n - 1))
        axes = data.draw(st.permutations(range(n)))
        shift = data.draw(st.integers(-5, 5))
        alike(tx.permute_dims(x, tuple(axes)), np.permute_dims(a, axes))
        alike(tx.flip(x, axis=axis), np.flip(a, axis=axis))
        alike(tx.roll(x, shift, axis=axis), np.roll(a, shift, axis=axis))
        alike(tx.roll(x, shift), np.roll(a, shift))
        alike(tx.moveaxis(x, axis, 0), np.moveaxis(a, axis, 0))
        alike(tx.concat([x, x], axis=axis), np.concat([a, a], axis=axis))
        alike(tx.concat([x, x], axis=None), np.concat([a, a], axis=None))
        alike(tx.stack([x, x], axis=axis), np.stack([a, a], axis=axis))
        alike(tx.expand_dims(x, axis=axis), np.expand_dims(a, axis=axis))
        alike(tx.squeeze(tx.expand_dims(x, axis=axis), axis=axis), a)
        alike(tx.tile(x, (2, 1)), np.tile(a, (2, 1)))
        alike(tx.repeat(x, 2, axis=axis), np.repeat(a, 2, axis=axis))
        alike(tx.reshape(x, (-1,)), a.reshape(-1))
        for part, row in zip(tx.unstack(x, axis=axis), np.unstack(a, axis=axis), strict=True):
            alike(part, row)

    in_turn(backend, check, arrays(min_dims=1), st.data())


def test_sorting_and_searching(backend):
    def check(a, data):
        x = tx.asarray(a)
        axis = data.draw(st.integers(-a.ndim, a.ndim - 1))
        down = data.draw(st.booleans())
        y = tx.sort(x, axis=axis, descending=down)
        expected = np.sort(a, axis=axis)
        alike(y, np.flip(expected, axis=axis) if down else expected)
        order = tx.argsort(x, axis=axis, descending=down)
        assert order.dtype is tx.int64
        alike(tx.take_along_axis(x, order, axis=axis), np.asarray(y))
        picked = np.take_along_axis(
            a, np.asarray(order), axis
        )  # stable: equal ones keep their order
        ties = np.diff(np.asarray(order), axis=axis)[np.diff(picked, axis=axis) == 0]
        assert (ties > 0).all()
        for mine, theirs in zip(tx.nonzero(x), np.nonzero(a), strict=True):
            alike(mine, theirs)
        line = np.sort(a, axis=None)
        for side in ("left", "right"):
            found = tx.searchsorted(tx.asarray(line), x, side=side)
            alike(found, np.searchsorted(line, a, side=side))

    in_turn(backend, check, arrays(min_dims=1), st.data())


def test_sets(backend):
    def check(a):
        x = tx.asarray(a)
        unique, first, inverse, counts = tx.unique_all(x)
        order = np.argsort(np.asarray(unique))
        expected, numbers = np.unique(a, return_counts=True)
        alike(unique[tx.asarray(order)], expected)
        assert np.asarray(counts)[order].tolist() == numbers.tolist()
        assert a.reshape(-1)[np.asarray(first)].tolist() == np.asarray(unique).tolist()
        assert inverse.shape == x.shape
        assert np.array_equal(np.asarray(unique)[np.asarray(inverse)], a)
        assert sorted(np.asarray(tx.unique_values(x)).tolist()) == expected.tolist()

    in_turn(backend, check, arrays())


def test_linear_algebra(backend):
    def check(a, b):
        x, y = tx.asarray(a), tx.asarray(b)
        for f, g in ((tx.matmul, np.matmul), (tx.vecdot, np.vecdot)):
            try:
                expected = g(a, b)
            except ValueError:
                with pytest.raises(TinyError):
                    f(x, y)
            else:
                alike(f(x, y), expected)
        alike(tx.tensordot(x, y, axes=0), np.tensordot(a, b, axes=0))

    shapes = {"min_dims": 1, "max_side": 2}
    in_turn(backend, check, *[arrays(["float64", "complex128"], **shapes)] * 2)


def test_indexing(backend):
    def check(a, data):
        x = tx.asarray(a)
        key = data.draw(hnp.basic_indices(a.shape, allow_newaxis=True, allow_ellipsis=True))
        parts = key if isinstance(key, tuple) else (key,)
        length = len([part for part in parts if part is not None and part is not ...])
        assume(length == a.ndim or ... in parts)  # the cases that the standard defines
        alike(x[key], a[key])
        mask = data.draw(hnp.arrays("bool", a.shape))
        alike(x[tx.asarray(mask)], a[mask])
        changed, expected = tx.asarray(a), a.copy()
        changed[key] = 7
        expected[key] = 7
        alike(changed, expected)
        changed[tx.asarray(mask)] = 3
        expected[mask] = 3
        alike(changed, expected)
        alike(x, a)

    in_turn(backend, check, arrays(), st.data())


def test_integer_arrays_as_indices(backend):
    a = np.arange(24).reshape(2, 3, 4)
    x = tx.asarray(a)
    i, j, k = np.asarray([0, -1, 1]), np.asarray([[2], [0]]), np.asarray([3, 3, 0])
    alike(x[tx.asarray(i), tx.asarray(j), tx.asarray(k)], a[i, j, k])
    alike(x[tx.asarray(i), 2, tx.asarray(k)], a[i, 2, k])
    alike(tx.take(x, tx.asarray(k), axis=2), np.take(a, k, axis=2))


# -- creation, in-place operators, arrays of one element -------------------------------------------


@each("dtype", DTYPES)
def test_creation(dtype, backend):
    name = dtype.name
    for shape in ((), (3,), 3, (2, 0), (2, 3)):
        alike(tx.zeros(shape, dtype=dtype), np.zeros(shape, dtype=name))
        alike(tx.ones(shape, dtype=dtype), np.ones(shape, dtype=name))
        alike(tx.full(shape, True, dtype=dtype), np.full(shape, True, dtype=name))
        assert tx.empty(shape, dtype=dtype).shape == np.empty(shape).shape
        x = tx.ones(shape, dtype=dtype)
        alike(tx.zeros_like(x), np.zeros(shape, dtype=name))
        alike(tx.full_like(x, 0), np.zeros(shape, dtype=name))
    alike(tx.eye(2, 3, k=1, dtype=dtype), np.eye(2, 3, k=1, dtype=name))
    if dtype is not tx.bool and dtype not in COMPLEXES:
        alike(tx.arange(2, 9, 3, dtype=dtype), np.arange(2, 9, 3, dtype=name))
        alike(tx.arange(5, dtype=dtype), np.arange(5, dtype=name))
    if dtype in REALS:
        alike(tx.linspace(0, 1, 5, dtype=dtype), np.linspace(0, 1, 5, dtype=name))
        open_end = np.linspace(0, 1, 4, endpoint=False, dtype=name)
        alike(tx.linspace(0, 1, 4, endpoint=False, dtype=dtype), open_end)
    alike(tx.asarray([[1, 0]], dtype=dtype), np.asarray([[1, 0]], dtype=name))


def test_default_dtypes(backend):
    assert tx.ones(1).dtype is tx.zeros(1).dtype is tx.eye(1).dtype is tx.float32
    assert tx.asarray(1.0).dtype is tx.linspace(0, 1, 2).dtype is tx.arange(1.0).dtype is tx.float32
    assert tx.asarray(1).dtype is tx.full(1, 1).dtype is tx.arange(1).dtype is tx.int64
    assert tx.asarray(True).dtype is tx.full(1, True).dtype is tx.bool
    assert tx.asarray(1j).dtype is tx.full(1, 1j).dtype is tx.complex64


def test_meshgrid(backend):
    lines = [np.arange(2), np.arange(3), np.arange(1)]
    for n in (1, 2, 3):
        for indexing in ("xy", "ij"):
            ours = tx.meshgrid(*map(tx.asarray, lines[:n]), indexing=indexing)
            for x, a in zip(ours, np.meshgrid(*lines[:n], indexing=indexing), strict=True):
                alike(x, a)


@each("name", ARITHMETIC | BITS)
def test_in_place_operators(name, backend):
    dunder = getattr(operator, f"__i{(ARITHMETIC | BITS)[name]}__")
    dtype = tx.float32 if name in ARITHMETIC else tx.int32
    a = np.asarray([[6, 4], [5, 7]], dtype=dtype.name)
    b = np.asarray([[2], [3]], dtype=dtype.name)
    x = y = tx.asarray(a)
    x = dunder(x, tx.asarray(b))
    assert x is y  # the object lives on, as with NumPy
    alike(x, dunder(a.copy(), b))
    z = dunder(tx.asarray(a), 2)
    alike(z, dunder(a.copy(), 2))
    with pytest.raises(TinyError, match="in-place"):  # cannot grow
        dunder(tx.ones((1,), dtype=dtype), tx.ones((2,), dtype=dtype))


def test_python_numbers_from_arrays_of_one_element(backend):
    assert (int(tx.asarray(3)), float(tx.asarray(0.5)), bool(tx.asarray(0))) == (3, 0.5, False)
    assert complex(tx.asarray(1 + 2j)) == 1 + 2j
    assert [7, 8, 9][tx.asarray(1)] == 8
    for kind in (int, float):
        with pytest.raises(TypeError):
            kind(tx.asarray(1j))
    with pytest.raises(TypeError):
        operator.index(tx.asarray(1.0))
