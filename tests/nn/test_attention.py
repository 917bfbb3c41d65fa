"""Attention by values, against loops that follow the formula, on every backend."""

import math

import numpy as np
import pytest

import tinyxp as tx
from tinyxp import nn
from tinyxp.errors import ArgumentError, DTypeError, ShapeError

F = nn.functional


def looped(q, k, v, allowed=None):
    """Attention in 4-D by plain loops: (batch, heads, time, head_dim)."""
    y = np.zeros((*q.shape[:3], v.shape[3]))
    weights = np.zeros((*q.shape[:3], k.shape[2]))
    for b in range(q.shape[0]):
        for h in range(q.shape[1]):
            for i in range(q.shape[2]):
                scores = []
                for j in range(k.shape[2]):
                    score = sum(q[b, h, i, d] * k[b, h, j, d] for d in range(q.shape[3]))
                    forbidden = allowed is not None and not allowed[b, h, i, j]
                    scores.append(-math.inf if forbidden else score / math.sqrt(q.shape[3]))
                top = max(scores)
                if top == -math.inf:
                    continue
                exps = [math.exp(score - top) for score in scores]
                for j, e in enumerate(exps):
                    weights[b, h, i, j] = e / sum(exps)
                    y[b, h, i] += weights[b, h, i, j] * v[b, h, j]
    return y, weights


def qkv(rng, queries=3, keys=3):
    return [rng.normal(size=(2, 2, n, 4)) for n in (queries, keys, keys)]


def test_q_kt_in_4d(backend, rng):
    q, k, _ = qkv(rng)
    scores = tx.asarray(q) @ tx.asarray(k).mT
    expected = np.zeros((2, 2, 3, 3))
    for b, h, i, j in np.ndindex(expected.shape):
        expected[b, h, i, j] = sum(q[b, h, i, d] * k[b, h, j, d] for d in range(4))
    assert scores.shape == (2, 2, 3, 3)
    np.testing.assert_allclose(np.asarray(scores), expected, rtol=1e-12, atol=1e-12)


def test_attention_times_v_in_4d(backend, rng):
    weights, v = rng.uniform(size=(2, 2, 3, 5)), rng.normal(size=(2, 2, 5, 4))
    y = tx.asarray(weights) @ tx.asarray(v)
    expected = np.zeros((2, 2, 3, 4))
    for b, h, i, d in np.ndindex(expected.shape):
        expected[b, h, i, d] = sum(weights[b, h, i, j] * v[b, h, j, d] for j in range(5))
    assert y.shape == (2, 2, 3, 4)
    np.testing.assert_allclose(np.asarray(y), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", ["none", "causal", "padding", "both", "random"])
def test_values(kind, backend, rng):
    q, k, v = qkv(rng, 3, 4)
    allowed = np.ones((2, 2, 3, 4), dtype=bool)
    mask = None
    if kind in ("causal", "both"):
        allowed &= np.tri(3, 4, dtype=bool)
    if kind in ("padding", "both"):
        mask = np.array([[True, True, True, False], [True, False, True, True]])[:, None, None, :]
    if kind == "random":
        mask = rng.uniform(size=(2, 2, 3, 4)) > 0.5
        mask[0, 1, 2] = False  # a query without any key: zeros
    if mask is not None:
        allowed &= mask
    y = F.scaled_dot_product_attention(
        *map(tx.asarray, (q, k, v)),
        attn_mask=None if mask is None else tx.asarray(allowed if kind == "both" else mask),
        is_causal=kind == "causal",
    )
    expected, _ = looped(q, k, v, allowed)
    np.testing.assert_allclose(np.asarray(y), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("as_mask", [False, True])
def test_no_gradient_flows_from_the_future(as_mask, backend, rng):
    q, k, v = (tx.asarray(a, requires_grad=True) for a in qkv(rng, 4, 4))
    mask = F.causal_mask(4) if as_mask else None
    y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=not as_mask)
    for place in range(4):
        gradients = tx.autograd.grad(y[:, :, place].sum(), [q, k, v], retain_graph=True)
        for x, g in zip((q, k, v), gradients, strict=True):
            g = np.asarray(g)
            assert (g[:, :, place + 1 :] == 0).all()
            if x is not q:
                assert (g[:, :, :place] != 0).any() or place == 0
            else:
                assert (g[:, :, :place] == 0).all()  # other queries have no part


def test_a_language_model_does_not_see_the_future(backend, rng):
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    x = tx.asarray(rng.normal(size=(1, 5, 8)), dtype=tx.float32)
    changed = tx.setitem(x, (0, 3), 100.0)
    before, after = layer(x, is_causal=True), layer(changed, is_causal=True)
    assert bool((before[:, :3] == after[:, :3]).all())
    assert not bool((before[:, 3:] == after[:, 3:]).any())


def test_padding_has_no_part(backend, rng):
    """Padded keys change nothing and get no gradient."""
    attention = nn.MultiheadAttention(8, 2, batch_first=True)
    x = rng.normal(size=(2, 5, 8)).astype("float32")
    padding = np.array([[False, False, False, True, True], [False] * 5])
    short, _ = attention(*[tx.asarray(x[:1, :3])] * 3)
    full = tx.asarray(x, requires_grad=True)
    y, weights = attention(full, full, full, key_padding_mask=tx.asarray(padding))
    np.testing.assert_allclose(
        np.asarray(y[:1, :3].detach()), np.asarray(short.detach()), rtol=2e-5, atol=2e-6
    )
    assert (np.asarray(weights.detach())[0, :, 3:] == 0).all()
    y[0, :3].sum().backward()
    assert (np.asarray(full.grad)[0, 3:] == 0).all()
    assert (np.asarray(full.grad)[0, :3] != 0).all()


def test_dropout_of_weights(rng):
    q, k, _ = map(tx.asarray, qkv(rng))
    eye = tx.broadcast_to(tx.eye(3, dtype=tx.float64), (2, 2, 3, 3))  # the values show the weights
    plain = np.asarray(F.attention_weights(q, k, scale=0.5))
    generator = tx.random.Generator(3)
    seen = np.asarray(F.scaled_dot_product_attention(q, k, eye, dropout_p=0.5, generator=generator))
    assert set(np.round(seen / plain, 12).ravel()) == {0.0, 2.0}


def test_weights_sum_to_one(backend, rng):
    q, k, _ = map(tx.asarray, qkv(rng))
    weights = F.attention_weights(q * 1000, k, is_causal=True, scale=0.5)
    np.testing.assert_allclose(np.asarray(weights.sum(axis=-1)), 1, rtol=1e-12)


def test_errors(rng):
    q, k, v = map(tx.asarray, qkv(rng))
    with pytest.raises(ShapeError, match=r"same width, got query \(2, 2, 3, 4\)"):
        F.scaled_dot_product_attention(q, k[..., :2], v)
    with pytest.raises(ShapeError, match="as many values as keys"):
        F.scaled_dot_product_attention(q, k, v[:, :, :2])
    with pytest.raises(ShapeError, match=r"must broadcast to \(2, 2, 3, 3\), got \(4, 3\)"):
        F.scaled_dot_product_attention(q, k, v, tx.ones((4, 3)))
    with pytest.raises(DTypeError, match=r"boolean or floating, got tinyxp\.int64"):
        F.scaled_dot_product_attention(q, k, v, tx.ones((3, 3), dtype=tx.int64))
    with pytest.raises(ArgumentError, match="attn_mask or is_causal, got both"):
        F.scaled_dot_product_attention(q, k, v, tx.ones((3, 3)), is_causal=True)
    with pytest.raises(
        DTypeError, match=r"one real floating dtype, got tinyxp\.float64, tinyxp\.f"
    ):
        F.scaled_dot_product_attention(q, tx.astype(k, tx.float32), v)
    with pytest.raises(DTypeError, match=r"one real floating dtype, got tinyxp\.int64"):
        F.scaled_dot_product_attention(*[tx.ones((3, 4), dtype=tx.int64)] * 3)
    with pytest.raises(DTypeError, match="expects Tensors, got ndarray"):
        F.scaled_dot_product_attention(q, k, np.asarray(v))
    with pytest.raises(ShapeError, match=r"a multiple of those of key and value, got query \(2, 3"):
        F.scaled_dot_product_attention(
            tx.ones((2, 3, 4, 5)), *[tx.ones((2, 2, 4, 5))] * 2, enable_gqa=True
        )
    with pytest.raises(ShapeError, match=r"expects \(\.\.\., heads, time, features\)"):
        F.scaled_dot_product_attention(*[tx.ones((4, 5))] * 3, enable_gqa=True)
    attention = nn.MultiheadAttention(4, 2, batch_first=True)
    x = tx.ones((2, 3, 4))
    with pytest.raises(ShapeError, match=r"key_padding_mask must be \(N, S\) = \(2, 3\), got"):
        attention(x, x, x, key_padding_mask=tx.zeros((3, 2), dtype=tx.bool))
    with pytest.raises(ShapeError, match=r"\(L, S\) = \(3, 3\) or \(N \* H, L, S\) = \(4, 3, 3\)"):
        attention(x, x, x, attn_mask=tx.zeros((2, 3, 3), dtype=tx.bool))
    with pytest.raises(ShapeError, match="embed_dim=4"):
        attention(x, x, tx.ones((2, 3, 5)))
