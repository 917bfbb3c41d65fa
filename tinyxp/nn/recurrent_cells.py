"""Cells: one step of an RNN, LSTM or GRU; see ``functional`` for the formulas."""

import math
from dataclasses import KW_ONLY, InitVar
from typing import Any, ClassVar

from tinyxp import backends
from tinyxp.core.operation import expect_tensors
from tinyxp.core.tensor import Tensor
from tinyxp.errors import ArgumentError
from tinyxp.nn import functional as F
from tinyxp.nn import init
from tinyxp.nn.fields import FieldModule
from tinyxp.nn.parameter import register_empty
from tinyxp.ops.creation import zeros
from tinyxp.random import Generator

__all__ = ["GRUCell", "LSTMCell", "RNNCell", "RNNCellBase"]


def zeros_at(shape: tuple[int, ...], x: Tensor) -> Any:
    """Return zeros on the backend and device of x, with its dtype."""
    with backends.using(x.backend):
        return zeros(shape, dtype=x.dtype, device=x.device)


def reset(module: Any, generator: Generator | None) -> None:
    bound = 1 / math.sqrt(module.hidden_size) if module.hidden_size else 0.0
    for parameter in module.parameters():
        init.uniform_(parameter, -bound, bound, generator)


class RNNCellBase(FieldModule):
    """The base of cells: weight_ih, weight_hh, bias_ih, bias_hh, from U(-b, b), b = 1/√H."""

    input_size: int
    hidden_size: int
    bias: bool
    num_chunks: InitVar[int]
    device: InitVar[str | None] = None
    dtype: InitVar[Any] = None
    _: KW_ONLY
    generator: InitVar[Generator | None] = None

    def __post_init__(
        self, num_chunks: int, device: str | None, dtype: Any, generator: Generator | None
    ) -> None:
        n = num_chunks * self.hidden_size
        bias = (n,) if self.bias else None
        shapes = {"weight_ih": (n, self.input_size), "weight_hh": (n, self.hidden_size)}
        register_empty(self, shapes | {"bias_ih": bias, "bias_hh": bias}, device, dtype)
        self.reset_parameters(generator)

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw new initial values."""
        reset(self, generator)

    def _weights(self) -> tuple[Any, ...]:
        return self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh

    def _start(self, input: Tensor) -> Any:
        """The hidden state where none is passed: zeros."""
        expect_tensors(type(self).__name__, input)
        return zeros_at((*input.shape[:-1], self.hidden_size), input)

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


class RNNCell(RNNCellBase):
    """One step of an RNN: see ``functional.rnn_tanh_cell``, ``functional.rnn_relu_cell``.

    >>> tx.nn.RNNCell(3, 4)(tx.zeros((5, 3))).shape
    (5, 4)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: str | None = None,
        dtype: Any = None,
        *,
        generator: Generator | None = None,
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ArgumentError(f"RNNCell: nonlinearity is 'tanh' or 'relu', got {nonlinearity!r}")
        super().__init__(input_size, hidden_size, bias, 1, device, dtype, generator=generator)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Any:
        cell = F.rnn_tanh_cell if self.nonlinearity == "tanh" else F.rnn_relu_cell
        return cell(input, self._start(input) if hx is None else hx, *self._weights())

    def extra_repr(self) -> str:
        rest = "" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity}"
        return super().extra_repr() + rest


class _GatedCell(RNNCellBase):
    gates: ClassVar[int]

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: str | None = None,
        dtype: Any = None,
        *,
        generator: Generator | None = None,
    ) -> None:
        sizes = input_size, hidden_size, bias, self.gates
        super().__init__(*sizes, device, dtype, generator=generator)


class LSTMCell(_GatedCell):
    """One step of an LSTM: see ``functional.lstm_cell``. Takes x and (h, c), returns (h', c').

    >>> h, c = tx.nn.LSTMCell(3, 4)(tx.zeros((5, 3)))
    >>> h.shape, c.shape
    ((5, 4), (5, 4))
    """

    gates = 4

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> Any:
        start = (self._start(input),) * 2 if hx is None else hx
        return F.lstm_cell(input, start, *self._weights())


class GRUCell(_GatedCell):
    """One step of a GRU: see ``functional.gru_cell``.

    >>> tx.nn.GRUCell(3, 4)(tx.zeros((5, 3))).shape
    (5, 4)
    """

    gates = 3

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Any:
        return F.gru_cell(input, self._start(input) if hx is None else hx, *self._weights())
