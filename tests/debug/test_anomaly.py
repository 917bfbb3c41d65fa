"""``tx.detect_anomaly()`` stops at the operation that makes the first NaN or Inf."""

import gc
import re
import weakref

import numpy as np
import pytest

import tinyxp as tx
from tests.helpers import here
from tinyxp import nn
from tinyxp.errors import AnomalyError
from tinyxp.nn import functional as F

INF = float("inf")


def leaf(*values):
    return tx.asarray(values, dtype=tx.float32, requires_grad=True)


def stops(marker, *parts):
    """The error with its line, which ends with ``marker``."""
    place = re.escape(f"test_anomaly.py:{here(__file__, marker)}")
    return pytest.raises(AnomalyError, match=".*".join([*parts[:1], place, *parts[1:]]))


def test_forward(backend):
    x = leaf(1.0, 0.5)
    with stops("# LOG", "log made NaN", r"\(2,\) float32"), tx.detect_anomaly():
        y = tx.exp(x)
        y = tx.log(x - 0.75)  # LOG
        tx.sqrt(y)


def test_forward_without_gradients(backend):
    data = tx.asarray([0.0, 1.0])
    with stops("# DIVIDE", "divide made NaN", r"\(2,\) float32, \(2,\) float32"):  # noqa: SIM117
        with tx.detect_anomaly():
            data / data  # DIVIDE


def test_infinity_is_found_too_unless_not_asked_for(backend):
    with stops("# EXP", "exp made Inf"), tx.detect_anomaly():
        tx.exp(leaf(1e3))  # EXP
    with tx.detect_anomaly(check_inf=False):
        assert tx.exp(leaf(1e3)).item() == INF


def test_backward_names_the_line_of_the_forward_pass(backend):
    x = leaf(4.0, 0.0)
    with tx.detect_anomaly():
        y = tx.sqrt(x)  # SQRT
        loss = (y * 2).sum()
        with stops("# SQRT", "the gradient of sqrt", "made Inf", r"\(2,\) float32"):
            loss.backward()


def test_who_got_a_nan_is_not_to_blame(backend):
    """Neither in the forward pass nor in the backward one."""
    x, bad = leaf(1.0, 2.0), tx.asarray([[1.0, 2.0], [3.0, float("nan")]], dtype=tx.float32)
    with tx.detect_anomaly():
        F.mse_loss(tx.tanh(F.linear(bad, x[None, :])), tx.zeros((2, 1))).backward()
    assert np.isnan(x.grad.numpy()).any()


def test_one_result_of_several():
    x = tx.asarray([[1e-30, 0.0], [1e-30, 1e-30]], requires_grad=True)
    with tx.detect_anomaly():
        q, _ = tx.linalg.qr(x)  # QR
        with stops("# QR", "the gradient of qr", "made"):
            (q * 1e20).sum().backward()


def test_infinity_put_there_on_purpose_passes(backend):
    x = leaf(1.0, 2.0, 3.0)
    with tx.detect_anomaly():
        masked = tx.where(tx.asarray([True, False, True]), x, -INF)
        y = tx.softmax(masked, dim=-1)
        (y * y).sum().backward()
    assert np.isfinite(x.grad.tolist()).all()
    with stops("# ALL", "made NaN"), tx.detect_anomaly():
        tx.softmax(x - INF, dim=-1)  # ALL


@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_a_transformer_with_a_mask_is_no_anomaly(activation, backend):
    tx.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, activation=activation, batch_first=True)
    x = tx.randn(2, 5, 8)
    mask = nn.Transformer.generate_square_subsequent_mask(5)
    with tx.detect_anomaly():
        layer(x, mask).sum().backward()
        F.cross_entropy(layer(x)[:, 0], tx.asarray([1, 2])).backward()


def test_a_fused_kernel_is_looked_at_as_a_whole():
    x = leaf(1.0, INF)
    with stops("# NORM", "layer_norm made NaN"), tx.detect_anomaly():
        F.layer_norm(x, (2,))  # NORM


def test_off_it_looks_at_nothing_and_keeps_nothing():
    x = leaf(0.0)
    with tx.detect_anomaly():
        y = x * 2
        node = weakref.ref(y._node)
    with np.errstate(divide="ignore"):
        assert tx.log(y).item() == -INF
    gc.disable()
    try:
        del y
        assert node() is None
    finally:
        gc.enable()
