"""Gradients of complex tensors: PyTorch's convention outside, the textbook's formulas inside."""

import numpy as np
import pytest

import tinyxp as tx
from tinyxp.errors import DTypeError, GradientError

Z = np.asarray([1 + 2j, -0.5 + 0.25j])


def leaf(values=Z):
    return tx.asarray(values, requires_grad=True)


def test_the_gradient_is_the_direction_of_steepest_ascent(backend):
    """|z|² = a² + b²: its gradient is 2a + 2bi, and one small step against it makes it smaller."""
    z = leaf()
    (tx.abs(z) ** 2).sum().backward()
    np.testing.assert_allclose(z.grad.numpy(), 2 * Z, rtol=1e-14)
    assert (np.abs(Z - 0.1 * z.grad.numpy()) < np.abs(Z)).all()


def test_a_holomorphic_function_has_the_conjugate_of_its_derivative(backend):
    z = leaf()
    tx.real((z**3).sum()).backward()
    np.testing.assert_allclose(z.grad.numpy(), np.conj(3 * Z**2), rtol=1e-14)


def test_a_complex_gradient_may_come_in(backend):
    """g = ∂L/∂Re y + i ∂L/∂Im y of the user's own, as for PyTorch's backward."""
    z, w = leaf(), np.asarray([0.5 - 1j, 2j])
    y = z * tx.asarray(w)
    g = np.asarray([1 + 1j, -2 + 0.5j])
    y.backward(tx.asarray(g))
    np.testing.assert_allclose(z.grad.numpy(), g * np.conj(w), rtol=1e-14)
    (found,) = tx.autograd.grad(z * tx.asarray(w), z, grad_outputs=tx.asarray(g), create_graph=True)
    np.testing.assert_allclose(found.numpy(), g * np.conj(w), rtol=1e-14)


def test_a_real_operand_gets_a_real_gradient(backend):
    x, z = tx.asarray([0.5, 2.0], dtype=tx.float64, requires_grad=True), leaf()
    tx.real((x * z).sum()).backward()
    assert x.grad.dtype is tx.float64 and z.grad.dtype is tx.complex128
    np.testing.assert_allclose(x.grad.numpy(), Z.real)
    np.testing.assert_allclose(z.grad.numpy(), [0.5, 2.0])


def test_a_loss_must_be_real(backend):
    with pytest.raises(GradientError, match=r"starts at a real number, got tinyxp.complex128"):
        leaf().sum().backward()


def test_complex_numbers_have_no_order(backend):
    for f in (tx.max, tx.sort, tx.floor, tx.argsort, lambda z: z < 1, lambda z: tx.maximum(z, z)):
        with pytest.raises(DTypeError, match="is for real numbers"):
            f(leaf())


def test_a_complex_operand_behind_a_real_one_is_refused(backend):
    F, x = tx.nn.functional, tx.asarray([1.0, 2.0], dtype=tx.float64)
    with pytest.raises(DTypeError, match="mse_loss is for real numbers"):
        F.mse_loss(x, leaf())
    with pytest.raises(DTypeError, match="layer_norm is for real numbers"):
        F.layer_norm(x, 2, leaf())


def test_parts_of_a_real_tensor(backend):
    x = tx.asarray([1.0, -2.0], requires_grad=True)
    assert x.real.tolist() == x.conj().tolist() == [1.0, -2.0] and x.imag.tolist() == [0.0, 0.0]
    (x.real * 2 + x.imag * 5 + x.conj() * 3).sum().backward()
    assert x.grad.tolist() == [5.0, 5.0]


def test_a_complex_network_agrees_with_pytorch(backend, rng):
    """A linear layer, |·| as activation, a real loss: every gradient, and a second derivative."""
    torch = pytest.importorskip("torch", reason="PyTorch is the reference")

    arrays = [rng.normal(size=s) + 1j * rng.normal(size=s) for s in ((5, 3), (4, 3), (4,), (2, 4))]

    def loss(lib, F, x, w, b, v):
        hidden = F.linear(x, w, b)
        y = (hidden * lib.exp(-lib.abs(hidden))) @ v.T
        return lib.abs(y).sum() + (y * y).sum().real

    ours = [tx.asarray(a, requires_grad=True) for a in arrays]
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
    for lib, F, leaves, found in (
        (tx, tx.nn.functional, ours, []),
        (torch, torch.nn.functional, theirs, []),
    ):
        gs = lib.autograd.grad(loss(lib, F, *leaves), leaves, create_graph=True)
        bent = lib.autograd.grad(sum(lib.abs(g).sum() for g in gs), leaves)
        found += [np.asarray(g.detach().numpy()) for g in (*gs, *bent)]
        if lib is tx:
            expected = found
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
