"""Recurrent cells: one step in time, and a whole sequence of them."""

import functools
from typing import Any

from tinyxp.core.composite import composite
from tinyxp.core.operation import expect_tensors
from tinyxp.errors import DTypeError, ShapeError
from tinyxp.nn.functional.activations import sigmoid
from tinyxp.nn.functional.linear_layers import linear
from tinyxp.nn.functional.piecewise_activations import relu
from tinyxp.ops.examples import normal
from tinyxp.ops.parts import _split, _unstack
from tinyxp.ops.shaping import concat, reshape
from tinyxp.ops.trigonometric import tanh

__all__ = ["gru_cell", "lstm_cell", "rnn_relu_cell", "rnn_tanh_cell"]


# -- one step, after the product of input and weights, which is computed for all times at once --


@composite(real=True, narrow=True, autocast="lower")
def _rnn_step(a, h, w_hh, b_hh=None, /, nonlinearity="tanh"):
    return (tanh if nonlinearity == "tanh" else relu)(a + linear(h, w_hh, b_hh))


_rnn_step.example(normal((2, 3), (2, 3), (3, 3)))
_rnn_step.example(normal((2, 3), (2, 3), (3, 3), (3,), nonlinearity="relu"))


@composite(real=True, narrow=True, autocast="lower")
def _lstm_step(a, h, c, w_hh, b_hh=None, w_hr=None, /):
    i, f, g, o = _gates(a + linear(h, w_hh, b_hh), 4)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    h = sigmoid(o) * tanh(c)
    return (h if w_hr is None else linear(h, w_hr)), c


_lstm_step.example(normal((2, 8), (2, 2), (2, 2), (8, 2), (8,)))
_lstm_step.example(normal((12,), (2,), (3,), (12, 2), None, (2, 3)))


@composite(real=True, narrow=True, autocast="lower")
def _gru_step(a, h, w_hh, b_hh=None, /):
    (r, z, n), (hr, hz, hn) = _gates(a, 3), _gates(linear(h, w_hh, b_hh), 3)
    z = sigmoid(z + hz)
    n = tanh(n + sigmoid(r + hr) * hn)
    return n + z * (h - n)


_gru_step.example(normal((2, 6), (2, 2), (6, 2), (6,)))


def _gates(x, n):
    """(..., n · H) as n tensors (..., H)."""
    return _unstack(reshape(x, (*x.shape[:-1], n, x.shape[-1] // n)), axis=-2)


def _rnn(w, x, h, nonlinearity="tanh"):
    return (_rnn_step(x, h, w["weight_hh"], w.get("bias_hh"), nonlinearity=nonlinearity),)


# (weights by name, x, *state) -> state, for each mode of RNNBase
STEPS: dict[str, Any] = {
    "RNN_TANH": _rnn,
    "RNN_RELU": functools.partial(_rnn, nonlinearity="relu"),
    "LSTM": lambda w, x, h, c: _lstm_step(
        x, h, c, w["weight_hh"], w.get("bias_hh"), w.get("weight_hr")
    ),
    "GRU": lambda w, x, h: (_gru_step(x, h, w["weight_hh"], w.get("bias_hh")),),
}


# -- cells ------------------------------------------------------------------------------------


def rnn_tanh_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh).

    Shapes: input (N, I) and hx (N, H), or (I) and (H); w_ih (H, I), w_hh (H, H), biases (H) ->
    (N, H) or (H). Raises ShapeError, DTypeError. Source: Elman 1990.

    >>> w_ih, w_hh = tx.ones((1, 2)), tx.ones((1, 1))
    >>> tx.nn.functional.rnn_tanh_cell(tx.ones(2), tx.zeros(1), w_ih, w_hh)
    tensor([0.9640276])
    """
    _expect_cell("rnn_tanh_cell", 1, input, [hx], w_ih, w_hh)
    return _rnn_step(linear(input, w_ih, b_ih), hx, w_hh, b_hh)


def rnn_relu_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """h' = max(W_ih x + b_ih + W_hh h + b_hh, 0); the rest as in ``rnn_tanh_cell``.

    >>> w_ih, w_hh = tx.ones((1, 2)), tx.ones((1, 1))
    >>> tx.nn.functional.rnn_relu_cell(tx.ones(2), tx.zeros(1), w_ih, w_hh)
    tensor([2.])
    """
    _expect_cell("rnn_relu_cell", 1, input, [hx], w_ih, w_hh)
    return _rnn_step(linear(input, w_ih, b_ih), hx, w_hh, b_hh, nonlinearity="relu")


def lstm_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """c' = σ(f) c + σ(i) tanh(g), h' = σ(o) tanh(c'), where i, f, g, o are the four parts of
    W_ih x + b_ih + W_hh h + b_hh.

    Shapes: input (N, I), hx a pair (h, c) of (N, H), or all without N; w_ih (4 H, I),
    w_hh (4 H, H), biases (4 H) -> (h', c'). Raises ShapeError, DTypeError.
    Source: Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000.

    >>> hx, w_ih, w_hh = (tx.zeros(1), tx.ones(1)), tx.zeros((4, 2)), tx.zeros((4, 1))
    >>> h, c = tx.nn.functional.lstm_cell(tx.ones(2), hx, w_ih, w_hh)
    >>> c
    tensor([0.5])
    """
    h, c = pair("lstm_cell", hx)
    _expect_cell("lstm_cell", 4, input, [h, c], w_ih, w_hh)
    return _lstm_step(linear(input, w_ih, b_ih), h, c, w_hh, b_hh)


def gru_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """h' = (1 - z) n + z h, with r = σ(aᵣ + bᵣ), z = σ(a_z + b_z), n = tanh(aₙ + r bₙ), where
    a = W_ih x + b_ih and b = W_hh h + b_hh have three parts each.

    Shapes: input (N, I) and hx (N, H), or (I) and (H); w_ih (3 H, I), w_hh (3 H, H), biases
    (3 H) -> (N, H) or (H). Raises ShapeError, DTypeError.
    Source: Cho et al. 2014, with the reset gate after the product, as in PyTorch and cuDNN.

    >>> tx.nn.functional.gru_cell(tx.ones(2), tx.ones(1), tx.zeros((3, 2)), tx.zeros((3, 1)))
    tensor([0.5])
    """
    _expect_cell("gru_cell", 3, input, [hx], w_ih, w_hh)
    return _gru_step(linear(input, w_ih, b_ih), hx, w_hh, b_hh)


def pair(name, hx):
    """Return the pair (h, c). Raises DTypeError for anything else."""
    if not isinstance(hx, (tuple, list)) or len(hx) != 2:
        raise DTypeError(f"{name} expects the pair (h, c), got {type(hx).__name__}")
    return hx


def _expect_cell(name, gates, input, states, w_ih, w_hh):
    expect_tensors(name, input, *states, w_ih, w_hh)
    if w_ih.ndim != 2 or w_hh.shape != (w_ih.shape[0], w_ih.shape[0] // gates):
        n = "" if gates == 1 else f"{gates} "
        raise ShapeError(
            f"{name} expects w_ih ({n}H, I) and w_hh ({n}H, H), got {w_ih.shape} and {w_hh.shape}"
        )
    if input.ndim not in (1, 2) or input.shape[-1] != w_ih.shape[1]:
        n = w_ih.shape[1]
        raise ShapeError(f"{name} expects input (N, {n}) or ({n}), got {input.shape}")
    expected = (*input.shape[:-1], w_hh.shape[1])
    for h in states:
        if h.shape != expected:
            raise ShapeError(
                f"{name} expects a hidden state {expected} for input {input.shape}, got {h.shape}"
            )
    expect_dtype(name, w_ih.dtype, input, *states)


def expect_dtype(name, dtype, *tensors):
    """Raise DTypeError unless all tensors have the dtype of the weights."""
    for x in tensors:
        if x.dtype is not dtype:
            raise DTypeError(
                f"{name}: input or hidden state of dtype {x.dtype!r}, weights of {dtype!r}; "
                f"convert one: tx.astype(x, {dtype!r}), or model.to(dtype={x.dtype!r})"
            )


# -- sequences --------------------------------------------------------------------------------


def run(step, inputs, state, reverse=False):
    """Step through time: ``state = step(x, *state)`` for each x of ``inputs``.

    These are (N₀, G), (N₁, G), …, with N₀ ≥ N₁ ≥ …: the sequences are sorted by length, and the
    short ones end first. ``state`` is a tuple of (N₀, H). Returns state[0] after each step, in the
    order of the inputs, and the last state of each sequence.
    """
    return _backward(step, inputs, state) if reverse else _forward(step, inputs, state)


def _forward(step, inputs, state):
    outputs, ended = [], []
    for x in inputs:
        n, before = x.shape[0], state[0].shape[0]
        if n < before:  # some sequences have ended
            parts = [_split(s, sizes=(n, before - n)) for s in state]
            state = tuple(going for going, _ in parts)
            ended.append(tuple(over for _, over in parts))
        state = step(x, *state)
        outputs.append(state[0])
    if ended:
        every = [state, *reversed(ended)]
        state = tuple(concat(parts) for parts in zip(*every, strict=True))
    return outputs, state


def _backward(step, inputs, state):
    sizes = [x.shape[0] for x in reversed(inputs)]
    more = [n - before for before, n in zip([0, *sizes], sizes, strict=False)]
    counts = tuple(n for n in more if n) or (0,)
    waiting = zip(*(_split(s, sizes=counts) for s in state), strict=True)
    state, outputs = next(waiting), []
    for x in reversed(inputs):
        if x.shape[0] > state[0].shape[0]:  # these sequences begin with their last element
            state = tuple(concat(parts) for parts in zip(state, next(waiting), strict=True))
        state = step(x, *state)
        outputs.append(state[0])
    return outputs[::-1], state
