"""tx.recompute: the values and gradients that a plain call gives, and no arrays kept in between."""

import gc
import weakref

import numpy as np
import pytest

import tinyxp as tx
from tests.compare import same
from tests.helpers import leaf, normal
from tinyxp import nn
from tinyxp.core.tape import Node, edge_of, graph_order
from tinyxp.errors import GradientError


def gradients(run, *leaves, **options):
    for x in leaves:
        x.grad = None
    run().backward(**options)
    return [x.grad.detach().numpy() for x in leaves]


def test_arguments_get_the_same_bits_as_without(backend):
    a, b = leaf(normal(3, 4)), leaf(normal(4, seed=1))

    def f(pair, scale):
        return {"y": tx.tanh(pair[0] * pair[1]) * scale["s"], "z": [tx.sin(pair[0]), 5]}

    def loss(out):
        return (out["y"] * out["z"][0] ** 2).sum() + out["y"].sum()

    plain = gradients(lambda: loss(f((a * 2, b), {"s": b})), a, b)
    out = tx.recompute(f, (a * 2, b), scale={"s": b})
    assert out["z"][1] == 5
    same(gradients(lambda: loss(out), a, b), plain)
    only_one = gradients(lambda: f((a, b), {"s": b})["y"].sum(), a, b)  # the other output unused
    same(gradients(lambda: tx.recompute(f, (a, b), {"s": b})["y"].sum(), a, b), only_one)


def test_a_modules_parameters_and_dropout(backend):
    tx.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Dropout(0.5), nn.Linear(8, 2))
    x = tx.asarray(normal(5, 4), dtype=tx.float32, requires_grad=True)
    leaves = [x, *net.parameters()]

    def twice(run):
        tx.manual_seed(7)
        found = gradients(lambda: (run(run(x)[:, :1] * tx.ones(4)) ** 2).sum(), *leaves)
        return [*found, tx.rand(3).numpy()]  # what comes after is the same too

    plain = twice(net)
    assert any((g != 0).any() for g in plain[1:])
    same(twice(lambda h: tx.recompute(net, h)), plain)


def test_generators_of_its_own_are_rewound(backend):
    g = tx.random.Generator(3)
    x = leaf(normal(50))

    def f(x):
        return (
            nn.functional.dropout(x, 0.5, generator=g) * 2
            + tx.random.default_generator().normal((50,), dtype=tx.float64) * x
        )

    def run(call):
        g.manual_seed(3)
        tx.manual_seed(4)
        found = gradients(lambda: (call(x) ** 2).sum() + g.uniform(1)[0] * x[0], x)
        return [*found, g.uniform(2).numpy(), tx.rand(2).numpy()]

    plain = run(f)
    same(run(lambda x: tx.recompute(f, x)), plain)
    same(run(lambda x: tx.recompute(lambda h: tx.recompute(f, h), x)), plain)


def test_closed_over_intermediate_results(backend):
    """h lies before the call and k is made from h: each gets its part, and x all of it once."""
    x = leaf(normal(4))

    def run(call):
        h = tx.exp(x)
        k = tx.sin(h) * x
        return (call(lambda y: y * h + k * tx.cos(k) + h, h * 2) * h).sum()

    plain = gradients(lambda: run(lambda f, y: f(y)), x)
    found = gradients(lambda: run(tx.recompute), x)
    np.testing.assert_allclose(found[0], plain[0], rtol=1e-14)
    e = np.exp(normal(4))  # h and k by hand
    x0, eps = normal(4), 1e-6

    def by_hand(x):
        h = np.exp(x)
        k = np.sin(h) * x
        return (2 * h * h + k * np.cos(k) + h) * h

    np.testing.assert_allclose(
        found[0],
        (by_hand(x0 + eps) - by_hand(x0 - eps)) / (2 * eps),
        rtol=1e-6,
        atol=1e-6 * e.max(),
    )


def test_an_output_that_is_an_input():
    x, w = leaf([2.0]), leaf([3.0])
    h = w * 1
    a, b, c = tx.recompute(lambda x: (x, w, h), x)
    (a * 5 + b * 7 + c * 11).sum().backward()
    assert (x.grad.item(), w.grad.item()) == (5, 18)


def test_rebinding_an_argument_inside_does_not_change_the_second_run():
    x = leaf([2.0, 3.0])

    def f(h):
        h += 1
        h[0] = h[1] * 2
        return h * h

    plain = gradients(lambda: f(x * 1).sum(), x)
    same(gradients(lambda: tx.recompute(f, x * 1).sum(), x), plain)
    h = x * 1
    y = tx.recompute(f, h)
    h *= 100  # nor does rebinding it outside
    same(gradients(lambda: y.sum(), x), plain)


def test_nothing_inside_is_kept():
    nodes, values = [], []

    def f(x):
        y = tx.exp(x)
        z = tx.sin(y)
        nodes.append(weakref.ref(z._node))
        values.extend([weakref.ref(y.array), weakref.ref(z.array)])
        return z * y

    x = leaf(normal(100))
    gc.disable()
    try:
        y = tx.recompute(f, x)
        assert [r() for r in nodes] == [None] and [r() for r in values] == [None, None]
        inner = [n for n in graph_order([edge_of(y)]) if isinstance(n, Node)]
        assert {n.op.name for n in inner} == {"identity", "recompute"}
        y.sum().backward()
        assert len(nodes) == 2
        assert [r() for r in (*nodes, *values)] == [None] * 6
    finally:
        gc.enable()
    z = normal(100)
    e = np.exp(z)
    np.testing.assert_allclose(x.grad.numpy(), e * np.sin(e) + e * e * np.cos(e), rtol=1e-12)


def test_it_runs_once_more_for_each_backward_pass_and_not_without_grad():
    runs = []

    def f(x):
        runs.append(1)
        return x**3

    x = leaf(2.0)
    with tx.no_grad():
        assert not tx.recompute(f, x).requires_grad
    assert tx.recompute(f, x.detach()).item() == 8
    assert len(runs) == 2
    y = tx.recompute(f, x)
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.item() == 24 and len(runs) == 5
    with pytest.raises(GradientError, match="used up by an earlier backward pass"):
        y.backward()


def test_derivatives_to_order_3(backend):
    w = leaf(1.5)

    def f(x):
        return tx.recompute(lambda x: tx.recompute(tx.sin, w * x) * x, x)

    x = tx.asarray(0.7, dtype=tx.float64)
    for order in (1, 2, 3):
        g, h = f, lambda x: tx.sin(w * x) * x
        for _ in range(order):
            g, h = tx.grad(g), tx.grad(h)
        a, b = g(x), h(x)
        assert a.item() == pytest.approx(b.item(), rel=1e-13)
        (ga,), (gb,) = tx.autograd.grad(a, w), tx.autograd.grad(b, w)
        assert ga.item() == pytest.approx(gb.item(), rel=1e-13)
    _, t = tx.jvp(f, (x,), (tx.ones_like(x),))
    c = 1.5 * 0.7
    assert t.item() == pytest.approx(np.sin(c) + 0.7 * 1.5 * np.cos(c), rel=1e-14)


def test_complex(backend):
    z = tx.asarray(normal(3) + 1j * normal(3, seed=1), requires_grad=True)

    def f(z):
        return tx.exp(z) * tx.conj(z), tx.abs(z)

    def loss(pair):
        return tx.real((pair[0] * (2 - 1j)).sum()) + pair[1].sum()

    plain = gradients(lambda: loss(f(z)), z)
    same(gradients(lambda: loss(tx.recompute(f, z)), z), plain)


def test_constants_are_made_where_they_were():
    pytest.importorskip("array_api_strict")
    with tx.backend("strict"):
        x = leaf([2.0, 3.0])
        y = tx.recompute(lambda x: x**2 * tx.full(2, 5.0, dtype=tx.float64), x)
    y.sum().backward()
    assert x.grad.tolist() == [20, 30]


def test_errors_instead_of_wrong_numbers():
    x, w = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    y = tx.recompute(lambda x: x * w, x)
    w.array = (w * 2).array
    with pytest.raises(GradientError, match=r"tensor of shape \(2,\) .* has changed since"):
        y.sum().backward()

    h = w * 2
    y = tx.recompute(lambda x: x * h, x)
    h += 1
    with pytest.raises(GradientError, match="behaved differently in its second run"):
        y.sum().backward()

    kept = []

    def remembers(x):
        kept[:] = kept or [tx.exp(x)]
        return kept[0] * x

    y = tx.recompute(remembers, x)
    with pytest.raises(GradientError, match="behaved differently in its second run"):
        y.sum().backward()

    sizes = iter((1, 2))
    y = tx.recompute(lambda x: x[: next(sizes)], x)
    with pytest.raises(GradientError, match="behaved differently in its second run"):
        y.sum().backward()
