"""Transforms of functions, against PyTorch's, finite differences and each other."""

import collections

import numpy as np
import pytest

import tinyxp as tx
from tests.helpers import leaf, normal
from tinyxp import nn
from tinyxp.errors import ArgumentError, DTypeError, GradientError, ShapeError

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")  # its own call


def f64(*shape, seed=0):
    return normal(*shape, seed=seed)


def c128(*shape, seed=0):
    return normal(*shape, seed=seed) + 1j * normal(*shape, seed=seed + 100)


def both(tree):
    """A tree of NumPy arrays as Tensors, and as PyTorch's."""
    if isinstance(tree, np.ndarray):
        return tx.asarray(tree), torch.asarray(tree)
    if isinstance(tree, dict):
        pairs = {k: both(v) for k, v in tree.items()}
        return {k: a for k, (a, _) in pairs.items()}, {k: b for k, (_, b) in pairs.items()}
    pairs = [both(part) for part in tree]
    return type(tree)(a for a, _ in pairs), type(tree)(b for _, b in pairs)


def agree(ours, theirs, rtol=1e-11):
    """The same structure and values."""
    if isinstance(theirs, torch.Tensor):
        assert isinstance(ours, tx.Tensor) and not ours.requires_grad
        assert ours.dtype.name == str(theirs.dtype).removeprefix("torch.")
        assert ours.shape == tuple(theirs.shape)
        theirs = theirs.detach().resolve_conj().numpy()
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=rtol, atol=1e-12)
        return
    assert type(ours) is type(theirs) and len(ours) == len(theirs)
    if isinstance(theirs, dict):
        assert list(ours) == list(theirs)
        ours, theirs = list(ours.values()), list(theirs.values())
    for a, b in zip(ours, theirs, strict=True):
        agree(a, b, rtol)


def energy(xp, p, x):
    """Σ over a tree of arguments, not linear in any, and of all in each other."""
    h = xp.tanh(x @ p["w"] + p["b"][0])
    return (h * h * xp.sin(p["b"][1])).sum() + (p["w"] ** 3).sum()


def fields(xp, p, x):
    """Several results of several shapes; the last depends on x alone."""
    return {"y": xp.tanh(x @ p["w"]) * p["b"][0], "z": (xp.sin(p["b"][1]).sum(), x * x)}


P = {"w": f64(3, 2), "b": [f64(2, seed=1), f64(2, seed=2)]}
X = f64(4, 3, seed=3)


def rosenbrock(x):
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


# -- grad and value_and_grad ----------------------------------------------------------------------


@pytest.mark.parametrize("argnums", [0, 1, (0, 1), (1, 0), (1,)])
def test_grad_of_trees(backend, argnums):
    (p, x), (tp, t) = both((P, X))
    expected, value = torch.func.grad_and_value(lambda p, x: energy(torch, p, x), argnums)(tp, t)
    agree(tx.grad(lambda p, x: energy(tx, p, x), argnums)(p, x), expected)
    ours = tx.value_and_grad(lambda p, *, x: energy(tx, p, x))(p, x=x)
    agree(ours[0], value)
    if argnums == 0:
        agree(ours[1], expected)


def test_named_tuples_and_empty_branches_keep_their_structure():
    Pair = collections.namedtuple("Pair", "a b")
    g = tx.grad(lambda t: (t[0].a * t[0].b ** 2).sum())((Pair(tx.ones(2), tx.ones(2) * 3), (), {}))
    assert type(g[0]) is Pair and g[1:] == ((), {})
    assert (g[0].a.tolist(), g[0].b.tolist()) == ([9, 9], [6, 6])


def test_negative_argnums_and_the_same_tensor_in_two_places():
    x = tx.asarray(3.0)
    ga, gb = tx.grad(lambda a, b: a * b * b, (-2, -1))(x, x)
    assert (ga.item(), gb.item()) == (9, 18)
    assert tx.grad(lambda t: t[0] * t[1] ** 2)([x, x])[1].item() == 18


def test_aux_goes_out_without_a_graph(backend):
    def f(x):
        h = tx.sin(x)
        return h.sum(), {"h": h, "note": "ok"}

    x = tx.asarray(f64(3))
    g, aux = tx.grad(f, has_aux=True)(x)
    np.testing.assert_allclose(g.numpy(), np.cos(f64(3)), rtol=1e-14)
    np.testing.assert_allclose(aux["h"].numpy(), np.sin(f64(3)), rtol=1e-14)
    assert aux["note"] == "ok"
    (value, aux), g = tx.value_and_grad(f, has_aux=True)(x)
    assert value.item() == pytest.approx(np.sin(f64(3)).sum()) and not value.requires_grad
    # inside another transform the aux is differentiated like any value
    outer = tx.grad(lambda x: tx.grad(f, has_aux=True)(x)[1]["h"].sum())(x)
    np.testing.assert_allclose(outer.numpy(), np.cos(f64(3)), rtol=1e-14)


def test_what_an_inner_transform_differentiates_is_not_seen_outside():
    """The gradient at the constant c leads back to x alone, so nothing is left of c's graph."""
    c = tx.asarray(2.0)
    g = tx.grad(lambda x: tx.grad(lambda c: c * c * x)(c))(tx.asarray(5.0))
    assert g.item() == 4 and not g.requires_grad
    v, g = tx.value_and_grad(lambda x: tx.value_and_grad(lambda c: c * c * x)(c)[0])(
        tx.asarray(5.0)
    )
    assert (v.item(), g.item()) == (20, 4) and not v.requires_grad


def test_modules_and_parameters_that_a_function_closes_over(backend):
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).to(dtype=tx.float64)
    x = tx.asarray(f64(3))
    value, slope = tx.value_and_grad(lambda x: net(x)[0])(x)
    w1, b1, w2, b2 = (p.detach().numpy() for p in net.parameters())
    h = np.tanh(w1 @ f64(3) + b1)
    np.testing.assert_allclose(value.item(), (w2 @ h + b2)[0], rtol=1e-13)
    np.testing.assert_allclose(slope.detach().numpy(), (w2[0] * (1 - h * h)) @ w1, rtol=1e-13)
    (slope**2).sum().backward()  # a gradient penalty reaches the weights
    weight = net[0].weight.grad.numpy()
    eps = 1e-6
    for i, j in ((0, 0), (3, 2)):
        found = []
        for d in (eps, -eps):
            w = w1.copy()
            w[i, j] += d
            h = np.tanh(w @ f64(3) + b1)
            found.append((((w2[0] * (1 - h * h)) @ w) ** 2).sum())
        assert weight[i, j] == pytest.approx((found[0] - found[1]) / (2 * eps), rel=1e-6, abs=1e-9)
    with tx.no_grad():
        assert not tx.grad(lambda x: net(x)[0])(x).requires_grad


# -- vjp and jvp ----------------------------------------------------------------------------------


def test_vjp_of_trees(backend):
    (p, x), (tp, t) = both((P, X))
    cot = {"y": f64(4, 2, seed=5), "z": (np.asarray(0.5), f64(4, 3, seed=6))}
    ours, theirs = both(cot)
    y, pull = tx.vjp(lambda p, x: fields(tx, p, x), p, x)
    expected, tpull = torch.func.vjp(lambda p, x: fields(torch, p, x), tp, t)
    agree(y, expected)
    for _ in range(2):  # it may be called again
        agree(pull(ours), tpull(theirs))
    agree(pull(dict(reversed(ours.items()))), tpull(theirs))  # keys count, not their order


def test_jvp_of_trees(backend):
    (p, x), (tp, t) = both((P, X))
    tangents = ({"b": [f64(2, seed=8), f64(2, seed=9)], "w": f64(3, 2, seed=7)}, f64(4, 3, seed=10))
    ours, theirs = both(tangents)
    theirs = ({k: theirs[0][k] for k in tp}, theirs[1])  # there the order of keys counts
    y, pushed, aux = tx.jvp(lambda p, x: (fields(tx, p, x), "aux"), (p, x), ours, has_aux=True)
    expected = torch.func.jvp(lambda p, x: fields(torch, p, x), (tp, t), theirs)
    agree(y, expected[0])
    agree(pushed, expected[1])
    assert aux == "aux"


def holomorphic(xp, z):
    return xp.exp(z) * z[0] + z**2 / (3 + z)


def not_holomorphic(xp, z):
    return xp.abs(z) * xp.conj(z) + xp.real(z) * z


@pytest.mark.parametrize("f", [holomorphic, not_holomorphic])
def test_complex_vjp_and_jvp(backend, f):
    z, v, u = c128(3), c128(3, seed=1), c128(3, seed=2)
    y, pushed = tx.jvp(lambda z: f(tx, z), (tx.asarray(z),), (tx.asarray(v),))
    expected = torch.func.jvp(lambda z: f(torch, z), (torch.asarray(z),), (torch.asarray(v),))
    agree(y, expected[0])
    agree(pushed, expected[1])
    eps = 1e-6  # the derivative along v, by differences
    ahead, behind = (f(np, z + d * v) for d in (eps, -eps))
    np.testing.assert_allclose(pushed.numpy(), (ahead - behind) / (2 * eps), rtol=1e-7)
    (pulled,) = tx.vjp(lambda z: f(tx, z), tx.asarray(z))[1](tx.asarray(u))
    theirs = torch.func.vjp(lambda z: f(torch, z), torch.asarray(z))[1](torch.asarray(u))[0]
    agree(pulled, theirs)
    left, right = np.vdot(u, pushed.numpy()).real, np.vdot(pulled.numpy(), v).real
    assert left == pytest.approx(right, rel=1e-12)  # adjoint to each other


def test_real_to_complex_and_back(backend):
    x, v, w = f64(3), f64(3, seed=1), c128(3, seed=2)
    turn = lambda x: tx.exp(x * tx.asarray(w))  # noqa: E731
    _, pushed = tx.jvp(turn, (tx.asarray(x),), (tx.asarray(v),))
    np.testing.assert_allclose(pushed.numpy(), w * np.exp(x * w) * v, rtol=1e-13)
    size = lambda z: tx.abs(z) ** 2  # noqa: E731
    _, pushed = tx.jvp(size, (tx.asarray(w),), (tx.asarray(w * 1j + v),))
    np.testing.assert_allclose(pushed.numpy(), 2 * (np.conj(w) * (w * 1j + v)).real, rtol=1e-13)


def test_results_that_do_not_depend_on_the_input():
    x, one = tx.asarray([1.0, 2.0]), tx.asarray([1.0, 1.0])
    y, t = tx.jvp(lambda x: (x * 2, tx.asarray([7.0])), (x,), (one,))
    assert (y[1].tolist(), t[0].tolist(), t[1].tolist()) == ([7], [2, 2], [0])
    _, pull = tx.vjp(lambda x, y: (y * 3, tx.asarray([7.0])), x, one)
    gx, gy = pull((one, tx.asarray([1.0])))
    assert (gx.tolist(), gy.tolist()) == ([0, 0], [3, 3])
    w = leaf([5.0])
    _, t = tx.jvp(lambda x: w * 2, (x,), (one,))
    assert t.tolist() == [0]
    assert tx.jacobian(lambda x: tx.asarray([7.0]))(x).tolist() == [[0, 0]]
    assert tx.hessian(lambda x: (3 * x).sum())(x).tolist() == [[0, 0], [0, 0]]
    assert tx.hvp(lambda x: (3 * x).sum(), x, one)[1].tolist() == [0, 0]


def test_a_vjp_function_can_be_differentiated(backend):
    x, u = tx.asarray(f64(3)), f64(3, seed=1)
    _, pull = tx.vjp(tx.sin, x)
    g = tx.grad(lambda u: (pull(u)[0] ** 2).sum())(tx.asarray(u))  # Σ (u cos x)²
    np.testing.assert_allclose(g.numpy(), 2 * u * np.cos(f64(3)) ** 2, rtol=1e-13)
    g = tx.grad(lambda x: (tx.vjp(tx.sin, x)[1](tx.asarray(u))[0] ** 2).sum())(x)
    np.testing.assert_allclose(g.numpy(), -(u**2) * np.sin(2 * f64(3)), rtol=1e-13)


def test_transforms_nest_to_order_3(backend):
    """Every path to the third derivative of x⁵ sin x agrees, at one number."""
    x, one = tx.asarray(0.7, dtype=tx.float64), tx.asarray(1.0, dtype=tx.float64)

    def forward(f):
        return lambda x: tx.jvp(f, (x,), (one,))[1]

    def reverse(f):
        return lambda x: tx.vjp(f, x)[1](one)[0]

    def f(x):
        return x**5 * tx.sin(x)

    s, c = np.sin(0.7), np.cos(0.7)
    expected = 60 * 0.7**2 * s + 3 * 20 * 0.7**3 * c - 3 * 5 * 0.7**4 * s - 0.7**5 * c
    steps = (tx.grad, forward, reverse, tx.jacobian)
    for a in steps:
        for b in steps:
            for third in steps:
                found = third(b(a(f)))(x)
                assert found.item() == pytest.approx(expected, rel=1e-12)
                assert not found.requires_grad


# -- jacobian, hessian, hvp -----------------------------------------------------------------------


@pytest.mark.parametrize("argnums", [0, 1, (0, 1)])
def test_jacobian_of_trees(backend, argnums):
    (p, x), (tp, t) = both((P, X))
    expected = torch.func.jacrev(lambda p, x: fields(torch, p, x), argnums)(tp, t)
    agree(tx.jacobian(lambda p, x: fields(tx, p, x), argnums)(p, x), expected)


def test_jacobian_of_nothing_has_its_shape():
    assert tx.jacobian(lambda x: x[:0, ...])(tx.ones((3, 2))).shape == (0, 2, 3, 2)


@pytest.mark.parametrize("argnums", [0, 1, (0, 1)])
def test_hessian_of_trees(backend, argnums):
    (p, x), (tp, t) = both((P, X))
    expected = torch.func.hessian(lambda p, x: energy(torch, p, x), argnums)(tp, t)
    agree(tx.hessian(lambda p, x: energy(tx, p, x), argnums)(p, x), expected)


def test_rosenbrock(backend):
    x = np.asarray([-1.2, 1.0, 0.5, 2.0])
    ours, theirs = both(x)
    hessian = tx.hessian(rosenbrock)(ours)
    agree(hessian, torch.func.hessian(rosenbrock)(theirs))
    assert hessian[0, 0].item() == pytest.approx(1200 * 1.44 - 400 * 1.0 + 2)  # by hand
    assert hessian[0, 1].item() == pytest.approx(-400 * -1.2)
    v, tv = both(f64(4, seed=4))
    expected = torch.autograd.functional.hvp(rosenbrock, theirs, tv)
    agree(tx.hvp(rosenbrock, ours, v), expected)
    agree(hessian @ v, expected[1])
    agree(tx.jvp(tx.grad(rosenbrock), (ours,), (v,))[1], expected[1])
    agree(tx.grad(lambda x: tx.jvp(rosenbrock, (x,), (v,))[1])(ours), expected[1])


def test_hvp_of_trees_and_several_arguments(backend):
    (p, x), _ = both((P, X))
    v = ({"w": f64(3, 2, seed=7), "b": [f64(2, seed=8), f64(2, seed=9)]}, f64(4, 3, seed=10))
    v, _ = both(v)

    def f(p, x):
        return energy(tx, p, x)

    value, product = tx.hvp(f, (p, x), v)
    assert value.item() == pytest.approx(f(p, x).item(), rel=1e-14)
    pushed = tx.jvp(tx.grad(f, (0, 1)), (p, x), v)[1]
    agree(product, both_torch(pushed))
    eps = 1e-5
    ahead, behind = (
        tx.grad(f)(
            {
                "w": p["w"] + d * v[0]["w"],
                "b": [p["b"][0] + d * v[0]["b"][0], p["b"][1] + d * v[0]["b"][1]],
            },
            x + d * v[1],
        )["w"].numpy()
        for d in (eps, -eps)
    )
    np.testing.assert_allclose(
        product[0]["w"].numpy(), (ahead - behind) / (2 * eps), rtol=1e-6, atol=1e-8
    )


def both_torch(tree):
    """A tree of Tensors as PyTorch's."""
    if isinstance(tree, tx.Tensor):
        return torch.asarray(tree.numpy())
    if isinstance(tree, dict):
        return {k: both_torch(v) for k, v in tree.items()}
    return type(tree)(both_torch(part) for part in tree)


def test_the_hessian_of_a_real_loss_of_complex_numbers_times_a_vector(backend):
    z, v = c128(3), c128(3, seed=1)
    loss = lambda z: (tx.abs(z) ** 4).sum() + tx.real(z**3).sum()  # noqa: E731
    value, product = tx.hvp(loss, tx.asarray(z), tx.asarray(v))
    assert value.item() == pytest.approx((np.abs(z) ** 4).sum() + (z**3).real.sum())

    def slope(z):
        return 4 * np.abs(z) ** 2 * z + np.conj(3 * z**2)

    eps = 1e-6
    expected = (slope(z + eps * v) - slope(z - eps * v)) / (2 * eps)
    np.testing.assert_allclose(product.numpy(), expected, rtol=1e-7)


# -- errors ---------------------------------------------------------------------------------------


def test_arguments_that_have_no_gradient():
    x = tx.asarray([1.0, 2.0])
    with pytest.raises(ArgumentError, match=r"argument 0\['w'\]\[1\] must be a Tensor, got float"):
        tx.grad(lambda p: p["w"][0].sum())({"w": [x, 2.0]})
    with pytest.raises(DTypeError, match="only floating tensors have gradients"):
        tx.grad(lambda x: x.sum())(tx.asarray([1, 2]))
    with pytest.raises(ArgumentError, match="there is no argument 1 to differentiate"):
        tx.grad(lambda x: x.sum(), argnums=1)(x)
    with pytest.raises(ArgumentError, match=r"primals must be a tuple .* got Tensor"):
        tx.jvp(tx.sin, x, x)


def test_results_that_have_no_gradient():
    x = tx.asarray([1.0, 2.0])
    with pytest.raises(GradientError, match=r"single number, got shape \(2,\)"):
        tx.grad(lambda x: x * 2)(x)
    with pytest.raises(GradientError, match=r"single number, got shape \(2,\)"):
        tx.grad(lambda x: tx.ones(2))(x)
    with pytest.raises(GradientError, match="starts at a real number"):
        tx.grad(lambda x: (x * 1j).sum())(x)
    with pytest.raises(ArgumentError, match="f must return one Tensor, got tuple"):
        tx.grad(lambda x: (x[0], x[1]))(x)
    with pytest.raises(ArgumentError, match="must return a pair"):
        tx.grad(lambda x: x.sum(), has_aux=True)(x)
    for transform in (tx.grad, tx.jacobian, lambda f: lambda x: tx.jvp(f, (x,), (x,))):
        with pytest.raises(ArgumentError, match=r"f must return a Tensor, got float"):
            transform(lambda x: 3.0)(x)
    with pytest.raises(ArgumentError, match=r"f\['n'\] must return a Tensor, got int.*has_aux"):
        tx.vjp(lambda x: {"y": x, "n": 3}, x)
    with pytest.raises(GradientError, match="argmax is not differentiable"):
        tx.vjp(tx.argmax, x)
    with pytest.raises(DTypeError, match="f must return floating tensors, got tinyxp.int64"):
        tx.vjp(lambda x: tx.asarray([1]), x)
    with pytest.raises(DTypeError, match=r"a Jacobian is for real numbers.*tx.real and tx.imag"):
        tx.jacobian(lambda x: x * 1j)(x)


def test_cotangents_and_tangents_that_do_not_fit():
    x = tx.asarray([1.0, 2.0])
    _, pull = tx.vjp(lambda x: {"a": x, "b": (x, x)}, x)
    for wrong, error, match in (
        (x, ArgumentError, r"cotangents must be a dict with \['a', 'b'\], got Tensor"),
        ({"a": x}, ArgumentError, r"cotangents must have the entries \['a', 'b'\], got \['a'\]"),
        ({"a": x, "b": [x, x]}, ArgumentError, r"cotangents\['b'\] must be a tuple"),
        ({"a": (x,), "b": (x, x)}, ArgumentError, r"cotangents\['a'\] must be one Tensor"),
        ({"a": 1.0, "b": (x, x)}, DTypeError, "a cotangent must be a Tensor, got float"),
        ({"a": x[:1], "b": (x, x)}, ShapeError, r"shape \(2,\), got \(1,\)"),
        ({"a": tx.astype(x, tx.float64), "b": (x, x)}, DTypeError, "got tinyxp.float64"),
    ):
        with pytest.raises(error, match=match):
            pull(wrong)
    with pytest.raises(ArgumentError, match=r"tangents must have the entries \[0\]"):
        tx.jvp(tx.sin, (x,), (x, x))
    with pytest.raises(ShapeError, match="a tangent must have its tensor's shape"):
        tx.jvp(tx.sin, (x,), (x[0],))
    with pytest.raises(ShapeError, match="a cotangent must have its tensor's shape"):
        tx.hvp(lambda x: (x**2).sum(), x, x[0])
