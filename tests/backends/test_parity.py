"""The same numbers on every backend: forward and every gradient, to 1e-12 in float64."""

import numpy as np
import pytest

import tinyxp as tx
from tests.compare import agree_with_numpy, weights
from tests.conftest import PRESENT
from tests.helpers import each, normal
from tests.registry import (
    call,
    complex_cases,
    complex_example,
    differentiable,
    example,
)

TOLERANCE = 1e-12

MATMULS = [
    ((4,), (4,)), ((4,), (4, 3)), ((3, 4), (4,)), ((3, 4), (4, 5)), ((2, 3, 4), (4,)),
    ((4,), (2, 4, 3)),
    ((2, 3, 4), (4, 5)), ((3, 4), (2, 4, 5)), ((2, 3, 4), (2, 4, 5)), ((1, 3, 4), (2, 4, 5)),
    ((2, 3, 4), (1, 4, 5)), ((2, 1, 3, 4), (5, 4, 2)), ((2, 3, 4, 5), (2, 3, 5, 4)),
    ((2, 3, 4, 5), (5, 2)),
    ((2, 1, 3, 4), (1, 3, 4, 2)), ((5,), (2, 3, 5, 4)), ((2, 3, 4, 5), (5,)),
    ((0, 4), (4, 3)), ((3, 0), (0, 2)), ((2, 3, 0), (0, 4)), ((0, 3, 4), (4, 2)),
    ((2, 0, 4), (2, 4, 3)),
    ((2, 3, 0), (2, 0, 4)), ((0,), (0,)), ((2, 3, 4), (4, 0)),
]  # fmt: skip


@each(("a", "b"), MATMULS)
def test_matmul(a, b, backend):
    """Against NumPy and, for the gradients, against the definition by einsum over unit matrices."""
    x, w = normal(*a), normal(*b, seed=1)
    y, gx, gw = agree_with_numpy(tx.matmul, [x, w])
    np.testing.assert_allclose(y, np.matmul(x, w), rtol=TOLERANCE, atol=TOLERANCE)
    g = weights(y.shape)
    x2, w2 = (x[None, :] if x.ndim == 1 else x), (w[:, None] if w.ndim == 1 else w)
    g2 = g[..., None] if w.ndim == 1 else g
    g2 = g2[..., None, :] if x.ndim == 1 else g2
    for found, full, shape in (
        (gx, np.matmul(g2, w2.swapaxes(-1, -2)), x2.shape),
        (gw, np.matmul(x2.swapaxes(-1, -2), g2), w2.shape),
    ):
        extra = full.ndim - len(shape)
        axes = (
            *range(extra),
            *(i + extra for i, n in enumerate(shape) if full.shape[i + extra] != n),
        )
        np.testing.assert_allclose(
            found, full.sum(axis=axes).reshape(found.shape), rtol=TOLERANCE, atol=TOLERANCE
        )


def attention(q, k, v):
    """softmax(QKᵀ/√d) V with a causal mask, in operations: (batch, heads, time, head_dim)."""
    time, d = q.shape[-2:]
    scores = q @ tx.matrix_transpose(k) / d**0.5
    scores = tx.where(tx.tril(tx.ones((time, time))) > 0, scores, -tx.inf)
    e = tx.exp(scores - tx.max(scores, axis=-1, keepdims=True))
    return e / tx.sum(e, axis=-1, keepdims=True) @ v


def layer_norm(x, w, b):
    centred = x - tx.mean(x, axis=-1, keepdims=True)
    return centred / tx.sqrt(tx.mean(centred**2, axis=-1, keepdims=True) + 1e-5) * w + b


IDS = np.asarray([[3, 0, 3], [1, 3, 0]])
FORMULAS = {
    "attention": (attention, [normal(2, 3, 5, 4, seed=i) for i in range(3)]),
    "layer_norm": (layer_norm, [normal(2, 3, 5), normal(5, seed=1), normal(5, seed=2)]),
    "gather": (lambda x: tx.take(x, tx.asarray(IDS), axis=0) ** 2, [normal(4, 3)]),
    "gather axis 1": (lambda x: tx.take(x, tx.asarray(IDS), axis=1) ** 2, [normal(2, 4, 3)]),
    "gather pairs": (lambda x: x[tx.asarray(IDS), tx.asarray([0, 1, 0])] ** 2, [normal(4, 3)]),
    "scatter": (
        lambda x, v: tx.index_add(x, tx.asarray([2, 0, 2, -1]), v) ** 2,
        [normal(4, 3), normal(4, 3, seed=1)],
    ),
    "replace": (
        lambda x, v: tx.setitem(x, (slice(None), tx.asarray([2, 0, 2])), v) ** 2,
        [normal(2, 4), normal(2, 3, seed=1)],
    ),
    "cumulative_sum": (lambda x: tx.cumulative_sum(x, axis=1) ** 2, [normal(3, 5)]),
    "cumulative_prod": (
        lambda x: tx.cumulative_prod(x, axis=0, include_initial=True) ** 2,
        [normal(5, 3) * (normal(5, 3, seed=1) > -0.5)],  # some zeros
    ),
    "sort": (lambda x: tx.sort(x, axis=0, descending=True) ** 2, [normal(4, 3)]),
    "topk": (lambda x: tx.topk(x, 2, axis=1)[0] ** 2, [normal(4, 5)]),
    "logsumexp": (lambda x: tx.logsumexp(x, axis=(0, 2), keepdims=True), [normal(2, 3, 4)]),
    "std": (lambda x: tx.std(x, axis=(0, 2), correction=1), [normal(2, 3, 4)]),
    "prod": (lambda x: tx.prod(x, axis=(0, 2)), [normal(2, 3, 2) * (normal(2, 3, 2, seed=1) > -1)]),
    "windows": (
        lambda x: tx.stack([x[..., i : i + 3] for i in range(4)], axis=-2) ** 2,
        [normal(2, 6)],
    ),
    "gelu": (lambda x: x * (1 + tx.erf(x / 2**0.5)) / 2, [np.linspace(-8, 8, 41)]),
}


@each("name", FORMULAS)
def test_formula(name, backend):
    agree_with_numpy(*FORMULAS[name])


OTHERS = [name for name in PRESENT if name != "numpy"]  # which would be compared with itself


@pytest.mark.parametrize("backend", OTHERS, indirect=True)
@each(("name", "i"), differentiable())
def test_operation(name, i, backend):
    operands, static = example(name, i)
    agree_with_numpy(lambda *xs: call(name, xs, static), operands, what=name)


@pytest.mark.parametrize("backend", OTHERS, indirect=True)
@each(("name", "i"), complex_cases())
def test_complex_operation(name, i, backend):
    operands, static = complex_example(name, i)
    agree_with_numpy(lambda *xs: call(name, xs, static), operands, what=name)


EINSUMS = [
    ("ij,jk->ik", (2, 3), (3, 4)), ("ij,jk", (2, 3), (3, 4)),
    ("bij,bjk->bik", (5, 2, 3), (5, 3, 4)),
    ("...ij,...jk->...ik", (5, 2, 3), (3, 4)), ("...ij,...jk", (2, 1, 2, 3), (4, 3, 4)),
    ("bhqd,bhkd->bhqk", (2, 3, 4, 5), (2, 3, 6, 5)), ("ii->i", (3, 3)), ("ii", (3, 3)),
    ("ii->", (3, 3)),
    ("iij->ji", (3, 3, 2)), ("iii->i", (2, 2, 2)), ("ij->ji", (2, 3)), ("ji", (2, 3)),
    ("ij->", (2, 3)),
    ("ij->j", (2, 3)), ("i,j->ij", (2,), (3,)), ("i,i->", (3,), (3,)), ("i,i", (3,), (3,)),
    ("ij,ij->ij", (2, 3), (2, 3)),
    ("i,ij,j->", (2,), (2, 3), (3,)), ("ij,jk,kl->il", (2, 3), (3, 4), (4, 2)),
    ("bi,bj,bk->ijk", (5, 2), (5, 3), (5, 4)),
    ("...,...->...", (2, 3), (3,)), ("i...->...", (2, 3, 4)), ("...i->...", (2, 3, 4)),
    ("b...d,d->b...", (2, 3, 4), (4,)),
    ("ij,j->ij", (2, 1), (1,)), ("...ij,jk->...ik", (1, 2, 3), (3, 1)),
    ("ii,ij->j", (3, 3), (3, 2)),
    (",ij->ij", (), (2, 3)), ("->", ()), ("ab,cd->", (2, 3), (4, 5)), ("ij,kj->", (2, 3), (4, 3)),
    ("i j , j k -> i k", (2, 3), (3, 2)),
    ("ij,jk->ik", (2, 0), (0, 4)), ("ijk,ikl->ijl", (0, 2, 3), (0, 3, 4)),
    ("...a,...a->...", (3, 1, 4), (1, 2, 4)),
]  # fmt: skip


@each("case", EINSUMS)
def test_einsum_is_numpys(case, backend):
    subscripts, *shapes = case
    arrays = [normal(*shape, seed=i) for i, shape in enumerate(shapes)]
    arrays = [np.asarray(a) for a in arrays]
    y, *gradients = agree_with_numpy(lambda *xs: tx.einsum(subscripts, *xs), arrays)
    expected = np.einsum(subscripts, *arrays)
    assert y.shape == expected.shape
    np.testing.assert_allclose(y, expected, rtol=TOLERANCE, atol=TOLERANCE)
    # it is linear in each operand: the gradient in one direction is the value there
    w = weights(y.shape)
    for i, g in enumerate(gradients):
        direction = np.asarray(normal(*shapes[i], seed=20 + i))
        moved = [*arrays[:i], direction, *arrays[i + 1 :]]
        np.testing.assert_allclose(
            (g * direction).sum(), (w * np.einsum(subscripts, *moved)).sum(), rtol=1e-10, atol=1e-12
        )


def train(steps=20):
    """A small network trained by gradient descent, written in operations."""
    x, target = tx.asarray(normal(16, 3)), tx.asarray(np.arange(16) % 4)
    parameters = [
        tx.asarray(a, requires_grad=True)
        for a in (normal(3, 8, seed=1) / 2, np.zeros(8), normal(8, 4, seed=2) / 3, np.zeros(4))
    ]
    losses = []
    for _ in range(steps):
        w1, b1, w2, b2 = parameters
        logits = tx.maximum(x @ w1 + b1, 0.0) @ w2 + b2
        picked = tx.take_along_axis(logits, target[:, None], axis=1)[:, 0]
        loss = tx.mean(tx.logsumexp(logits, axis=1) - picked)
        for p in parameters:
            p.grad = None
        loss.backward()
        with tx.no_grad():
            for p in parameters:
                p -= 0.5 * p.grad
        losses.append(loss.item())
    return losses, [p.detach().numpy() for p in parameters]


def test_training_gives_the_same_numbers(backend):
    losses, parameters = train()
    with tx.backend("numpy"):
        expected, theirs = train()
    np.testing.assert_allclose(losses, expected, rtol=TOLERANCE)
    assert losses[-1] < 0.8 * losses[0]
    for a, b in zip(parameters, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=TOLERANCE, atol=TOLERANCE)
