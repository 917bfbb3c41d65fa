"""Gradients as functions, to any order, through formulas and fused kernels."""

import math

import numpy as np
import pytest

import tinyxp as tx
from tests.helpers import leaf, normal
from tinyxp import backends
from tinyxp.backends import Kernel
from tinyxp.core import tape
from tinyxp.errors import (
    ArgumentError,
    GradientError,
    ShapeError,
)
from tinyxp.nn import functional as F

# -- gradients as functions -----------------------------------------------------------------------

ORDERS = {  # f and its first three derivatives
    "cube": (lambda x: x**3, lambda x: 3 * x**2, lambda x: 6 * x, lambda x: 6.0),
    "product": (lambda x: x * x, lambda x: 2 * x, lambda x: 2.0, lambda x: 0.0),
    "sin": (tx.sin, math.cos, lambda x: -math.sin(x), lambda x: -math.cos(x)),
    "exp": (lambda x: tx.exp(2 * x), *(lambda x, n=n: 2**n * math.exp(2 * x) for n in (1, 2, 3))),
    "log": (tx.log, lambda x: 1 / x, lambda x: -1 / x**2, lambda x: 2 / x**3),
    "tanh": (
        tx.tanh,
        lambda x: 1 - math.tanh(x) ** 2,
        lambda x: -2 * math.tanh(x) * (1 - math.tanh(x) ** 2),
        lambda x: (6 * math.tanh(x) ** 2 - 2) * (1 - math.tanh(x) ** 2),
    ),
    "ratio": (
        lambda x: 1 / (1 + x),
        lambda x: -((1 + x) ** -2),
        lambda x: 2 * (1 + x) ** -3,
        lambda x: -6 * (1 + x) ** -4,
    ),
}


@pytest.mark.parametrize("name", ORDERS)
def test_grad_nests_to_order_3(name, backend):
    f, *derivatives = ORDERS[name]
    x = tx.asarray(0.7, dtype=tx.float64)
    for expected in derivatives:
        f = tx.grad(f)
        y = f(x)
        assert y.item() == pytest.approx(expected(0.7), rel=1e-12, abs=1e-15)
        assert not y.requires_grad


def test_grad_does_not_mix_up_its_levels():
    """d/dx (x · d/dy (x + y)) = 1: the inner y must not be taken for the outer x."""
    f = tx.grad(lambda x: x * tx.grad(lambda y: x + y)(x))
    assert f(tx.asarray(3.0)).item() == 1
    g = tx.grad(lambda x: x * tx.grad(lambda y: x * y * y)(x))  # d/dx (x · 2x·x) = 6x²
    assert g(tx.asarray(3.0)).item() == 54


def test_grad_of_several_arguments():
    def f(a, b, scale=1.0):
        return scale * a * b**2

    a, b = tx.asarray(2.0), tx.asarray(3.0)
    ga, gb = tx.grad(f, argnums=(0, 1))(a, b, scale=10.0)
    assert (ga.item(), gb.item()) == (90, 120)
    assert tx.grad(f, argnums=1)(a, b).item() == 12
    assert tx.grad(tx.grad(f, argnums=1), argnums=0)(a, b).item() == 6
    with pytest.raises(ArgumentError, match="argument 0 must be a Tensor, got float"):
        tx.grad(f)(2.0, b)


def test_grad_with_respect_to_an_argument_that_is_not_used_is_zero():
    a, b = tx.asarray([2.0, 1.0]), tx.asarray(3.0)
    ga, gb = tx.grad(lambda a, b: b * b, argnums=(0, 1))(a, b)
    assert (ga.tolist(), gb.item()) == ([0, 0], 6)
    assert tx.grad(lambda a: tx.asarray(1.0))(a).tolist() == [0, 0]
    with pytest.raises(GradientError, match="argmax is not differentiable"):
        tx.grad(lambda a: tx.argmax(a))(a)


def test_grad_within_a_model_goes_on_to_its_parameters():
    w = leaf(3.0)
    slope = tx.grad(lambda x: w * x**2)(tx.asarray(2.0, dtype=tx.float64))  # 2wx
    assert slope.item() == 12
    slope.backward()
    assert w.grad.item() == 4


def test_autograd_grad_of_intermediate_results(backend):
    x = leaf([1.0, 2.0])
    h = x * x
    y = (h * h).sum()
    gh, gx = tx.autograd.grad(y, (h, x), retain_graph=True)
    assert (gh.tolist(), gx.tolist()) == ([2, 8], [4, 32])
    (gh,) = tx.autograd.grad(y, h)
    assert gh.tolist() == [2, 8]
    assert x.grad is None  # nothing is written
    (itself,) = tx.autograd.grad(y2 := (x * 3).sum(), y2)
    assert itself.item() == 1


def test_autograd_grad_of_several_outputs(backend):
    x = leaf([1.0, 2.0])
    a, b = x * 2, x**3
    w = tx.asarray([1.0, 10.0], dtype=tx.float64)
    (g,) = tx.autograd.grad((a, b.sum()), x, grad_outputs=(w, None))
    assert g.tolist() == [5, 32]
    with pytest.raises(ArgumentError, match="expected 2 grad_outputs, got 1"):
        tx.autograd.grad((a, b), x, grad_outputs=w)


def test_autograd_grad_of_unused_inputs():
    x, other = leaf(2.0), leaf(1.0)
    with pytest.raises(GradientError, match="do not depend on input 1; pass allow_unused=True"):
        tx.autograd.grad(x * x, (x, other))
    g, none = tx.autograd.grad(x * x, (x, other), allow_unused=True)
    assert (g.item(), none) == (4, None)
    with pytest.raises(GradientError, match="input 0 does not require grad"):
        tx.autograd.grad(x * x, tx.asarray(1.0))


def test_create_graph_differentiates_again(backend):
    x = leaf([1.0, 2.0])
    (g,) = tx.autograd.grad((x**3).sum(), x, create_graph=True)
    (h,) = tx.autograd.grad((g * g).sum(), x, create_graph=True)  # Σ 9x⁴ -> 36x³
    assert h.tolist() == [36, 288]
    (k,) = tx.autograd.grad(h.sum(), x)
    assert k.tolist() == [108, 432]

    x = leaf([1.0, 2.0])
    (x**3).sum().backward(create_graph=True)
    assert x.grad.tolist() == [3, 12]
    penalty, x.grad = (x.grad * x.grad).sum(), None
    penalty.backward()
    assert x.grad.tolist() == [36, 288]


def test_create_graph_across_backends():
    """The gradient of a gather runs where the gather ran, not where the outputs lie."""
    pytest.importorskip("array_api_strict")
    x = leaf([[1.0], [2.0]])
    y = (tx.take(x, tx.asarray([0, 1, 1]), axis=0).to("strict") ** 3).sum()
    (g,) = tx.autograd.grad(y, x, create_graph=True)
    assert (g.backend.name, g.tolist()) == ("numpy", [[3], [24]])
    (h,) = tx.autograd.grad(g.sum(), x)
    assert h.tolist() == [[6], [24]]


# -- composites and their kernels -----------------------------------------------------------------


@pytest.fixture
def kernel(monkeypatch):
    """A fused logsumexp over the last axis for NumPy, counting its uses."""
    uses = []

    def forward(x, axis, keepdims):
        if axis not in (-1, x.ndim - 1) or keepdims:
            return NotImplemented
        uses.append("forward")
        top = x.max(axis=-1, keepdims=True)
        e = np.exp(x - top)
        total = e.sum(axis=-1, keepdims=True)
        return (np.log(total) + top)[..., 0], e / total

    def vjp(g, softmax, needs):
        uses.append("vjp")
        assert needs == (True,)
        return (g[..., None] * softmax,)

    kernels = {**backends.get("numpy").kernels, "logsumexp": Kernel(forward, vjp)}
    monkeypatch.setitem(backends.get("numpy").__dict__, "kernels", kernels)
    return uses


def test_a_kernel_is_one_node_and_its_second_derivative_the_formulas(kernel, pulls):
    x = leaf(normal(2, 3))
    y = tx.logsumexp(x, axis=-1)
    e = np.exp(normal(2, 3))
    p = e / e.sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(y.detach().numpy(), np.log(e.sum(axis=-1)), rtol=1e-14)
    w = normal(2, seed=1)
    (g,) = tx.autograd.grad(y, x, tx.asarray(w), retain_graph=True)
    np.testing.assert_allclose(g.numpy(), w[:, None] * p, rtol=1e-14)
    assert kernel == ["forward", "vjp"]
    assert pulls == []  # not one operation of the formula

    # d/dx Σ v·(w p) = w (v p - p Σ v p), replayed through the formula
    v = normal(2, 3, seed=2)
    (g,) = tx.autograd.grad(y, x, tx.asarray(w), create_graph=True)
    np.testing.assert_allclose(g.detach().numpy(), w[:, None] * p, rtol=1e-14)
    (h,) = tx.autograd.grad(g, x, tx.asarray(v), create_graph=True)
    expected = w[:, None] * (v * p - p * (v * p).sum(axis=-1, keepdims=True))
    np.testing.assert_allclose(h.detach().numpy(), expected, rtol=1e-12, atol=1e-15)
    assert kernel == ["forward", "vjp"]
    tx.gradcheck(lambda x: tx.logsumexp(x, axis=-1) ** 2, tx.asarray(normal(2, 3)), order=3)


def test_the_second_derivative_reaches_what_lies_before_and_after_a_kernel(kernel):
    def f(x):
        return tx.exp(tx.logsumexp(tx.sin(x) * x, axis=-1))

    tx.gradcheck(f, tx.asarray(normal(2, 3)), order=2)
    fused = tx.grad(lambda x: (tx.grad(lambda x: f(x).sum())(x) ** 2).sum())(
        tx.asarray(normal(2, 3))
    )
    assert "forward" in kernel
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(backends.get("numpy").__dict__, "kernels", {})
        plain = tx.grad(lambda x: (tx.grad(lambda x: f(x).sum())(x) ** 2).sum())(
            tx.asarray(normal(2, 3))
        )
    np.testing.assert_allclose(fused.numpy(), plain.numpy(), rtol=1e-12)


def test_the_replay_of_a_kernel_does_not_walk_the_graph_before_it(kernel, monkeypatch):
    walked = []
    walk = tape.graph_order

    def counted(*args):
        order = walk(*args)
        walked.append(len(order))
        return order

    monkeypatch.setattr(tape, "graph_order", counted)
    totals = []
    for depth in (10, 20, 40):
        x = leaf(normal(3))
        y = x
        for _ in range(depth):
            y = y + tx.logsumexp(y, axis=-1) * 0.1
        walked.clear()
        tx.autograd.grad(y.sum(), x, create_graph=True)
        totals.append(sum(walked))
    assert totals[2] - totals[1] == 2 * (totals[1] - totals[0])  # linear in depth, not quadratic


def test_a_kernel_may_leave_a_case_to_the_formula(kernel, pulls):
    x = leaf(normal(2, 3))
    tx.logsumexp(x, axis=0).sum().backward()
    e = np.exp(normal(2, 3))
    np.testing.assert_allclose(x.grad.numpy(), e / e.sum(axis=0), rtol=1e-13)
    assert kernel == []
    assert "exp" in pulls


def relu_for(accepts, calls):
    """A kernel of relu for arrays of one shape, whose residuals no other kernel knows."""

    def forward(x):
        if x.shape != accepts:
            return NotImplemented
        return np.maximum(x, 0), (accepts, x > 0)

    def vjp(g, residuals, needs):
        shape, positive = residuals
        assert shape == accepts
        calls.append(shape)
        return (g * positive,)

    return Kernel(forward, vjp)


def test_the_first_kernel_that_accepts_has_the_gradient(monkeypatch):
    calls = []
    tables = [{"relu": relu_for(shape, calls)} for shape in [(2,), (3,)]]
    monkeypatch.setitem(backends.get("numpy").__dict__, "kernels", backends.chain(*tables))
    for shape, times in ((2,), 1), ((3,), 1), ((4,), 0):
        x = tx.asarray(np.linspace(-1, 1, *shape), requires_grad=True)
        F.relu(x).sum().backward()
        np.testing.assert_array_equal(x.grad.numpy(), x.detach().numpy() > 0)
        assert calls == [shape] * times
        calls.clear()
    kernel = backends.chain(*tables)["relu"]
    assert kernel.accept([np.ones(4)], {}) is NotImplemented
    assert kernel.accept([np.ones(3)], {})[2] is kernel.next


def test_the_first_function_that_accepts_computes():
    def root(x):
        return NotImplemented if x < 0 else x**0.5

    def double(x):
        """Twice x."""
        return NotImplemented if x == -1 else 2 * x

    call = backends.first_of(root, double)
    assert (call(4), call(-2), call(-1)) == (2, -4, NotImplemented)
    assert call.__doc__ == "Twice x."


def test_autocast_asks_the_first_kernel_that_reads_16_bits(monkeypatch):
    def single(logits, targets, **static):
        return np.asarray(5.0, "float32"), logits

    def no_case(*arrays, **static):
        return NotImplemented

    vjp = lambda g, logits, needs: (np.ones_like(logits), None)  # noqa: E731
    tables = [{"cross_entropy": Kernel(no_case, vjp, one)} for one in (None, single)]
    monkeypatch.setitem(backends.get("numpy").__dict__, "kernels", backends.chain(*tables))
    logits = tx.zeros((2, 3), dtype=tx.float16).requires_grad_()
    with tx.amp.autocast(dtype=tx.float16):
        loss = F.cross_entropy(logits, tx.asarray([0, 1]))
    assert loss.item() == 5.0 and loss.dtype is tx.float32
    loss.backward()
    assert (logits.grad == 1).all()


def test_a_kernels_own_error_is_explained(monkeypatch):
    def forward(x, axis, keepdims):
        raise ValueError("too strange")

    kernels = {"logsumexp": Kernel(forward, lambda *args: ())}
    monkeypatch.setitem(backends.get("numpy").__dict__, "kernels", kernels)
    with pytest.raises(
        ShapeError, match=r"logsumexp cannot take \(3,\) float64 \(backend numpy\): too strange"
    ):
        tx.logsumexp(tx.asarray(normal(3)))
