"""The twelve faults of the system that tinyxp grew from, each against plain NumPy.

Each operation is compared in its value and in the gradient of L = Σ w · y, by formulas written out
here without tinyxp.
"""

import numpy as np
import pytest

import tinyxp as tx
from tests.helpers import normal


def check(f, arrays, value, gradients):
    """f's value and its gradients under the weights w(y) = normal(y.shape, seed=9)."""
    leaves = [tx.asarray(a, requires_grad=True) for a in arrays]
    y = f(*leaves)
    np.testing.assert_allclose(y.detach().numpy(), value, rtol=1e-12, atol=1e-13)
    y.backward(tx.asarray(weights(value)))
    for x, expected in zip(leaves, gradients, strict=True):
        assert x.grad.shape == x.shape
        np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-12, atol=1e-13)


def weights(y):
    return normal(*y.shape, seed=9)


@pytest.fixture(autouse=True)
def on_every_backend(backend):
    return backend


def test_batched_matmul():
    a, b = normal(2, 3, 4), normal(2, 4, 5, seed=1)
    y = np.stack([a[i] @ b[i] for i in range(2)])
    w = weights(y)
    ga = np.stack([w[i] @ b[i].T for i in range(2)])
    gb = np.stack([a[i].T @ w[i] for i in range(2)])
    check(lambda a, b: a @ b, [a, b], y, [ga, gb])


def test_3d_matmul_with_one_matrix():
    """A linear layer over (batch, time, width): the matrix's gradient sums over batch and time."""
    a, b = normal(2, 3, 4), normal(4, 5, seed=1)
    y = np.stack([a[i] @ b for i in range(2)])
    w = weights(y)
    ga = np.stack([w[i] @ b.T for i in range(2)])
    gb = a[0].T @ w[0] + a[1].T @ w[1]
    check(lambda a, b: a @ b, [a, b], y, [ga, gb])


def test_matmul_backward():
    a, b = normal(3, 4), normal(4, 2, seed=1)
    y = np.asarray([[sum(a[i, k] * b[k, j] for k in range(4)) for j in range(2)] for i in range(3)])
    w = weights(y)
    check(lambda a, b: a @ b, [a, b], y, [w @ b.T, a.T @ w])


def test_transpose():
    x = normal(3, 4)
    y = np.asarray([[x[i, j] for i in range(3)] for j in range(4)])
    check(lambda x: x.T, [x], y, [weights(y).T])


def test_transpose_backward_of_several_axes():
    """(batch, time, head, dim) -> (head, dim, batch, time)."""
    x = normal(2, 3, 4, 5)
    y, gx = np.empty((4, 5, 2, 3)), np.empty(x.shape)
    w = weights(y)
    for b, t, h, d in np.ndindex(x.shape):
        y[h, d, b, t] = x[b, t, h, d]
        gx[b, t, h, d] = w[h, d, b, t]
    check(lambda x: tx.permute_dims(x, (2, 3, 0, 1)), [x], y, [gx])


def test_subtraction():
    a, b = normal(3, 4), normal(4, seed=1)
    y = np.asarray([[a[i, j] - b[j] for j in range(4)] for i in range(3)])
    w = weights(y)
    check(lambda a, b: a - b, [a, b], y, [w, -w.sum(axis=0)])
    check(lambda b: 1.5 - b, [b], 1.5 - b, [-weights(b)])


def test_division():
    a, b = normal(3, 4), 1.5 + normal(3, 1, seed=1) ** 2
    y = np.asarray([[a[i, j] / b[i, 0] for j in range(4)] for i in range(3)])
    w = weights(y)
    check(lambda a, b: a / b, [a, b], y, [w / b, (-w * a / b**2).sum(axis=1, keepdims=True)])
    check(lambda b: 2.0 / b, [b], 2 / b, [-2 * weights(b) / b**2])


def test_layer_norm():
    """y = (x - mean) / √(var + eps) · scale + shift (Ba et al. 2016), its gradient by hand."""
    x, scale, shift, eps = normal(2, 3, 6), normal(6, seed=1), normal(6, seed=2), 1e-5
    mean = x.mean(axis=-1, keepdims=True)
    sigma = np.sqrt(((x - mean) ** 2).mean(axis=-1, keepdims=True) + eps)
    z = (x - mean) / sigma
    y = z * scale + shift
    w = weights(y)
    gz = w * scale
    gx = (gz - gz.mean(-1, keepdims=True) - z * (gz * z).mean(-1, keepdims=True)) / sigma

    def layer_norm(x, scale, shift):
        centred = x - tx.mean(x, axis=-1, keepdims=True)
        variance = tx.mean(centred * centred, axis=-1, keepdims=True)
        return centred / tx.sqrt(variance + eps) * scale + shift

    check(layer_norm, [x, scale, shift], y, [gx, (w * z).sum(axis=(0, 1)), w.sum(axis=(0, 1))])


def test_embedding_with_repeated_ids():
    table, ids = normal(5, 3), np.asarray([[1, 4, 1], [1, 0, 4]])
    y = np.empty((2, 3, 3))
    w, g = weights(y), np.zeros(table.shape)
    for i, j in np.ndindex(ids.shape):
        y[i, j] = table[ids[i, j]]
        g[ids[i, j]] += w[i, j]
    np.testing.assert_allclose(g[1], w[0, 0] + w[0, 2] + w[1, 0])
    assert not g[2:4].any()
    check(lambda table: tx.take(table, tx.asarray(ids), axis=0), [table], y, [g])
    check(lambda table: table[tx.asarray(ids)], [table], y, [g])


def test_dropout():
    """y = mask · x / (1 - p): dropped elements get no gradient, the others that of the scale."""
    x, p = normal(4, 5), 0.25
    mask = np.arange(20).reshape(4, 5) % 4 != 1
    y = np.where(mask, x / 0.75, 0)
    check(lambda x: x * tx.asarray(mask) / (1 - p), [x], y, [np.where(mask, weights(y) / 0.75, 0)])
    check(
        lambda x: tx.where(tx.asarray(mask), x / (1 - p), 0.0),
        [x],
        y,
        [np.where(mask, weights(y) / 0.75, 0)],
    )


def test_queries_times_keys_in_4d():
    """scores[b, h, i, j] = Σ q[b, h, i, :] · k[b, h, j, :] / √d."""
    q, k = normal(2, 3, 4, 5), normal(2, 3, 6, 5, seed=1)
    y, gq, gk = np.empty((2, 3, 4, 6)), np.zeros(q.shape), np.zeros(k.shape)
    w, root = weights(y), np.sqrt(5)
    for b, h, i, j in np.ndindex(y.shape):
        y[b, h, i, j] = q[b, h, i] @ k[b, h, j] / root
        gq[b, h, i] += w[b, h, i, j] * k[b, h, j] / root
        gk[b, h, j] += w[b, h, i, j] * q[b, h, i] / root
    check(lambda q, k: q @ tx.permute_dims(k, (0, 1, 3, 2)) / 5**0.5, [q, k], y, [gq, gk])


def test_attention_times_values_in_4d():
    """y = softmax(s) V; the softmax gradient is p · (g - Σ g · p)."""
    s, v = normal(2, 3, 4, 6), normal(2, 3, 6, 5, seed=1)
    e = np.exp(s)
    p = e / e.sum(axis=-1, keepdims=True)
    y, gp, gv = np.empty((2, 3, 4, 5)), np.empty(s.shape), np.empty(v.shape)
    w = weights(y)
    for b, h in np.ndindex(2, 3):
        y[b, h] = p[b, h] @ v[b, h]
        gp[b, h] = w[b, h] @ v[b, h].T
        gv[b, h] = p[b, h].T @ w[b, h]
    gs = p * (gp - (gp * p).sum(axis=-1, keepdims=True))

    def attend(s, v):
        e = tx.exp(s - tx.max(s, axis=-1, keepdims=True))
        return e / tx.sum(e, axis=-1, keepdims=True) @ v

    check(attend, [s, v], y, [gs, gv])
