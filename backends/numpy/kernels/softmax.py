"""NumPy kernels of softmax and log_softmax over the last axis, and of cross_entropy.

A probability p near 1 has lost the digits of 1 - p to rounding; gradients get 1 - p from the sum of
the other probabilities.
"""

from typing import Any

import numpy as np

from tinyxp.backends import Gradients, Kernel, Needs
from tinyxp.backends.common.operands import is_last_axis
from tinyxp.backends.numpy.kernels.dense import Array, alike, row_sums
from tinyxp.backends.numpy.memory import empty


def normalize(x: Array) -> None:
    """Replace each row of x by its softmax."""
    x -= x.max(axis=-1, keepdims=True)
    np.exp(x, out=x)
    x /= row_sums(x)


def softmax(x: Array, dim: int) -> Any:
    if not alike(x) or not is_last_axis(x, dim):
        return NotImplemented
    y = x.copy()
    normalize(y)
    return y, y


def softmax_vjp(g: Array, y: Array, needs: Needs) -> Gradients:
    # relative to the g of a y near 1, if there is one, as rounding loses 1 - y
    gx = g - row_sums(np.where(y > 0.5, g, g.dtype.type(0)))
    gx -= row_sums(gx * y)
    gx *= y
    return (gx,)


def log_softmax(x: Array, dim: int) -> Any:
    if not alike(x) or not is_last_axis(x, dim):
        return NotImplemented
    y, p = empty(x.shape, x.dtype), empty(x.shape, x.dtype)
    np.subtract(x, x.max(axis=-1, keepdims=True), out=y)
    y -= np.log(row_sums(np.exp(y, out=p)))
    return y, y


def log_softmax_vjp(g: Array, y: Array, needs: Needs) -> Gradients:
    gx, p = empty(y.shape, y.dtype), empty(y.shape, y.dtype)
    np.exp(y, out=p)
    np.multiply(p, row_sums(g), out=gx)
    np.subtract(g, gx, out=gx)
    gx -= np.where(p > 0.5, row_sums(gx), g.dtype.type(0))  # their sum is 0: see softmax_vjp
    return (gx,)


# -- cross_entropy: -log softmax(logits)[target], a row each, or their sum or mean --------------


def cross_entropy(
    logits: Array,
    targets: Array,
    weight: Array | None = None,
    *,
    ignore_index: int,
    label_smoothing: float,
    reduction: str,
) -> Any:
    if weight is not None or not alike(logits) or logits.ndim != 2 or logits.size == 0:
        return NotImplemented
    if targets.shape != logits.shape[:1]:
        return NotImplemented
    n, classes = logits.shape
    ignored = targets == ignore_index
    some = bool(np.logical_or.reduce(ignored))
    places = np.arange(0, n * classes, classes) + (
        np.where(ignored, 0, targets) if some else targets
    )
    p = np.subtract(logits, np.maximum.reduce(logits, axis=1, keepdims=True), order="C")
    flat = p.reshape(-1)
    picked = flat[places]
    smooth = row_sums(p)[:, 0] * (-1 / classes) if label_smoothing else None
    np.exp(p, out=p)
    own = flat[places]
    flat[places] = 0
    others = row_sums(p)[:, 0]  # 1 - p of the target, once divided
    total = others + own
    flat[places] = own
    p /= total[:, None]
    others /= total
    log_total = np.log(total)
    losses = log_total - picked
    if smooth is not None:
        losses *= 1 - label_smoothing
        losses += label_smoothing * (smooth + log_total)
    if some:
        losses[ignored] = 0
    divisor = 1
    if reduction == "mean":
        divisor = n - np.count_nonzero(ignored) if some else n
    y = losses
    if reduction != "none":
        y = np.add.reduce(losses, keepdims=True).reshape(())
        y /= divisor or np.nan
    return y, (p, others, places, ignored if some else None, label_smoothing, divisor)


def cross_entropy_vjp(g: Array, residuals: Any, needs: Needs) -> Gradients:
    p, others, places, ignored, smoothing, divisor = residuals
    scale = g / p.dtype.type(divisor or np.nan)  # one number, or one for each row
    if ignored is not None:
        scale = np.where(ignored, p.dtype.type(0), scale)
    share = smoothing / p.shape[1]
    p = p - p.dtype.type(share) if smoothing else p
    gx = np.multiply(p, scale[..., None], order="C")  # else reshape would copy
    gx.reshape(-1)[places] = scale * (p.dtype.type(smoothing - share) - others)
    return gx, None, None


KERNELS = {
    "cross_entropy": Kernel(cross_entropy, cross_entropy_vjp),
    "log_softmax": Kernel(log_softmax, log_softmax_vjp),
    "softmax": Kernel(softmax, softmax_vjp),
}
