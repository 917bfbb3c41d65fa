"""Which views cuBLAS can read where they lie, and where: by a model of its call in NumPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib.stride_tricks import as_strided

import tinyxp as tx
from tests.backends.test_parity import MATMULS
from tests.compare import close
from tests.helpers import normal
from tinyxp.backends.cupy.gemm import matrix, plan
from tinyxp.errors import ArgumentError


def elements(x):
    return tuple(stride // x.itemsize for stride in x.strides)


def piece(x, offset, shape, strides):
    """Numbers as cuBLAS reads them: from an address, at distances, whatever the array's shape."""
    base = x
    while base.base is not None:
        base = base.base
    flat = base.ravel(order="K")
    assert np.shares_memory(flat, base)
    start = x.__array_interface__["data"][0] - flat.__array_interface__["data"][0]
    place = start // x.itemsize + offset
    assert place + sum((n - 1) * s for n, s in zip(shape, strides, strict=True)) < flat.size
    return as_strided(flat[place:], shape, [s * x.itemsize for s in strides])


def multiplied(a, b):
    """``a @ b`` by the plan, or None."""
    found = plan(a.shape, elements(a), b.shape, elements(b))
    if found is None:
        return None
    shape = (*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1])
    c = np.full(shape, np.nan)
    for at in found.offsets:
        parts = []
        sizes = [(found.m, found.k), (found.k, found.n), (found.m, found.n)]
        layouts = [found.a, found.b, (False, found.n)]
        for x, i, stride, size, (flip, step) in zip(
            (a, b, c), at, found.strides, sizes, layouts, strict=True
        ):
            assert step >= max(1, size[0] if flip else size[1])  # as cuBLAS asks
            inner = (1, step) if flip else (step, 1)
            parts.append(piece(x, i, (found.batch, *size), (stride, *inner)))
        parts[2][...] = parts[0] @ parts[1]
    return c


def check_product(a, b):
    found = multiplied(a, b)
    assert found is not None
    close(found, a @ b, 1e-12)


WHOLE = [case for case in MATMULS if len(case[0]) > 1 and len(case[1]) > 1]


@pytest.mark.parametrize(("a", "b"), [c for c in WHOLE if 0 not in c[0] + c[1]], ids=str)
def test_every_broadcast(a, b):
    check_product(normal(*a), normal(*b, seed=1))
    flipped = normal(*a[:-2], a[-1], a[-2]).swapaxes(-1, -2), normal(*b[:-2], b[-1], b[-2])
    check_product(flipped[0], flipped[1].swapaxes(-1, -2))


def test_the_products_of_a_transformer_copy_nothing_and_take_one_call():
    x, w = normal(8, 16, 12), normal(24, 12)
    y = plan(x.shape, elements(x), w.T.shape, elements(w.T))
    assert (y.m, y.n, y.k, y.batch, len(y.offsets)) == (128, 24, 12, 1, 1)  # flattened
    q, k = normal(2, 8, 16, 3, 4).transpose(0, 3, 1, 2, 4)
    check_product(q, k.swapaxes(-1, -2))
    scores, v = normal(8, 3, 16, 16), normal(8, 16, 3, 4).swapaxes(1, 2)
    check_product(scores, v)
    check_product(scores.swapaxes(-1, -2), v)
    g = normal(128, 24, seed=2)
    check_product(g.T, x.reshape(128, 12))
    one = plan((8, 3, 16, 16), elements(scores), v.shape, elements(v))
    assert (one.batch, len(one.offsets)) == (3, 8)  # heads in one call, samples one by one
    v = np.ascontiguousarray(v)
    one = plan((8, 3, 16, 16), elements(scores), v.shape, elements(v))
    assert (one.batch, len(one.offsets)) == (24, 1)


def test_what_has_to_be_copied():
    x = normal(6, 8)
    for view in (x[:, ::2], x[::-1], x[:, ::-1], as_strided(x, (3, 3), (8, 8))):
        assert plan(view.shape, elements(view), (view.shape[1], 2), (2, 1)) is None
    assert plan((65, 2, 3, 4), (1000, 0, 4, 1), (65, 2, 4, 5), (0, 7, 5, 1)) is None  # 65 calls
    check_product(x[:, 2:5], normal(3, 2))
    check_product(x[::2], normal(8, 2))


@given(
    st.integers(1, 4), st.integers(1, 4), st.integers(1, 4),
    st.lists(st.tuples(st.integers(1, 3), st.sampled_from(["both", "a", "b", "none"])), max_size=3),
    st.permutations(range(5)), st.booleans(), st.booleans(), st.integers(0, 99),
)  # fmt: skip
def test_any_batch_in_any_order(m, k, n, batch, order, flip_a, flip_b, seed):
    """Operands whose batch axes lie in any order in memory, some of them repeated."""
    operands = []
    for i, (rows, columns, flip) in enumerate(((m, k, flip_a), (k, n, flip_b))):
        front = [size if who in ("both", "ab"[i]) else 1 for size, who in batch]
        shape = [*front, *((columns, rows) if flip else (rows, columns))]
        places = [p for p in order if p < len(shape)]
        x = normal(*[shape[p] for p in places], seed=seed + i).transpose(np.argsort(places))
        operands.append(x.swapaxes(-1, -2) if flip else x)
    found = multiplied(*operands)
    if found is None:
        assert any(matrix(x.shape, elements(x)) is None for x in operands)
    else:
        np.testing.assert_allclose(found, operands[0] @ operands[1], rtol=1e-12, atol=1e-12)


def test_the_precision_of_products_is_a_choice(backend):
    assert tx.get_float32_matmul_precision() == "highest"
    x = tx.asarray(normal(5, 7), dtype=tx.float32)
    try:
        for name, tolerance in (("high", 1e-2), ("medium", 1e-1), ("highest", 1e-5)):
            tx.set_float32_matmul_precision(name)
            assert tx.get_float32_matmul_precision() == name
            y = (x @ x.T).numpy()
            np.testing.assert_allclose(y, x.numpy() @ x.numpy().T, atol=tolerance)
    finally:
        tx.set_float32_matmul_precision("highest")
    with pytest.raises(ArgumentError, match="one of 'highest', 'high', 'medium', got 'tf32'"):
        tx.set_float32_matmul_precision("tf32")
