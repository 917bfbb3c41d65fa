"""Positional encodings: attention ignores order, so a vector for each position is added."""

from typing import Any

import numpy as np

from tinyxp.core.tensor import Tensor
from tinyxp.errors import ShapeError
from tinyxp.nn import init
from tinyxp.nn.dropouts import Dropout
from tinyxp.nn.module import Module
from tinyxp.nn.parameter import Parameter
from tinyxp.ops.creation import asarray, empty
from tinyxp.random import Generator

__all__ = ["SinusoidalPositionalEncoding", "LearnedPositionalEncoding"]


def _first(table: Tensor, x: Tensor) -> Tensor:
    """Return the first rows of the table, for x (..., time, d_model)."""
    longest, width = table.shape
    if x.ndim < 2 or x.shape[-1] != width or x.shape[-2] > longest:
        raise ShapeError(
            f"positional encoding expects (..., time <= {longest}, {width}), got {x.shape}"
        )
    return table[: x.shape[-2]]


class SinusoidalPositionalEncoding(Module):
    """y = dropout(x + P), P[t, 2i] = sin(t / 10000^(2i/d)), P[t, 2i+1] = cos(t / 10000^(2i/d)).

    Shapes: (..., time, d_model) -> the same. The table is a buffer outside of the state
    dict. Raises ShapeError past ``max_len``. Source: Vaswani et al. 2017, sec. 3.5.

    >>> tx.nn.SinusoidalPositionalEncoding(4)(tx.zeros((1, 4)))
    tensor([[0., 1., 0., 1.]])
    """

    def __init__(
        self,
        d_model: int,
        dropout: float = 0.0,
        max_len: int = 5000,
        *,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        angles = np.arange(max_len)[:, None] / 10000.0 ** (np.arange(0, d_model, 2) / d_model)
        table = np.empty((max_len, d_model))
        table[:, 0::2] = np.sin(angles)
        table[:, 1::2] = np.cos(angles[:, : d_model // 2])
        values = asarray(table, dtype=dtype or "float32", device=device)
        self.register_buffer("pe", values, persistent=False)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Any:
        return self.dropout(x + _first(self.pe, x))


class LearnedPositionalEncoding(Module):
    """y = x + weight[:time], the weight (max_len, d_model) learned from N(0, 0.02²), as in GPT-2.

    Shapes: (..., time, d_model) -> the same. Raises ShapeError past ``max_len``.

    >>> tx.nn.LearnedPositionalEncoding(8, 4)(tx.zeros((2, 3, 4))).shape
    (2, 3, 4)
    """

    def __init__(
        self,
        max_len: int,
        d_model: int,
        *,
        device: str | None = None,
        dtype: Any = None,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        self.weight = Parameter(empty((max_len, d_model), device=device, dtype=dtype))
        self.reset_parameters(generator)

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw new initial values."""
        init.normal_(self.weight, std=0.02, generator=generator)

    def forward(self, x: Tensor) -> Any:
        return x + _first(self.weight, x)
