"""Integers in functions that give fractions: as the same numbers in float32, without wrapping."""

import numpy as np

import tinyxp as tx
from tests.helpers import each

F = tx.nn.functional
X = np.asarray([[100, 1, 127], [3, 120, 0]])
Y = np.asarray([[1, 100, 3], [127, 0, 120]])
CLASSES = tx.asarray([2, 0])
CASES = {
    "softmax": lambda x, y: F.softmax(x, dim=1),
    "softmin": lambda x, y: F.softmin(x, dim=1),
    "log_softmax": lambda x, y: F.log_softmax(x, dim=1),
    "logsigmoid": lambda x, y: F.logsigmoid(x),
    "softplus": lambda x, y: F.softplus(x, beta=3),
    "leaky_relu": lambda x, y: F.leaky_relu(x, 3),
    "gelu": lambda x, y: F.gelu(x, approximate="tanh"),
    "hardsigmoid": lambda x, y: F.hardsigmoid(x),
    "hardswish": lambda x, y: F.hardswish(x),
    "softshrink": lambda x, y: F.softshrink(x, 30),
    "hardshrink": lambda x, y: F.hardshrink(x, 30),
    "mse_loss": lambda x, y: F.mse_loss(x, y),
    "l1_loss": lambda x, y: F.l1_loss(x, y),
    "smooth_l1_loss": lambda x, y: F.smooth_l1_loss(x, y),
    "huber_loss": lambda x, y: F.huber_loss(x, y),
    "poisson_nll_loss": lambda x, y: F.poisson_nll_loss(x, y, log_input=False, full=True),
    "gaussian_nll_loss": lambda x, y: F.gaussian_nll_loss(x, y, 2.0),
    "cross_entropy": lambda x, y: F.cross_entropy(x, CLASSES),
    "nll_loss": lambda x, y: F.nll_loss(x, CLASSES),
    "multi_margin_loss": lambda x, y: F.multi_margin_loss(x, CLASSES),
    "multilabel_margin_loss": lambda x, y: F.multilabel_margin_loss(
        x, tx.asarray([[1, -1, 0], [0, 2, -1]])
    ),
    "kl_div": lambda x, y: F.kl_div(x, y),
    "binary_cross_entropy": lambda x, y: F.binary_cross_entropy(x // 100, y // 100),
    "binary_cross_entropy_with_logits": lambda x, y: F.binary_cross_entropy_with_logits(x, y),
    "multilabel_soft_margin_loss": lambda x, y: F.multilabel_soft_margin_loss(x, y),
    "soft_margin_loss": lambda x, y: F.soft_margin_loss(x, y),
    "hinge_embedding_loss": lambda x, y: F.hinge_embedding_loss(x, 1 - 0 * y, margin=5),
    "margin_ranking_loss": lambda x, y: F.margin_ranking_loss(x, y, x),
    "cosine_embedding_loss": lambda x, y: F.cosine_embedding_loss(x, y, CLASSES // 2),
    "triplet_margin_loss": lambda x, y: F.triplet_margin_loss(x, y, y[:, :1] + 0 * x),
    "pairwise_distance": lambda x, y: F.pairwise_distance(x, y),
    "layer_norm": lambda x, y: F.layer_norm(x, (3,)),
    "local_response_norm": lambda x, y: F.local_response_norm(x[None], 2),
    "embedding_bag of means": lambda x, y: F.embedding_bag(tx.asarray([[0, 0, 1, 0]]), x),
    "embedding_bag of sums": lambda x, y: F.embedding_bag(
        tx.asarray([[0, 0, 1, 0]]), x, mode="sum"
    ),
}


@each("dtype", ["uint8", "int8", "int64"])
@each("name", CASES)
def test_integers_are_made_floating_before_any_arithmetic(name, dtype):
    f = CASES[name]
    result = f(tx.asarray(X.astype(dtype)), tx.asarray(Y.astype(dtype)))
    wanted = f(tx.asarray(X.astype(np.float32)), tx.asarray(Y.astype(np.float32)))
    assert result.dtype is tx.float32
    np.testing.assert_allclose(result.numpy(), wanted.numpy(), rtol=1e-6)


def test_the_dtype_is_that_of_the_floating_operand():
    x, y = tx.asarray(X, dtype=tx.float64), tx.asarray(Y.astype(np.uint8))
    x.requires_grad_()
    loss = F.binary_cross_entropy_with_logits(x, y, reduction="sum")
    assert loss.dtype is tx.float64
    loss.backward()
    wanted = 1 / (1 + np.exp(-1.0 * X)) - Y
    np.testing.assert_allclose(x.grad.numpy(), wanted, rtol=1e-6, atol=1e-30)


def test_columns_of_integers_are_folded_in_64_bits():
    columns = tx.asarray(np.full((1, 2, 2), 200, np.uint8))
    y = F.fold(columns, (1, 3), (1, 2))
    assert y.dtype is tx.uint64
    assert y.tolist() == [[[[200, 400, 200]]]]
