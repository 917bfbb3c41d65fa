"""The Tensor: in-place syntax, ways in and out, dtypes."""

import ast
import copy
import itertools
import pickle
import re
from pathlib import Path

import numpy as np
import pytest

import tinyxp as tx
from tests.helpers import each, leaf, normal
from tinyxp.core.composite import Composite
from tinyxp.core.operation import OPS
from tinyxp.core.primitive import Primitive
from tinyxp.core.tape import edge_of
from tinyxp.errors import (
    ArgumentError,
    DTypeError,
    GradientError,
    ShapeError,
)
from tinyxp.ops.methods import COMPARISONS, OPERATORS

# -- in-place syntax ------------------------------------------------------------------------------


def test_in_place_operators_make_new_values_and_rebind(backend):
    x = leaf([1.0, 2.0])
    a = x * 1.0
    before, copied, alias = a, a.clone().detach(), a.detach()
    a += 1.0
    a *= a
    a -= x
    a /= 2.0
    assert a is before
    np.testing.assert_allclose(a.tolist(), [1.5, 3.5])
    assert (copied.tolist(), alias.tolist()) == ([1, 2], a.tolist())
    a.sum().backward()  # ((x + 1)² - x) / 2
    np.testing.assert_allclose(x.grad.numpy(), [1.5, 2.5])


def test_saved_values_survive_a_change_of_the_leaf(backend):
    x = leaf([1.0, 2.0])
    y = x * x
    with tx.no_grad():
        x += 1.0
    y.sum().backward()
    assert (x.tolist(), x.grad.tolist()) == ([2, 3], [2, 4])


def test_a_leaf_is_not_changed_under_grad(backend):
    x = leaf([1.0, 2.0])
    with pytest.raises(
        GradientError, match="an in-place operator on a leaf that requires grad would lose it"
    ):
        x += 1.0
    assert x.tolist() == [1, 2]
    assert x.is_leaf


def test_sgd_under_no_grad_keeps_the_parameter(backend):
    p = leaf([1.0, 2.0])
    kept = p
    for _ in range(2):
        p.grad = None
        (p * p).sum().backward()
        with tx.no_grad():
            p -= 0.25 * p.grad
    assert p is kept
    assert p.is_leaf
    assert p.requires_grad
    assert p.tolist() == [0.25, 0.5]


def test_in_place_operators_keep_shape_and_dtype(backend):
    x = tx.asarray([1.0, 2.0])
    with pytest.raises(ShapeError, match=r"must keep shape and dtype, \(2,\) .* got \(2, 2\)"):
        x += tx.ones((2, 2))
    with pytest.raises(DTypeError, match=r"tinyxp.float32, got \(2,\) tinyxp.complex64"):
        x += 1j
    kept = x
    x += tx.ones(2, dtype=tx.float64)  # of the same kind, as NumPy and PyTorch have it
    assert x is kept and x.dtype is tx.float32
    n = tx.asarray([1, 2])
    with pytest.raises(DTypeError, match=r"tinyxp.int64, got \(2,\) tinyxp.float32"):
        n /= 2
    assert (x.tolist(), n.tolist()) == ([2, 3], [1, 2])


# -- in and out -----------------------------------------------------------------------------------


def test_what_comes_in_is_copied(backend):
    a = np.asarray([1.0, 2.0])
    x, y = tx.asarray(a), tx.Tensor(a)
    product = leaf([1.0, 1.0]) if backend != "numpy" else leaf([1.0, 1.0]) * a
    a[0] = 100
    assert x.tolist() == y.tolist() == [1, 2]
    if backend == "numpy":
        assert product.tolist() == [1, 2]


def test_what_goes_out_is_a_copy(backend):
    x = tx.asarray([1.0, 2.0])
    for out in (x.numpy(), np.asarray(x), np.array(x, dtype=np.float64)):
        out[0] = 100
    assert x.tolist() == [1, 2]
    assert np.asarray(x, dtype=np.float64).dtype == np.float64


def test_leaving_with_a_gradient_is_refused(backend):
    for x in (leaf([1.0]), leaf([1.0]) * 2):
        for leave in (lambda x: x.numpy(), np.asarray, np.from_dlpack, lambda x: x.__dlpack__()):
            with pytest.raises(
                GradientError, match=r"would cut the graph; call x\.detach\(\) first"
            ):
                leave(x)
        assert np.asarray(x.detach()).tolist() == x.tolist()


def test_dlpack_both_ways():
    x = tx.asarray([1.0, 2.0])
    assert np.from_dlpack(x).tolist() == [1, 2]
    assert tx.from_dlpack(np.asarray([1.0, 2.0])).tolist() == [1, 2]


def test_numbers_come_out(backend):
    assert (tx.asarray([[2.5]]).item(), float(tx.asarray(2.5)), int(tx.asarray(7))) == (2.5, 2.5, 7)
    assert [10, 20, 30][tx.asarray(1)] == 20
    assert bool(tx.asarray([True])) is True
    with pytest.raises(ShapeError, match=r"one element, got shape \(2,\)"):
        tx.asarray([1.0, 2.0]).item()
    with pytest.raises(DTypeError, match="an index must be an integer"):
        [1, 2][tx.asarray(1.0)]
    assert [row.tolist() for row in tx.asarray([[1, 2], [3, 4]])] == [[1, 2], [3, 4]]
    assert 3 in tx.asarray([1, 3])
    assert 2 not in tx.asarray([1, 3])


def test_copies_and_pickles(backend):
    x = leaf([1.0, 2.0])
    (x * x).sum().backward()
    y = copy.deepcopy(x)
    with tx.no_grad():
        y += 1.0
    assert (x.tolist(), y.tolist(), y.grad.tolist(), y.requires_grad) == (
        [1, 2],
        [2, 3],
        [2, 4],
        True,
    )
    z = pickle.loads(pickle.dumps(x))
    assert (z.tolist(), z.dtype, z.requires_grad) == ([1, 2], tx.float64, True)
    with pytest.raises(GradientError, match="only leaves can be deep-copied"):
        copy.deepcopy(x * 2)


# -- dtypes ---------------------------------------------------------------------------------------

REAL = [
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float32",
    "float64",
]


def expected_promotion(a, b):
    """NumPy's table within a kind (the standard's); between kinds the higher kind's dtype."""
    rank = {"b": 0, "u": 1, "i": 1, "f": 2}
    ranks = [rank[np.dtype(x).kind] for x in (a, b)]
    if ranks[0] != ranks[1]:
        return (a, b)[int(np.argmax(ranks))]
    together = np.promote_types(a, b)
    return None if together.kind == "f" and ranks[0] == 1 else together.name


@each(("a", "b"), [*itertools.combinations_with_replacement(REAL, 2)])
def test_promotion_is_one_table_on_every_backend(a, b, backend):
    expected = expected_promotion(a, b)
    x, y = tx.ones(1, dtype=a), tx.ones(1, dtype=b)
    unsigned = {"uint16", "uint32", "uint64"}
    if backend == "torch" and expected in unsigned:
        pytest.skip("PyTorch does not compute in these")
    for left, right in ((x, y), (y, x)):
        if expected is None:
            with pytest.raises(DTypeError, match="have no common integer dtype; cast one"):
                tx.equal(left, right)
        else:
            assert tx.result_type(left, right).name == expected
            joined = tx.where(tx.asarray([True]), left, right)
            assert (joined.dtype.name, joined.tolist()) == (expected, [1])
            if expected != "bool":
                total = left + right
                assert (total.dtype.name, total.tolist()) == (expected, [2])


def test_python_numbers_are_weak(backend):
    for dtype, number, expected in (
        ("int8", 2, "int8"), ("uint8", 2, "uint8"), ("int64", 2, "int64"),
        ("float32", 2, "float32"),
        ("float32", 2.0, "float32"), ("float64", 2.0, "float64"), ("float64", 2, "float64"),
        ("int64", 0.5, "float32"), ("int8", 0.5, "float32"), ("bool", 2, "int64"),
        ("bool", 0.5, "float32"), ("float32", np.float64(2.0), "float32"),
        ("int8", np.int64(2), "int8"),
        ("float32", 1j, "complex64"), ("float64", 1j, "complex128"),
    ):  # fmt: skip
        x = tx.ones(1, dtype=dtype)
        for y in (x * number, number * x):
            assert (y.dtype.name, y.tolist()) == (expected, [number]), (dtype, number)


def test_large_integers_stay_integers(backend):
    large = 2**63 + 1
    for dtype in (None, tx.uint64):
        x = tx.asarray([5, large], dtype=dtype)
        assert x.dtype is tx.uint64 and x.tolist() == [5, large]
    assert tx.asarray([5, large, 0.5]).dtype is tx.float32
    with pytest.raises(ArgumentError, match="no dtype holds"):
        tx.asarray([-5, large])
    with pytest.raises(DTypeError):
        tx.asarray([2**64])


def test_division_and_functions_of_integers_give_float32(backend):
    n = tx.asarray([1, 3])
    for y, expected in (
        (n / n, [1, 1]), (n / 2, [0.5, 1.5]), (1 / n, [1, 1 / 3]), (tx.sqrt(n), [1, 3**0.5]),
        (tx.mean(n), 2), (tx.exp(n * 0), [1, 1]), (n * 0.5, [0.5, 1.5]),
        (tx.astype(n, tx.int8) / 2, [0.5, 1.5]),
    ):  # fmt: skip
        assert y.dtype is tx.float32
        np.testing.assert_allclose(y.numpy(), np.asarray(expected, np.float32), rtol=1e-7)


def test_a_gradient_has_its_tensors_dtype(backend):
    p, x = leaf([1.0, 2.0], tx.float32), leaf([3.0, 4.0])
    y = p * x
    assert y.dtype is tx.float64
    y.sum().backward()
    assert (p.grad.dtype, p.grad.tolist()) == (tx.float32, [3, 4])
    assert (x.grad.dtype, x.grad.tolist()) == (tx.float64, [1, 2])
    (g,) = tx.autograd.grad((p * x).sum() ** 2, p, create_graph=True)
    (h,) = tx.autograd.grad(g.sum(), x)
    assert (g.dtype, g.tolist(), h.dtype) == (tx.float32, [66, 88], tx.float64)
    np.testing.assert_allclose(h.numpy(), [36, 50])  # d/dx Σ 2(p·x)x = 2(p Σx + (p·x))

    (g,) = tx.autograd.grad((p * x).sum() ** 2, x, create_graph=True)  # 2(p·x)p
    (h,) = tx.autograd.grad(g.sum(), p)
    assert (h.dtype, h.tolist()) == (tx.float32, [40, 46])  # 2x Σp + 2(p·x)

    q = leaf([2.0], tx.float32)
    (tx.astype(q, tx.float64) * 3).sum().backward()
    assert (q.grad.dtype, q.grad.tolist()) == (tx.float32, [3])


def test_gradients_of_broadcast_operands(backend):
    a, b, c = leaf(normal(3, 1)), leaf(normal(1, 4)), leaf(2.0)
    y = a * b * c
    w = normal(3, 4, seed=1)
    y.backward(tx.asarray(w))
    np.testing.assert_allclose(
        a.grad.numpy(), (w * normal(1, 4) * 2).sum(1, keepdims=True), rtol=1e-12
    )
    np.testing.assert_allclose(
        b.grad.numpy(), (w * normal(3, 1) * 2).sum(0, keepdims=True), rtol=1e-12
    )
    np.testing.assert_allclose(c.grad.item(), (w * normal(3, 1) * normal(1, 4)).sum(), rtol=1e-12)


def test_an_operation_registers_once():
    with pytest.raises(ArgumentError, match="an operation named 'sin' is registered already"):
        tx.ops.trigonometric.primitive(OPS["sin"].fn)
    assert edge_of("not a tensor") is None


def test_what_an_operation_made_says_all_of_itself(backend):
    x = tx.asarray([1.0, 2.0], dtype=tx.float64, requires_grad=True)
    said = f"shape=(2,), dtype=float64, backend={backend}, op=multiply"
    assert repr(x * 2) == f"tensor([2., 4.], {said})"
    with tx.no_grad():
        assert "op=" not in repr(x * 2)


CORE = Path(__file__).parents[2] / "tinyxp" / "core"


def test_stubs_and_methods_are_the_same():
    """Type checkers see the operators that ops/methods.py gives to Tensor, and no others."""
    tree = ast.parse((CORE / "tensor.py").read_text("utf-8"))
    tensor = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "Tensor")
    block = next(n for n in tensor.body if isinstance(n, ast.If))
    chains = [n.targets for n in block.body if isinstance(n, ast.Assign)]
    stubs = {target.id for targets in chains for target in targets}
    assert stubs <= {*dir(tx.Tensor)}
    names = {f"__{name}__" for name in OPERATORS | COMPARISONS}
    names |= {f"__r{name}__" for name in OPERATORS}
    assert names <= stubs


def test_the_readme_names_what_there_is():
    text = (CORE / "README.md").read_text("utf-8")
    for name in re.findall(r"`(\w+(?:/\w+)*\.py)`", text):
        assert (CORE / name).exists() or (CORE.parent / name).exists(), name
    for owner, name in re.findall(r"`(Primitive|Composite|Tensor)\.(\w+)`", text):
        cls = {"Primitive": Primitive, "Composite": Composite, "Tensor": tx.Tensor}[owner]
        assert hasattr(cls, name), f"{owner}.{name}"
    listed = set(re.findall(r"`(\w+\.py)`", text))
    assert {path.name for path in CORE.glob("*.py")} - {"__init__.py"} <= listed
    assert len(text.splitlines()) <= 80
