"""Kernels that numba compiles, for float32: one pass over memory where NumPy's ufuncs take several.

Everything else (float64, other orders in memory) is left to ``numpy_kernels``. Compiled once and
kept on disk. They release the interpreter's lock, so that parts of a batch run side by side, and
start no threads of their own: numba's would wait busily against those of the BLAS.

Loops are written so that LLVM makes vector instructions of them: no call inside, no branch.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from tinyxp.backends import Kernel
from tinyxp.backends.common.capture import capturing
from tinyxp.backends.common.self_attention import of_itself
from tinyxp.backends.numpy.compiled import random as numba_random
from tinyxp.backends.numpy.compiled.functions import (
    CUBIC,
    DENSITY,
    HALF_ROOT,
    TANH_SCALE,
    compiled,
    erfc,
    exp,
    expect,
    f4,
    fits,
    readable,
    tanh_rest,
)
from tinyxp.backends.numpy.kernels import attention as numpy_attention
from tinyxp.backends.numpy.kernels import dense as numpy_kernels
from tinyxp.backends.numpy.kernels import softmax as numpy_softmax
from tinyxp.backends.numpy.kernels.dense import Array, Needs, in_order
from tinyxp.backends.numpy.memory import empty, empty_like

# -- gelu: y = x Φ(x) -------------------------------------------------------------------------


@compiled
def _gelu_tanh(x, y):  # type: ignore[no-untyped-def]
    expect(x.size == y.size)
    for i in range(x.size):
        m = tanh_rest(x[i])
        y[i] = x[i] * (f4(1) - m if x[i] > f4(0) else m)


@compiled
def _gelu_tanh_vjp(g, x, out):  # type: ignore[no-untyped-def]
    expect(g.size == x.size == out.size)
    for i in range(x.size):
        v, m = x[i], tanh_rest(x[i])
        inner = TANH_SCALE * (f4(1) + f4(3) * CUBIC * v * v)
        out[i] = g[i] * ((f4(1) - m if v > f4(0) else m) + v * m * (f4(1) - m) * inner)


@compiled
def _gelu_erf(x, y):  # type: ignore[no-untyped-def]
    expect(x.size == y.size)
    for i in range(x.size):
        y[i] = f4(0.5) * x[i] * erfc(-x[i] * HALF_ROOT)


@compiled
def _gelu_erf_vjp(g, x, out):  # type: ignore[no-untyped-def]
    expect(g.size == x.size == out.size)
    for i in range(x.size):
        v = x[i]
        cdf = f4(0.5) * erfc(-v * HALF_ROOT)
        out[i] = g[i] * (cdf + v * DENSITY * exp(f4(-0.5) * v * v))


def gelu(x: Array, approximate: str = "none") -> Any:
    if not fits(x):
        return numpy_kernels.gelu(x, approximate)
    y = empty(x.shape, x.dtype)
    (_gelu_tanh if approximate == "tanh" else _gelu_erf)(x.reshape(-1), y.reshape(-1))
    return y, (x, approximate == "tanh", "numba")


def gelu_vjp(g: Array, residuals: Any, needs: Needs) -> tuple[Array | None, ...]:
    if len(residuals) == 2:
        return numpy_kernels.gelu_vjp(g, residuals, needs)
    x, by_tanh, _ = residuals
    out = empty(x.shape, x.dtype)
    g = readable(g).reshape(-1)
    vjp = _gelu_tanh_vjp if by_tanh else _gelu_erf_vjp
    vjp(g, readable(x).reshape(-1), out.reshape(-1))
    return (out,)


# -- relu -------------------------------------------------------------------------------------


@compiled
def _relu(x, y):  # type: ignore[no-untyped-def]
    expect(x.size == y.size)
    for i in range(x.size):
        y[i] = f4(0) if x[i] <= f4(0) else x[i]


@compiled
def _relu_vjp(g, y, out):  # type: ignore[no-untyped-def]
    expect(g.size == y.size == out.size)
    for i in range(y.size):
        out[i] = f4(0) if y[i] <= f4(0) else g[i]


def relu(x: Array) -> Any:
    numbers = in_order(x) if isinstance(x, np.ndarray) and x.dtype.char == "f" else None
    if numbers is None or not numbers.flags.carray:
        return numpy_kernels.relu(x)
    y = empty_like(x)
    _relu(numbers, in_order(y))
    return y, y


def relu_vjp(g: Array, y: Array, needs: Needs) -> tuple[Array | None, ...]:
    numbers = in_order(y) if y.dtype.char == "f" else None
    if numbers is None or not numbers.flags.carray:
        return numpy_kernels.relu_vjp(g, y, needs)
    out = empty_like(y)
    if g.strides == y.strides and g.flags.behaved:
        _relu_vjp(in_order(g), numbers, in_order(out))
    else:
        out[...] = g
        _relu_vjp(in_order(out), numbers, in_order(out))
    return (out,)


# -- layer_norm over the last axis --------------------------------------------------------------


@compiled
def _layer_norm(x, weight, bias, eps, y, mean, scale):  # type: ignore[no-untyped-def]
    rows, n = x.shape
    expect(y.shape == x.shape and n == weight.size == bias.size and rows == mean.size == scale.size)
    for i in range(rows):
        total = f4(0)
        for j in range(n):
            total += x[i, j]
        m = total / f4(n)
        square = f4(0)
        for j in range(n):
            d = x[i, j] - m
            square += d * d
        s = f4(1) / np.sqrt(square / f4(n) + f4(eps))
        mean[i], scale[i] = m, s
        for j in range(n):
            y[i, j] = (x[i, j] - m) * s * weight[j] + bias[j]


@compiled
def _layer_norm_vjp(g, x, weight, mean, scale, gx, gw, gb):  # type: ignore[no-untyped-def]
    rows, n = x.shape
    expect(g.shape == x.shape == gx.shape and n == weight.size == gw.size == gb.size)
    expect(rows == mean.size == scale.size)
    for i in range(rows):
        m, s = mean[i], scale[i]
        along, total = f4(0), f4(0)
        for j in range(n):
            h = g[i, j] * weight[j]
            along += h * (x[i, j] - m)
            total += h
        a, b = along * s * s / f4(n), total / f4(n)
        for j in range(n):
            d = x[i, j] - m
            gx[i, j] = s * (g[i, j] * weight[j] - b - d * a)
            gw[j] += g[i, j] * d * s
            gb[j] += g[i, j]


def layer_norm(
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    axes: int = 1,
    eps: float = 1e-5,
) -> Any:
    n = x.shape[-1] if x.ndim else 0
    known = all(part is None or part.shape == (n,) for part in (weight, bias))
    if axes != 1 or not known or not fits(x, weight, bias) or x.size == 0:
        return numpy_kernels.layer_norm(x, weight, bias, axes, eps)
    y, rows = empty(x.shape, x.dtype), x.reshape(-1, n)
    mean, scale = empty((2, len(rows)), x.dtype)
    w = np.ones(n, x.dtype) if weight is None else weight
    b = np.zeros(n, x.dtype) if bias is None else bias
    _layer_norm(rows, w, b, eps, y.reshape(-1, n), mean, scale)
    return y, (rows, w, mean, scale, x.shape, "numba")


def layer_norm_vjp(g: Array, residuals: Any, needs: Needs) -> tuple[Array | None, ...]:
    if len(residuals) == 5:
        return numpy_kernels.layer_norm_vjp(g, residuals, needs)
    rows, weight, mean, scale, shape, _ = residuals
    gx = empty(shape, rows.dtype)
    gw, gb = sums = empty((2, len(weight)), rows.dtype)
    sums[...] = 0
    given = map(readable, (g.reshape(rows.shape), rows, weight, mean, scale))
    _layer_norm_vjp(*given, gx.reshape(rows.shape), gw, gb)
    return tuple([part if need else None for part, need in zip((gx, gw, gb), needs, strict=False)])


# -- attention: the softmax between its two products --------------------------------------------


@compiled
def _softmax_rows(x, scale, causal):  # type: ignore[no-untyped-def]
    """Replace each row of x (batch, queries, keys) by the softmax of scale · x; causal: of keys up
    to its own."""
    batch, queries, keys = x.shape
    expect(keys > 0)
    for b in range(batch):
        for i in range(queries):
            n = min(i + 1, keys) if causal else keys
            row = x[b, i]
            largest = row[0]
            for j in range(1, n):
                largest = row[j] if row[j] > largest else largest
            total = f4(0)
            for j in range(n):
                e = exp(f4(scale) * (row[j] - largest))
                row[j] = e
                total += e
            for j in range(n):  # times 1 / total, all would be wrong to the same side
                row[j] /= total
            nothing = f4(0) / total  # NaN in a row of NaN, as the rest of it
            for j in range(n, keys):
                row[j] = nothing


@compiled
def _softmax_rows_vjp(g, y, scale, causal):  # type: ignore[no-untyped-def]
    """Replace g by scale · y (g - Σ g y), row by row."""
    batch, queries, keys = y.shape
    expect(g.shape == y.shape)
    for b in range(batch):
        for i in range(queries):
            n = min(i + 1, keys) if causal else keys
            # relative to the g of a y near 1, if there is one: rounding would lose 1 - y
            origin, along = f4(0), f4(0)
            for j in range(n):
                origin += g[b, i, j] if y[b, i, j] > f4(0.5) else f4(0)
            for j in range(n):
                g[b, i, j] -= origin
                along += g[b, i, j] * y[b, i, j]
            for j in range(n, keys):  # of which y is 0: NaN and infinity are not lost
                along += g[b, i, j] * f4(0)
            for j in range(n):
                g[b, i, j] = f4(scale) * y[b, i, j] * (g[b, i, j] - along)
            for j in range(n, keys):
                g[b, i, j] = f4(0)


def attention(
    q: Array,
    k: Array,
    v: Array,
    mask: Array | None = None,
    *,
    is_causal: bool,
    scale: float,
    dropout_p: float = 0.0,
    **drawn: Any,
) -> Any:
    simple = (
        mask is None
        and scale > 0
        and q.dtype.char == "f"
        and q.ndim >= 2
        and 0 not in (*q.shape, *k.shape)
    )
    if not simple or not numpy_attention.meet(q, k, v):
        options: Any = {"is_causal": is_causal, "scale": scale, "dropout_p": dropout_p} | drawn
        return numpy_attention.attention(q, k, v, mask, dropout=numba_random.dropout, **options)
    weights = empty((*q.shape[:-1], k.shape[-2]), q.dtype)
    np.matmul(q, np.swapaxes(k, -1, -2), out=weights)
    _softmax_rows(weights.reshape(-1, *weights.shape[-2:]), scale, is_causal)
    dropout = numba_random.dropout
    used, dropped = dropout(weights, p=dropout_p, **drawn) if dropout_p else (weights, None)
    y = np.matmul(used, v, out=numpy_attention.by_heads((*q.shape[:-1], v.shape[-1]), q.dtype))
    return y, (q, k, v, weights, used, dropped, scale, is_causal)


def attention_vjp(
    g: Array, residuals: Any, needs: Needs, out: Any = None
) -> tuple[Array | None, ...]:
    if len(residuals) == 9:
        return numpy_attention.attention_vjp(g, residuals, needs, out)
    q, k, v, weights, used, dropped, scale, causal = residuals
    scores = np.matmul(g, np.swapaxes(v, -1, -2), out=empty(weights.shape, weights.dtype))
    if dropped is not None:
        (scores,) = numba_random.dropout_vjp(scores, dropped, (True,))
    flat = (-1, *weights.shape[-2:])
    _softmax_rows_vjp(scores.reshape(flat), readable(weights).reshape(flat), scale, causal)
    grads = *numpy_attention.products(g, q, k, v, used, scores, out), None
    return grads[: len(needs)]


def softmax(x: Array, dim: int) -> Any:
    if not fits(x) or x.size == 0 or dim not in (-1, x.ndim - 1):
        return numpy_softmax.softmax(x, dim)
    y = empty(x.shape, x.dtype)
    y[...] = x
    _softmax_rows(y.reshape(1, -1, y.shape[-1]), 1.0, False)
    return y, y


def softmax_vjp(g: Array, y: Array, needs: Needs) -> tuple[Array | None, ...]:
    if not fits(y):
        return numpy_softmax.softmax_vjp(g, y, needs)
    gx = empty(y.shape, y.dtype)
    gx[...] = g
    flat = (1, -1, y.shape[-1])
    _softmax_rows_vjp(gx.reshape(flat), y.reshape(flat), 1.0, False)
    return (gx,)


# -- adamw ------------------------------------------------------------------------------------


@compiled
def _adamw(p, g, m, v, new, one_less_beta1, beta2, one_less_beta2, eps, numbers):  # type: ignore[no-untyped-def]
    expect(p.size == g.size == m.size == v.size == new.size and numbers.size == 3)
    root, size, shrink = numbers[0], numbers[1], numbers[2]
    for i in range(p.size):
        m[i] += f4(one_less_beta1) * (g[i] - m[i])
        v[i] = f4(beta2) * v[i] + f4(one_less_beta2) * (g[i] * g[i])
        new[i] = f4(shrink) * p[i] - f4(size) * (m[i] / (np.sqrt(v[i]) * f4(root) + f4(eps)))


def adamw(
    params: list[Array],
    grads: list[Array],
    m: list[Array],
    v: list[Array],
    *,
    beta1: float,
    beta2: float,
    eps: float,
    advance: Callable[[], dict[str, Any]] | None = None,
    **options: Any,
) -> list[Array]:
    """One AdamW step: new parameters; m and v in place. As NumPy's also in a recorded step."""
    if not fits(*params, *grads, *m, *v):
        options |= {"beta1": beta1, "beta2": beta2, "eps": eps, "advance": advance}
        return numpy_kernels.adamw(params, grads, m, v, **options)
    capture: Any = capturing()
    if advance is None:
        numbers = np.asarray(numpy_kernels.adamw_numbers(beta1, beta2, **options))
        news = [empty(p.shape, p.dtype, lasting=True) for p in params]
    else:
        numbers = capture.numbers(3, lambda: numpy_kernels.adamw_numbers(beta1, beta2, **advance()))
        m, v, news = capture.seen(m), capture.seen(v), params
    for arrays in zip(params, grads, m, v, news, strict=True):
        flat = [x if x.ndim == 1 else x.reshape(-1) for x in arrays]
        _adamw(*flat, 1 - beta1, beta2, 1 - beta2, eps, numbers)
    return news


_attention = Kernel(attention, attention_vjp)
KERNELS: dict[str, Any] = {
    "adamw": adamw,
    "attention": _attention,
    "gelu": Kernel(gelu, gelu_vjp),
    "layer_norm": Kernel(layer_norm, layer_norm_vjp),
    "relu": Kernel(relu, relu_vjp),
    "self_attention": of_itself(_attention, empty),
    "softmax": Kernel(softmax, softmax_vjp),
}
