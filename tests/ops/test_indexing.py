"""Reading and replacing parts of a tensor, by NumPy's rules on every backend. The order of axes for
an integer beside arrays is PyTorch's."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinyxp as tx
from tests.helpers import each
from tinyxp import backends
from tinyxp.errors import (
    BackendError,
    DTypeError,
    GradientError,
    IndexingError,
    ShapeError,
)

SHAPE = (3, 4, 5)
MASK = (np.arange(60).reshape(SHAPE) * 7) % 3 == 1
IDS, COLUMN = np.asarray([2, 0, 2, -1]), np.asarray([[1], [-4]])
KEYS = [
    0, -1, np.int64(2), (1, 2), (1, 2, 3), (-3, -4, -5), (), ..., None, (..., None),
    (None, ..., None),
    slice(None), slice(1, None), slice(None, -1), slice(-2, 100), slice(-100, 2), slice(2, 1),
    slice(None, None, 2), slice(None, None, -1), slice(2, None, -2), slice(None, 0, -1),
    slice(100, -100, -1), slice(0, 2, -1), slice(5, 9), slice(np.int64(1), np.int64(3)),
    (slice(None), slice(None, None, -1)), (slice(None, None, -1), 0, slice(None, None, -3)),
    (..., 0), (..., slice(1, 4, 2)), (0, ...), (0, ..., 1), (1, None, slice(None), None, 2),
    (slice(None, None, -1), None, ..., slice(3, 0, -2)), (slice(0, 0), 1), (..., slice(4, 2)),
    # masks
    MASK, MASK[:, :, 0], MASK[:, 0, 0], (slice(None), MASK[0]), (slice(None), MASK[0, :, 0]),
    (..., MASK[0, 0]), (1, MASK[0]), (None, MASK[:, :, 1]), np.zeros(SHAPE, bool), np.ones(3, bool),
    (MASK[:, 0, 0], 0), (MASK[:, 0, 0], ..., 1), [True, False, True], (MASK[:, 0, 0], slice(1, 3)),
    (np.asarray([True, False, True]), np.asarray([1, 3])),
    (MASK[:, 0, 0], slice(None), np.ones(5, bool) * False),
    # integer arrays, with repetitions
    IDS, [0, 0, 1], [[0, 1], [2, 2]], COLUMN[:1], [], (IDS, IDS), (IDS, COLUMN), (IDS, COLUMN, 0),
    (IDS, 2), (2, IDS), (0, IDS, 1),
    (slice(None), IDS), (slice(None), IDS, COLUMN), (slice(None), IDS, 1),
    (slice(None), slice(None), IDS),
    (IDS[:3], slice(None), IDS[:3]), (IDS, slice(1, 3), 0), (0, slice(None), IDS),
    (slice(None), 0, IDS),
    (..., IDS), (IDS, ..., IDS), (IDS, ...), (IDS, None), (None, IDS), (IDS, None, IDS),
    (0, None, IDS),
    (slice(None), IDS, None, IDS), (slice(None, None, -1), IDS), (IDS, slice(None, None, -2)),
    (IDS, slice(None, None, -1), COLUMN), (slice(1, 1), IDS), (IDS, slice(4, 2)),
    np.zeros((2, 0), np.int64),
    (np.zeros(0, np.int64), slice(None), IDS[:1]), (slice(None), [[]], 0),
    np.asarray([1, 2], np.uint8), np.asarray([-1, 2], np.int8), (IDS, IDS, IDS),
    (None, IDS, None, 1),
    (slice(None), IDS, ..., IDS), (IDS, slice(None), ..., 0),
]  # fmt: skip


def plain(key):
    """The key for NumPy, which takes an empty list in a tuple for floats."""
    if isinstance(key, tuple):
        return tuple(map(plain, key))
    return np.asarray(key, None if np.size(key) else np.int64) if isinstance(key, list) else key


def parts_of(a, key):
    """The view of ``a`` by the integers of a key, and the rest of the key: beside arrays, integers
    are applied first, as in PyTorch, while NumPy takes them for arrays."""
    items = list(key) if isinstance(key, tuple) else [key]
    used = sum(np.ndim(k) if is_mask(k) else k is not None and k is not ... for k in items)
    at = next((i for i, k in enumerate(items) if k is ...), len(items))
    items[at : at + 1] = [slice(None)] * (a.ndim - used)
    first, rest = [], []
    for item in items:
        whole = isinstance(item, (int, np.integer))
        if not whole:
            rest.append(item)
        if item is not None:
            first += [item] if whole else [slice(None)] * (np.ndim(item) if is_mask(item) else 1)
    return a[(*first, ...)], tuple(rest)


def read(a, key):
    view, rest = parts_of(a, plain(key))
    return view[rest]


def on_backend(key):
    """The key with its arrays as Tensors of the backend in use."""
    if isinstance(key, tuple):
        return tuple(map(on_backend, key))
    return tx.asarray(key) if isinstance(key, np.ndarray) else key


def normal(shape=SHAPE, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


@each("key", KEYS)
def test_getitem_and_its_gradient(key, backend):
    """y = x[key]; the gradient of an element is the sum over everything read from it."""
    x = tx.asarray(normal(), requires_grad=True)
    expected = read(normal(), key)
    for ours in (key, on_backend(plain(key))):  # lists and NumPy's arrays, or Tensors
        y = x[ours]
        assert y.shape == expected.shape
        np.testing.assert_array_equal(y.detach().numpy(), expected)
    g, sums = normal(y.shape, seed=1), np.zeros(SHAPE)
    np.add.at(sums.reshape(-1), read(np.arange(60).reshape(SHAPE), key), g)
    y.backward(tx.asarray(g))
    np.testing.assert_allclose(x.grad.numpy(), sums, rtol=1e-13, atol=1e-13)


@each("key", KEYS)
def test_setitem_and_its_gradients(key, backend):
    """y = x with x[key] = v: the last v written to an element stays, and only it has a gradient."""
    expected, places = normal(), read(np.arange(60).reshape(SHAPE), key)
    v = normal(places.shape, seed=1)
    view, rest = parts_of(expected, plain(key))
    view[rest] = v
    x, value = (tx.asarray(a, requires_grad=True) for a in (normal(), v))
    y = tx.setitem(x, on_backend(key), value)
    np.testing.assert_array_equal(y.detach().numpy(), expected)

    g = normal(seed=2)
    y.backward(tx.asarray(g))
    source = np.full(60, -1)  # the index of the value that stays in each element
    source[places.reshape(-1)] = np.arange(places.size)
    gx = np.where(source < 0, g.reshape(-1), 0).reshape(SHAPE)
    gv = np.zeros(places.size)
    gv[source[source >= 0]] = g.reshape(-1)[source >= 0]
    np.testing.assert_array_equal(x.grad.numpy(), gx)
    np.testing.assert_array_equal(value.grad.numpy(), gv.reshape(places.shape))


@each("key", KEYS)
def test_setitem_of_a_number(key, backend):
    expected, x = normal(), tx.asarray(normal())
    expected[plain(key)] = 7
    x[key] = 7
    np.testing.assert_array_equal(x.numpy(), expected)
    x[on_backend(plain(key))] = tx.asarray(8)  # an integer of no axes
    expected[plain(key)] = 8
    np.testing.assert_array_equal(x.numpy(), expected)


@st.composite
def keys(draw, shape=SHAPE):
    """Random keys: integers, slices, None and ..., with at most one kind of index array."""
    parts = []
    rows = draw(st.sampled_from([(), (1,), (3,), (2, 1), (2, 3)]))
    for n in shape[: draw(st.integers(0, len(shape)))]:
        bound = st.none() | st.integers(-n - 2, n + 2)
        step = st.sampled_from([None, 1, 2, 3, -1, -2])
        array = st.integers(0, 2**16).map(
            lambda seed, n=n: np.random.default_rng(seed).integers(-n, n, size=rows)
        )
        mask = st.integers(0, 2**n - 1).map(
            lambda b, n=n: np.asarray([b >> i & 1 == 1 for i in range(n)])
        )
        choices = [st.integers(-n, n - 1), st.builds(slice, bound, bound, step)]
        choices.append(array if rows else mask if not any(map(is_mask, parts)) else choices[0])
        parts.append(draw(st.one_of(choices)))
    for _ in range(draw(st.integers(0, 2))):
        parts.insert(draw(st.integers(0, len(parts))), None)
    if draw(st.booleans()):
        parts.append(...) if draw(st.booleans()) else None
    return tuple(parts)


def is_mask(part):
    return (
        np.asarray(part).dtype == bool and np.ndim(part) > 0
        if isinstance(part, (list, np.ndarray))
        else False
    )


@settings(max_examples=150)
@given(key=keys())
@pytest.mark.parametrize("name", ["numpy", "strict", "torch"])
def test_random_keys(name, key):
    try:
        backends.get(name)
    except BackendError as error:
        pytest.skip(str(error))
    with tx.backend(name):
        x = tx.asarray(normal())
        expected = read(normal(), key)
        y = x[on_backend(key)]
        assert y.shape == expected.shape
        np.testing.assert_array_equal(y.numpy(), expected)
        changed, v = normal(), normal(expected.shape, seed=1)
        view, rest = parts_of(changed, key)
        view[rest] = v
        x[on_backend(key)] = tx.asarray(v)
        np.testing.assert_array_equal(x.numpy(), changed)


@pytest.mark.parametrize(
    "key",
    [
        (slice(None), [0, 0, 1]),
        ([1, 0, 1], [0, 2, 0]),
        (slice(None, None, -1), slice(0, 3, 2)),
        ([1, 1], None, slice(2, None, -1)),
        1,
    ],
    ids=str,
)
def test_second_derivatives(key, backend):
    x = tx.asarray(normal((2, 3)))
    v = tx.asarray(normal(x[key].shape, seed=1))
    tx.gradcheck(lambda x: x[key] ** 3, x, order=2, name="getitem")
    tx.gradcheck(lambda x, v: tx.setitem(x, key, v) ** 3, x, v, order=2, name="setitem")


@each(
    ("key", "shape"),
    [
        (slice(1, 3), (5,)),
        (slice(1, 3), (1, 4, 1)),
        (slice(1, 3), (1, 1, 2, 4, 5)),
        ((0, slice(None, None, -1)), (5,)),
        ((0, slice(None, None, -1)), (1, 4, 5)),
        ((0, slice(None, None, -1), None), (4, 1, 1)),
        (0, (1, 1)),
        ([0, 2], (4, 1)),
        ([0, 2], (1, 2, 4, 5)),
        (MASK, (1,)),
        ((1, 2, 3), (1,)),
    ],
)
def test_values_are_broadcast_to_their_place(key, shape, backend):
    expected, v = normal(), normal(shape, seed=1)
    expected[key] = v if np.ndim(expected[key]) else v[0]
    x, value = (tx.asarray(a, requires_grad=True) for a in (normal(), v))
    y = tx.setitem(x, key, value)
    np.testing.assert_array_equal(y.detach().numpy(), expected)
    tx.gradcheck(lambda v: tx.setitem(tx.asarray(normal()), key, v), tx.asarray(v), name="setitem")


def test_numbers_are_weak_and_dtypes_kept(backend):
    for dtype, value, expected in (
        ("uint8", 3, [3, 0]),
        ("uint64", 3, [3, 0]),
        ("int8", True, [1, 0]),
        ("float32", 3, [3.0, 0.0]),
        ("float32", tx.asarray(0.5, dtype=tx.float64), [0.5, 0.0]),
        ("float64", 0.25, [0.25, 0.0]),
        ("bool", True, [True, False]),
    ):
        x = tx.zeros(2, dtype=dtype)
        x[0] = value
        assert x.dtype.name == dtype
        assert x.tolist() == expected
        if (dtype, backend) == ("uint64", "torch"):
            continue  # PyTorch has no gather for it
        x = tx.zeros(2, dtype=dtype)
        x[[0]] = value
        assert (x.dtype.name, x.tolist()) == (dtype, expected)


def test_an_older_graph_keeps_its_value(backend):
    x = tx.asarray([1.0, 2.0, 3.0], requires_grad=True)
    a = x * 1.0
    before = a
    y = a * a  # saves the old a
    a[1] = 10.0
    assert a is before
    assert a.tolist() == [1, 10, 3]
    assert y.tolist() == [1, 4, 9]
    (y + a).sum().backward()
    assert x.grad.tolist() == [3, 4, 7]  # 2x from y, 1 from a where it was kept

    a = x * 1.0
    b, c = a.detach(), a.clone()
    a[[0, 0]] = tx.asarray([5.0, 6.0])
    assert a.tolist() == b.tolist() == [6, 2, 3]
    assert c.tolist() == x.tolist() == [1, 2, 3]


def test_a_leaf_under_grad_is_not_assigned_to(backend):
    x = tx.asarray([1.0, 2.0], requires_grad=True)
    with pytest.raises(GradientError, match=r"item assignment on a leaf .* under tx\.no_grad\(\)"):
        x[0] = 3.0
    assert x.tolist() == [1, 2]
    with tx.no_grad():
        x[0] = 3.0
    assert x.tolist() == [3, 2]
    assert x.requires_grad
    assert x.is_leaf


REFUSED = [
    (3, IndexingError, "index 3 is out of bounds for axis 0 of length 3"),
    (-4, IndexingError, "index -4 is out of bounds for axis 0 of length 3"),
    ((0, 4), IndexingError, "index 4 is out of bounds for axis 1 of length 4"),
    (
        (0, 0, 0, 0),
        IndexingError,
        "too many indices or ellipses in (0, 0, 0, 0) for shape (3, 4, 5)",
    ),
    ((..., ...), IndexingError, "too many indices or ellipses"),
    ([0, 3], IndexingError, "index 3 is out of bounds for axis 0 of length 3"),
    ((slice(None), [0, -5]), IndexingError, "index -5 is out of bounds for axis 1 of length 4"),
    ((5, [0, 1]), IndexingError, "index 5 is out of bounds for axis 0 of length 3"),
    ([True, False], IndexingError, "a mask of shape (2,) does not fit axis 0 of (3, 4, 5)"),
    (([0, 1], [0, 1, 2]), ShapeError, "axis -1 is 2 in one and 3"),
    (
        1.5,
        DTypeError,
        "a key is made of integers, slices, None, ..., masks and integer tensors, got float",
    ),
    ("a", DTypeError, "got str"),
    ([0.5], DTypeError, "indices must be integers or a boolean mask, got tinyxp.float32"),
    (["a"], DTypeError, "expected numbers"),
    (slice(0.5, None), DTypeError, "a slice is made of integers"),
    (slice(None, None, 0), IndexingError, "the step of a slice cannot be zero"),
]


@each(("key", "kind", "text"), REFUSED)
def test_keys_that_are_refused(key, kind, text, backend):
    x = tx.asarray(normal())
    with pytest.raises(kind, match=re.escape(text)):
        x[key]
    with pytest.raises(kind, match=re.escape(text)):
        x[key] = 1.0
    np.testing.assert_array_equal(x.numpy(), normal())


def test_values_that_are_refused(backend):
    x = tx.asarray(normal())
    for key, value, text in (
        (
            0,
            tx.ones((3, 5), dtype=tx.float64),
            "a value of shape (3, 5) does not fit into a place of (4, 5)",
        ),
        (
            slice(0, 1),
            tx.ones((2, 4, 5)),
            "a value of shape (2, 4, 5) does not fit into a place of (1, 4, 5)",
        ),
        ([0, 1], tx.ones((3, 1, 1)), "does not fit into a place of (2, 4, 5)"),
        ((0, 0, 0), tx.ones(2), "a value of shape (2,) does not fit into a place of ()"),
    ):
        with pytest.raises(ShapeError, match="do not broadcast|" + re.escape(text)):
            x[key] = value
    with pytest.raises(
        DTypeError, match=r"cannot put tinyxp\.complex64 into a tensor of tinyxp\.float64"
    ):
        x[0] = 1j
    with pytest.raises(
        DTypeError, match=r"cannot put tinyxp\.float32 into a tensor of tinyxp\.int64"
    ):
        tx.arange(3)[0:2] = 0.5
    with pytest.raises(DTypeError):
        x[0] = None
    with pytest.raises(DTypeError):
        x[0] = "a"
    np.testing.assert_array_equal(x.numpy(), normal())


def test_index_add_wraps_negative_indices_and_refuses_others(backend):
    x, v = tx.asarray(normal((3, 2))), tx.asarray(normal((4, 2), seed=1))
    expected = normal((3, 2))
    np.add.at(expected, [2, -1, 0, 2], normal((4, 2), seed=1))
    y = tx.index_add(x, tx.asarray([2, -1, 0, 2]), v)
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-14)
    for index in (3, -4):
        with pytest.raises(
            IndexingError, match=f"index {index} is out of bounds for axis 0 of length 3"
        ):
            tx.index_add(x, tx.asarray([0, index]), v[:2])
    with pytest.raises(ShapeError, match=r"got \(3, 2\), \(4,\), \(2,\)"):
        tx.index_add(x, tx.asarray([0, 1, 2, 0]), tx.ones(2))


def test_take_and_take_along_axis_are_numpys(backend):
    x = normal()
    for axis in (0, 1, -1):
        for ids in ([1, -1, 1], [[0], [2]], []):
            y = tx.take(tx.asarray(x), tx.asarray(ids, dtype=tx.int64), axis=axis)
            np.testing.assert_array_equal(
                y.numpy(), np.take(x, np.asarray(ids, np.int64), axis=axis)
            )
        order = np.argsort(x, axis=axis)
        y = tx.take_along_axis(tx.asarray(x), tx.asarray(order), axis=axis)
        np.testing.assert_array_equal(y.numpy(), np.sort(x, axis=axis))
    tx.gradcheck(
        lambda x: tx.take(x, tx.asarray([[0, 1], [1, 1]]), axis=1) ** 2,
        tx.asarray(normal((2, 3))),
        order=2,
    )
    with pytest.raises(IndexingError, match="index.* out of bounds for axis 1 .* 4"):
        tx.take(tx.asarray(x), tx.asarray([4]), axis=1)
    with pytest.raises(
        DTypeError, match=r"indices must be integers or a boolean mask, got tinyxp\.float32"
    ):
        tx.take(tx.asarray(x), tx.asarray([0.5]), axis=1)
