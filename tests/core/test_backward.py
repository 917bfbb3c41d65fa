"""The one backward pass: its order, its cost, its memory, and where it stops."""

import gc
import math
import re
import threading
import weakref

import numpy as np
import pytest

import tinyxp as tx
from tests.helpers import leaf, normal
from tests.registry import call, differentiable, example, is_floating, tensors
from tinyxp.errors import (
    BackendError,
    DTypeError,
    GradientError,
    ShapeError,
)

# -- the backward pass ----------------------------------------------------------------------------


def test_a_chain_of_50_000_operations():
    x = leaf(1.0)
    y = x
    for _ in range(50_000):
        y = y + 1.0
    y.backward()
    assert (y.item(), x.grad.item()) == (50_001, 1)
    died = weakref.ref(y._node)
    del y  # must not exhaust the C stack
    assert died() is None


def test_a_chain_of_50_000_operations_is_deleted_before_it_was_used():
    y = leaf(1.0)
    for _ in range(50_000):
        y = y * 1.0
    died = weakref.ref(y._node)
    del y
    assert died() is None


def test_each_node_is_visited_once(pulls):
    """2^200 paths lead through this graph of diamonds; only its nodes count."""
    x = leaf(1.0)
    y = x
    for _ in range(200):
        y = y * 0.25 + y * 0.75
    y.backward()
    assert x.grad.item() == pytest.approx(1, rel=1e-12)
    assert len(pulls) == 3 * 200


def test_the_cost_is_linear_in_depth(pulls):
    counts = []
    for depth in (10, 20, 40):
        pulls.clear()
        x = leaf(normal(4, 4))
        y = x
        for _ in range(depth):
            y = tx.tanh(y @ x) + y
        y.sum().backward()
        counts.append(len(pulls))
    assert counts == [31, 61, 121]


def test_a_branch_without_gradient_is_not_pulled(pulls):
    x, frozen = leaf([1.0, 2.0]), tx.asarray([3.0, 4.0], dtype=tx.float64)
    y = x * tx.exp(tx.sin(frozen))
    (g,) = tx.autograd.grad(y.sum(), x)
    np.testing.assert_allclose(g.numpy(), np.exp(np.sin([3.0, 4.0])))
    assert pulls == ["sum", "multiply"]

    pulls.clear()
    a, b = leaf(2.0), leaf(3.0)
    (g,) = tx.autograd.grad(tx.sin(a) * tx.cos(b), b)  # the way to a is not asked for
    assert g.item() == pytest.approx(-math.sin(2) * math.sin(3))
    assert pulls == ["multiply", "cos"]


def test_a_second_backward_is_refused_unless_the_graph_is_retained(backend):
    x = leaf(3.0)
    y = x**2
    y.backward()
    with pytest.raises(
        GradientError, match=r"this graph was used up .* \(at pow\); .* retain_graph=True"
    ):
        y.backward()
    assert x.grad.item() == 6

    x = leaf(3.0)
    y = x**2
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.item() == 12
    with pytest.raises(GradientError, match="used up"):
        y.backward()


def test_a_shared_part_that_was_used_up_is_named():
    x = leaf(3.0)
    shared = tx.sin(x)
    (shared * 2).backward()
    with pytest.raises(GradientError, match=r"used up by an earlier backward pass \(at sin\)"):
        (shared * 3).backward()


def test_gradients_add_up_over_backward_passes(backend):
    x = leaf([1.0, 2.0])
    (x * x).sum().backward()
    first = x.grad
    (3 * x).sum().backward()
    assert x.grad.tolist() == [5, 7]
    assert first.tolist() == [2, 4]  # whoever kept the first gradient keeps its value
    x.grad = None
    (3 * x).sum().backward()
    assert x.grad.tolist() == [3, 3]


def test_leaves_do_not_share_their_gradients(backend):
    a, b = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    g = tx.asarray([1.0, 10.0], dtype=tx.float64)
    (a + b).backward(g)
    a.grad += 5.0
    a.grad[0] = 0.0
    assert (a.grad.tolist(), b.grad.tolist(), g.tolist()) == ([0, 15], [1, 10], [1, 10])
    (a + b).backward(g)
    (a + a + a).backward(g)  # sums that the pass makes in place
    assert (a.grad.tolist(), b.grad.tolist(), g.tolist()) == ([4, 55], [2, 20], [1, 10])


def test_sums_in_place_do_not_reach_a_gradient_that_was_returned():
    x = leaf([1.0, 2.0])
    h = x * 1.0
    y = (h + h + h).sum() + (h * h).sum()
    gh, gx = tx.autograd.grad(y, (h, x))
    assert gh.tolist() == gx.tolist() == [5, 7]


def test_backward_of_many_numbers_needs_their_gradient(backend):
    x = leaf([1.0, 2.0])
    with pytest.raises(
        GradientError, match=r"single number, got shape \(2,\); reduce it with \.sum\(\)"
    ):
        (x * x).backward()
    y = x * x
    with pytest.raises(ShapeError, match=r"must have its tensor's shape \(2,\), got \(3,\)"):
        y.backward(tx.ones(3, dtype=tx.float64))
    with pytest.raises(DTypeError, match=r"dtype tinyxp.float64, got tinyxp.float32"):
        y.backward(tx.ones(2))
    y.backward(tx.asarray([1.0, 10.0], dtype=tx.float64))
    assert x.grad.tolist() == [2, 40]


def test_one_number_of_any_shape_needs_none():
    x = leaf([[3.0]])
    (x * x).backward()
    assert x.grad.tolist() == [[6]]


def test_a_gradient_from_another_backend_is_refused():
    pytest.importorskip("array_api_strict")
    y = leaf([1.0]) * 2
    with tx.backend("strict"):
        g = tx.ones(1, dtype=tx.float64)
    with pytest.raises(BackendError, match=r"on 'strict', its tensor on 'numpy'; move it: g\.to"):
        y.backward(g)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda x: x.detach() * 2, "no operation on a tensor with requires_grad=True led to it"),
        (lambda x: tx.argmax(x), "argmax is not differentiable: its result is a count or an index"),
        (lambda x: x > 1, "greater is not differentiable: its result is a boolean"),
        (lambda x: x == x, "equal is not differentiable"),
        (lambda x: tx.argsort(x), "argsort is not differentiable: its result is made of indices"),
        (lambda x: tx.astype(x, tx.int64), "astype to tinyxp.int64 is not differentiable"),
    ],
)
def test_why_there_is_no_gradient(make, reason, backend):
    y = make(leaf([1.0, 2.0]))
    assert not y.requires_grad
    with pytest.raises(GradientError, match=re.escape(reason)):
        y.backward()


def test_gradients_flow_round_a_value_without_one(backend):
    x = leaf([3.0, -1.0, 2.0])
    (x[tx.argmax(x)] * 5 + (x * tx.astype(x > 0, tx.float64)).sum()).backward()
    assert x.grad.tolist() == [6, 0, 1]


# -- switching the graph off ----------------------------------------------------------------------


def test_no_grad_nests_and_decorates():
    x = leaf(2.0)

    @tx.no_grad()
    def double(x):
        return x * 2

    for _ in range(2):  # the decorator serves more than one call
        assert double(x).item() == 4
        assert not double(x).requires_grad
    with tx.no_grad():
        assert not tx.is_grad_enabled()
        with tx.enable_grad():
            y = x * x
            with tx.no_grad():
                assert not (x * x).requires_grad
            assert tx.is_grad_enabled()
        assert not (x * x).requires_grad
        with pytest.raises(RuntimeError, match="stop"), tx.enable_grad():
            raise RuntimeError("stop")
        assert not tx.is_grad_enabled()  # put back after an error
    y.backward()
    assert x.grad.item() == 4


def test_no_grad_belongs_to_its_thread():
    seen = []
    with tx.no_grad():
        worker = threading.Thread(target=lambda: seen.append((leaf(3.0) ** 2).requires_grad))
        worker.start()
        worker.join()
    assert seen == [True]


def test_detach_cuts(backend):
    x = leaf([2.0, 3.0])
    (x.detach() * x).sum().backward()
    assert x.grad.tolist() == [2, 3]
    y = x.detach()
    y += 1.0  # which x sees, as in PyTorch
    assert (x.tolist(), y.tolist(), y.requires_grad) == ([3, 4], [3, 4], False)


def test_requires_grad_():
    x = tx.asarray([1.0])
    assert x.requires_grad_() is x
    assert (x * 2).requires_grad
    x.requires_grad = False
    assert not (x * 2).requires_grad
    with pytest.raises(
        DTypeError, match=r"only floating tensors have gradients, got tinyxp\.int64"
    ):
        tx.asarray([1]).requires_grad_()
    with pytest.raises(
        GradientError, match=r"expects a leaf, got the result of multiply; use x\.detach"
    ):
        (leaf(1.0) * 2).requires_grad_(False)


# -- several results ------------------------------------------------------------------------------


def test_results_that_nobody_used(backend):
    x = leaf([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    a, _, c = tx.unstack(x)
    (a * a + 10 * c).sum().backward()
    assert x.grad.tolist() == [[2, 4], [0, 0], [10, 10]]
    x.grad = None
    _, b, _ = tx.unstack(x)
    (b + b * b).sum().backward()
    assert x.grad.tolist() == [[0, 0], [7, 9], [0, 0]]
    (g,) = tx.autograd.grad((tx.unstack(x)[1] ** 3).sum(), x, create_graph=True)
    (h,) = tx.autograd.grad(g.sum(), x)
    assert h.tolist() == [[0, 0], [18, 24], [0, 0]]


# -- memory ---------------------------------------------------------------------------------------


@pytest.fixture
def no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def test_a_graph_dies_with_its_last_reference(no_collector):
    x = leaf(normal(3, 3))
    h = tx.tanh(x @ x)
    y = (h * h).sum()
    refs = [weakref.ref(o) for o in (h, h._node, y, y._node)]
    del h, y
    assert [r() for r in refs] == [None] * 4
    h = tx.tanh(x @ x)
    y = (h * h).sum()
    refs = [weakref.ref(o) for o in (h, h._node, y, y._node, x)]
    y.backward()
    tx.autograd.grad((x * x).sum(), x, create_graph=True)
    x.grad = None
    del h, y, x
    assert [r() for r in refs] == [None] * 5


def test_saved_arrays_go_as_soon_as_they_are_used(no_collector):
    x = leaf(normal(3))
    y = tx.exp(x)
    z = y.sum()
    saved = weakref.ref(y.array)
    del y
    assert saved() is not None  # exp's gradient needs it
    z.backward()
    assert saved() is None


def test_only_what_a_gradient_needs_is_saved(no_collector):
    x = leaf(normal(3))
    a = x * 2.0
    y = tx.sqrt(a + 5.0)  # + saves nothing, √ saves its result alone
    saved = weakref.ref(a.array)
    del a
    assert saved() is None
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 1 / np.sqrt(2 * normal(3) + 5), rtol=1e-14)


def test_no_operation_leaves_a_reference_cycle(no_collector):
    def step():
        for name, i in differentiable():
            operands, static = example(name, i)
            xs = [
                x.requires_grad_() if is_floating(a) else x
                for x, a in zip(tensors(operands), operands, strict=True)
            ]
            y = call(name, xs, static)
            for part in y if isinstance(y, tuple) else [y]:
                inputs = [x for x in xs if isinstance(x, tx.Tensor) and x.requires_grad]
                loss = tx.real(part.sum())
                tx.autograd.grad(loss, inputs, create_graph=True, allow_unused=True)
                tx.real(part.sum()).backward(retain_graph=True)

    step()  # fills the caches
    gc.collect()
    step()
    found = gc.collect()
    assert found == 0, f"{found} objects were in reference cycles"


def test_an_error_of_the_library_in_a_gradient_is_ours(monkeypatch):
    from tinyxp.core.operation import OPS

    x = leaf([1.0, 2.0])
    y = tx.exp(x).sum()
    monkeypatch.setattr(OPS["exp"].vjps[0], "fn", lambda xp, g, y: np.ones(2) @ np.ones(3))
    with pytest.raises(GradientError, match="the gradient of exp failed: matmul: "):
        y.backward()
