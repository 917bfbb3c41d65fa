"""Sets by the standard's rule: equality, first indices, counts; and searchsorted."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import tinyxp as tx
from tests.helpers import leaf

ELEMENTS = {
    "int64": st.integers(-3, 3),
    "bool": st.booleans(),
    "float64": st.sampled_from([0.0, -0.0, 1.5, -2.0, np.inf, np.nan]),
    "complex128": st.sampled_from([0j, 1j, -1j, 1 + 1j, complex(1, np.nan), complex(np.nan, 0)]),
}
LISTS = st.sampled_from(sorted(ELEMENTS)).flatmap(
    lambda dtype: st.tuples(st.just(dtype), *[st.lists(ELEMENTS[dtype], max_size=8)] * 2)
)


def first_places(values):
    """The standard's rule, element by element: the first index of each different element."""
    return [i for i, v in enumerate(values) if not any(v == u for u in values[:i])]


@given(LISTS)
def test_sets_by_the_rule(drawn):
    dtype, values, others = drawn
    for name in ("numpy", "strict"):
        with tx.backend(name):
            x, y = tx.asarray(values, dtype=dtype), tx.asarray(others, dtype=dtype)
            found = tx.unique_all(x)
            assert sorted(found.indices.tolist()) == first_places(values)
            unique = [values[i] for i in found.indices.tolist()]
            np.testing.assert_array_equal(found.values.numpy(), np.asarray(unique, dtype=dtype))
            expected = [max(1, values.count(v)) if v == v else 1 for v in unique]
            assert found.counts.tolist() == expected
            back = tx.take(found.values, found.inverse_indices)
            np.testing.assert_array_equal(back.numpy(), np.asarray(values, dtype=dtype))
            inside = [any(v == u for u in others) for v in values]
            assert tx.isin(x, y).tolist() == inside
            assert tx.isin(x, y, invert=True).tolist() == [not here for here in inside]


def test_the_results_of_unique_have_names(backend):
    x = tx.asarray([[3, 1], [3, 2]])
    found = tx.unique_all(x)
    assert found._fields == ("values", "indices", "inverse_indices", "counts")
    assert found.inverse_indices.shape == (2, 2) and found.values.tolist() == [1, 2, 3]
    values, counts = tx.unique_counts(x)
    assert (values.tolist(), counts.tolist()) == ([1, 2, 3], [1, 1, 2])
    values, inverse = tx.unique_inverse(x)
    assert tx.take(values, inverse).tolist() == x.tolist()
    assert tx.unique_values(x).dtype is x.dtype
    assert {y.dtype for y in found} == {tx.int64}


def test_the_gradient_of_unique_values_goes_to_first_places(backend):
    x = leaf([[3.0, 1.0], [3.0, 2.0]])
    tx.sum(tx.unique_values(x) * tx.asarray([1.0, 10.0, 100.0], dtype=tx.float64)).backward()
    assert x.grad.tolist() == [[100, 1], [0, 10]]


def test_isin_takes_numbers(backend):
    x = tx.asarray([[1, 2], [3, 4]])
    assert tx.isin(x, 3).tolist() == [[False, False], [True, False]]
    found = tx.isin(3, x)
    assert found.shape == () and found.item() is True
    assert tx.isin(0, x, invert=True).item() is True
    assert tx.isin(x, 2.5).tolist() == [[False, False], [False, False]]
    assert tx.isin(tx.asarray([1.0, 2.5]), tx.asarray([1, 2])).tolist() == [True, False]


def test_searchsorted_takes_numbers(backend):
    x = tx.asarray([1.0, 2.0, 4.0])
    for side in ("left", "right"):
        y = tx.searchsorted(x, 2, side=side)
        assert y.shape == () and y.dtype is tx.int64 and y.item() == (1 if side == "left" else 2)
    order = tx.asarray([2, 0, 1])
    unsorted = tx.asarray([2.0, 4.0, 1.0])
    assert tx.searchsorted(unsorted, tx.asarray([3.0]), sorter=order).tolist() == [2]
