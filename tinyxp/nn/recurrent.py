"""Recurrent networks: RNN, LSTM and GRU; see ``functional`` for the formulas.

>>> lstm = tx.nn.LSTM(3, 4, num_layers=2, batch_first=True)
>>> output, (h, c) = lstm(tx.zeros((5, 7, 3)))  # (batch, time, input_size)
>>> output.shape, h.shape, c.shape
((5, 7, 4), (2, 5, 4), (2, 5, 4))
"""

import functools
import warnings
from typing import Any

from tinyxp.core.operation import expect_tensors
from tinyxp.core.tensor import Tensor
from tinyxp.errors import ArgumentError, DTypeError, ShapeError
from tinyxp.nn import functional as F
from tinyxp.nn.functional import recurrent
from tinyxp.nn.module import Module
from tinyxp.nn.parameter import Parameter
from tinyxp.nn.recurrent_cells import reset, zeros_at
from tinyxp.nn.utils.rnn import PackedSequence, sizes_of
from tinyxp.ops.creation import empty
from tinyxp.ops.gathering import take
from tinyxp.ops.parts import _split, _unstack
from tinyxp.ops.shaping import concat, expand_dims, permute_dims, squeeze, stack
from tinyxp.random import Generator

__all__ = ["GRU", "LSTM", "RNN", "RNNBase"]

GATES = {"RNN_TANH": 1, "RNN_RELU": 1, "LSTM": 4, "GRU": 3}


class RNNBase(Module):
    """The base of RNN, LSTM and GRU: layers of cells, in one or two directions, over sequences.

    The input is (time, batch, input_size), with ``batch_first`` (batch, time, input_size), without
    a batch (time, input_size), or a PackedSequence of different lengths. Each direction of layer k
    has ``weight_ih_l{k}``, ``weight_hh_l{k}``, ``bias_ih_l{k}``, ``bias_hh_l{k}``, and
    ``weight_hr_l{k}`` of an LSTM with ``proj_size``; those of the second direction end with
    ``_reverse``. They start from U(-b, b), b = 1/√hidden_size. Raises ShapeError, DTypeError,
    ArgumentError.
    """

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: str | None = None,
        dtype: Any = None,
        *,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        if mode not in GATES:
            raise ArgumentError(f"mode is one of {list(GATES)}, got {mode!r}")
        sizes = {"input_size": input_size, "hidden_size": hidden_size, "num_layers": num_layers}
        _expect_arguments(mode, sizes, proj_size, dropout, bias=bias, batch_first=batch_first)
        self.mode, self.input_size, self.hidden_size = mode, input_size, hidden_size
        self.num_layers, self.bias, self.batch_first = num_layers, bias, batch_first
        self.dropout, self.bidirectional = float(dropout), bidirectional
        self.proj_size, self.generator = proj_size, generator
        n, out = GATES[mode] * hidden_size, proj_size or hidden_size
        for layer in range(num_layers):
            width = out * (2 if bidirectional else 1) if layer else input_size
            shapes = [(n, width), (n, out), *[(n,)] * (2 * bias)]
            shapes += [(proj_size, hidden_size)] * bool(proj_size)
            for names in self._names(layer):
                for name, shape in zip(names, shapes, strict=True):
                    value = Parameter(empty(shape, device=device, dtype=dtype))
                    self.register_parameter(name, value)
        self.reset_parameters(generator)

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw new initial values."""
        reset(self, generator)

    def _names(self, layer: int) -> list[list[str]]:
        """The names of the parameters of one layer, for each direction."""
        kinds = ["weight_ih", "weight_hh"] + ["bias_ih", "bias_hh"] * self.bias
        kinds += ["weight_hr"] * bool(self.proj_size)
        ends = ["", "_reverse"] if self.bidirectional else [""]
        return [[f"{kind}_l{layer}{end}" for kind in kinds] for end in ends]

    @property
    def all_weights(self) -> list[list[Any]]:
        """The parameters of each layer and direction."""
        return [
            [getattr(self, name) for name in names]
            for layer in range(self.num_layers)
            for names in self._names(layer)
        ]

    def flatten_parameters(self) -> None:
        """Do nothing: PyTorch makes weights contiguous here for cuDNN."""

    def extra_repr(self) -> str:
        plain = {"proj_size": 0, "num_layers": 1, "bias": True, "batch_first": False}
        plain |= {"dropout": 0, "bidirectional": False}
        shown = [f", {k}={getattr(self, k)}" for k, v in plain.items() if getattr(self, k) != v]
        return f"{self.input_size}, {self.hidden_size}" + "".join(shown)

    # -- forward ------------------------------------------------------------------------------

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        """Return (output, the last hidden state of each layer and direction)."""
        if isinstance(input, PackedSequence):
            if input.data.ndim != 2:
                raise ShapeError(
                    f"{type(self).__name__} expects packed sequences (length, input_size), got "
                    f"data of shape {input.data.shape}"
                )
            sizes = tuple(sizes_of(input).tolist())
            hx = self._expect(input.data, hx, sizes[0])
            if input.sorted_indices is not None:
                hx = [take(h, input.sorted_indices, axis=1) for h in hx]
            y, hx = self._layers(input.data, hx, sizes)
            if input.unsorted_indices is not None:
                hx = [take(h, input.unsorted_indices, axis=1) for h in hx]
            return PackedSequence(y, *input[1:]), self._as_hidden(hx)
        expect_tensors(type(self).__name__, input)
        if input.ndim == 2:
            batched = self._expect(input, hx, None)
            y, hx = self._layers(expand_dims(input, axis=1), batched, None)
            return squeeze(y, axis=1), self._as_hidden([squeeze(h, axis=1) for h in hx])
        if input.ndim != 3:
            raise ShapeError(
                f"{type(self).__name__} expects an input of 2 axes (time, input_size) or 3, with "
                f"a batch, got shape {input.shape}"
            )
        x = permute_dims(input, (1, 0, 2)) if self.batch_first else input
        y, hx = self._layers(x, self._expect(x, hx, x.shape[1]), None)
        return (permute_dims(y, (1, 0, 2)) if self.batch_first else y), self._as_hidden(hx)

    def _as_hidden(self, states: list[Any]) -> Any:
        """Convert hidden states to the form of the public interface."""
        return tuple(states) if self.mode == "LSTM" else states[0]

    def _expect(self, x: Tensor, hx: Any, batch: int | None) -> list[Any]:
        """Check the hidden states (layers · directions, batch, hidden); for None return zeros."""
        name = type(self).__name__
        if x.shape[-1] != self.input_size:
            raise ShapeError(
                f"{name} expects input (..., input_size={self.input_size}), got shape {x.shape}"
            )
        if x.shape[0] == 0:
            raise ShapeError(f"{name} expects a sequence of 1 step or more, got shape {x.shape}")
        dtype = self.weight_ih_l0.dtype
        recurrent.expect_dtype(name, dtype, x)
        widths = [self.proj_size or self.hidden_size, self.hidden_size]
        rows = self.num_layers * (2 if self.bidirectional else 1)
        shapes: list[tuple[int, ...]] = [
            (rows, width) if batch is None else (rows, batch, width)
            for width in widths[: 2 if self.mode == "LSTM" else 1]
        ]
        if hx is None:
            states = [zeros_at(shape, x) for shape in shapes]
        else:
            states = list(recurrent.pair(name, hx)) if self.mode == "LSTM" else [hx]
        expect_tensors(name, *states)
        for h, shape in zip(states, shapes, strict=True):
            if h.shape != shape:
                raise ShapeError(
                    f"{name} expects a hidden state {shape} for this input, got {h.shape}"
                )
        recurrent.expect_dtype(name, dtype, *states)
        return [expand_dims(h, axis=1) for h in states] if batch is None else states

    def _layers(self, x: Any, states: list[Any], sizes: tuple[int, ...] | None) -> Any:
        """Apply all layers to x (time, batch, width), or packed with ``sizes`` (rows, width)."""
        starts = iter(zip(*(_unstack(h, axis=0) for h in states), strict=True))
        ends = []
        for layer in range(self.num_layers):
            if layer and self.dropout:
                x = F.dropout(x, self.dropout, self.training, generator=self.generator)
            directions: list[Any] = []
            for names in self._names(layer):
                w = {name.partition("_l")[0]: getattr(self, name) for name in names}
                a = F.linear(x, w["weight_ih"], w.get("bias_ih"))
                steps = _unstack(a, axis=0) if sizes is None else _split(a, sizes=sizes)
                reverse = len(directions) == 1
                step = functools.partial(recurrent.STEPS[self.mode], w)
                ys, end = recurrent.run(step, steps, next(starts), reverse)
                directions.append(stack(ys) if sizes is None else concat(ys))
                ends.append(end)
            x = concat(directions, axis=-1) if self.bidirectional else directions[0]
        return x, [stack(h) for h in zip(*ends, strict=True)]


def _expect_arguments(
    mode: str, sizes: dict[str, int], proj_size: int, dropout: float, **flags: bool
) -> None:
    for name, flag in flags.items():
        if not isinstance(flag, bool):
            raise DTypeError(f"{mode} expects {name} to be a bool, got {type(flag).__name__}")
    for name, size in sizes.items():
        if not isinstance(size, int):
            raise DTypeError(f"{mode} expects {name} to be an integer, got {type(size).__name__}")
        if size < 1:
            raise ArgumentError(f"{mode} expects {name} to be 1 or more, got {size}")
    if not 0 <= proj_size < sizes["hidden_size"] or (proj_size and mode != "LSTM"):
        raise ArgumentError(
            f"proj_size is for LSTM, from 0 (none) to hidden_size - 1; got {proj_size} for {mode} "
            f"with hidden_size={sizes['hidden_size']}"
        )
    if isinstance(dropout, bool) or not isinstance(dropout, (int, float)) or not 0 <= dropout <= 1:
        raise ArgumentError(f"a dropout probability lies in [0, 1], got {dropout!r}")
    if dropout and sizes["num_layers"] == 1:
        warnings.warn(
            f"dropout={dropout} applies between layers, but there is only one; use num_layers > 1",
            stacklevel=6,  # the line that makes an RNN, LSTM or GRU
        )


class RNN(RNNBase):
    """hₜ = tanh(W_ih xₜ + b_ih + W_hh hₜ₋₁ + b_hh), or relu; see ``functional.rnn_tanh_cell``.

    ``forward(input, h_0=None)`` returns (output, h_n).

    >>> output, h = tx.nn.RNN(3, 4)(tx.zeros((7, 5, 3)))  # (time, batch, input_size)
    >>> output.shape, h.shape
    ((7, 5, 4), (1, 5, 4))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        *args: Any,
        **kwargs: Any,
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ArgumentError(f"RNN: nonlinearity is 'tanh' or 'relu', got {nonlinearity!r}")
        mode = f"RNN_{nonlinearity.upper()}"
        super().__init__(mode, input_size, hidden_size, num_layers, *args, **kwargs)
        self.nonlinearity = nonlinearity


class LSTM(RNNBase):
    """Long short-term memory; see ``functional.lstm_cell`` for a step.

    With ``proj_size`` P, hₜ is W_hr (σ(o) tanh cₜ), of width P (Sak et al. 2014).
    ``forward(input, (h_0, c_0)=None)`` returns (output, (h_n, c_n)).

    >>> output, (h, c) = tx.nn.LSTM(3, 4, proj_size=2)(tx.zeros((7, 5, 3)))
    >>> output.shape, h.shape, c.shape
    ((7, 5, 2), (1, 5, 2), (1, 5, 4))
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__("LSTM", *args, **kwargs)


class GRU(RNNBase):
    """Gated recurrent units; see ``functional.gru_cell`` for a step.

    ``forward(input, h_0=None)`` returns (output, h_n).

    >>> output, h = tx.nn.GRU(3, 4, bidirectional=True)(tx.zeros((7, 3)))  # without a batch
    >>> output.shape, h.shape
    ((7, 8), (2, 4))
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__("GRU", *args, **kwargs)
