"""The functions of PyTorch that recurrent cells are compared with, by name."""

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is the reference: pip install torch")


def _weights(a, w_hh, b_hh):
    """The weights of a cell without input weights: the identity and no bias."""
    return (
        torch.eye(len(w_hh), dtype=a.dtype),
        w_hh,
        torch.zeros(len(w_hh), dtype=a.dtype),
        torch.zeros(len(w_hh), dtype=a.dtype) if b_hh is None else b_hh,
    )


def _rows(*xs):
    """Operands without a batch as a batch of one."""
    return [x if x.ndim == 2 else x[None] for x in xs]


def rnn_step(a, h, w_hh, b_hh=None, nonlinearity="tanh"):
    cell = torch.rnn_tanh_cell if nonlinearity == "tanh" else torch.rnn_relu_cell
    return cell(*_rows(a, h), *_weights(a, w_hh, b_hh)).reshape(h.shape)


def lstm_step(a, h, c, w_hh, b_hh=None, w_hr=None):
    if w_hr is None:
        y, d = torch.lstm_cell(a, (h, c), *_weights(a, w_hh, b_hh))
        return y, d
    # with a projection there is no cell, but a sequence of one step
    rows, last = _rows(a, h, c), [w_hr]
    y, _, d = torch.lstm(
        rows[0][None],
        (rows[1][None], rows[2][None]),
        [*_weights(a, w_hh, b_hh), *last],
        True,
        1,
        0.0,
        False,
        False,
        False,
    )
    return y.reshape(h.shape), d.reshape(c.shape)


def gru_step(a, h, w_hh, b_hh=None):
    return torch.gru_cell(a, h, *_weights(a, w_hh, b_hh))


REFERENCE = {
    "gru_step": gru_step,
    "lstm_step": lstm_step,
    "rnn_step": rnn_step,
    "split": lambda x, sizes, axis=0: torch.split(x, sizes, axis),
}
