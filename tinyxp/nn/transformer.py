"""The transformer's encoder: blocks of self-attention and a two-layer perceptron.

With ``is_causal`` or a mask the same block is the decoder of a language model.
"""

import copy
from collections.abc import Callable
from typing import Any

from tinyxp.backends.errors import ArgumentError
from tinyxp.core import Tensor
from tinyxp.nn import functional as F
from tinyxp.nn.affine import Linear
from tinyxp.nn.attention import MultiheadAttention
from tinyxp.nn.containers import ModuleList
from tinyxp.nn.dropouts import Dropout
from tinyxp.nn.module import Module
from tinyxp.nn.norms import LayerNorm
from tinyxp.random import Generator

__all__ = ["TransformerEncoderLayer", "TransformerEncoder"]

Activation = Callable[[Tensor], Tensor]


def _activation(name: str | Activation) -> Activation:
    if callable(name):
        return name
    known: dict[str, Activation] = {"relu": F.relu, "gelu": F.gelu}
    if name not in known:
        raise ArgumentError(f"activation is 'relu', 'gelu' or a function, got {name!r}")
    return known[name]


class TransformerEncoderLayer(Module):
    """x = norm₁(x + attention(x)); x = norm₂(x + W₂ f(W₁ x + b₁) + b₂).

    ``norm_first``: x + attention(norm₁(x)), then x + …(norm₂(x)), which trains more stably (Xiong
    et al. 2020). Dropout follows the attention weights, both sublayers and the activation f.
    Shapes: (N, T, d_model) with ``batch_first``, else (T, N, d_model), or (T, d_model) -> the same.
    Source: Vaswani et al. 2017, sec. 3.1.

    >>> layer = tx.nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
    >>> layer(tx.zeros((5, 3, 4)), is_causal=True).shape
    (5, 3, 4)
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Activation = F.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: str | None = None,
        dtype: Any = None,
        *,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        place: dict[str, Any] = {"device": device, "dtype": dtype}
        random: dict[str, Any] = {"generator": generator}
        self.self_attn = MultiheadAttention(
            d_model, nhead, dropout, bias, batch_first=batch_first, **place, **random
        )
        self.linear1 = Linear(d_model, dim_feedforward, bias, **place, **random)
        self.dropout = Dropout(dropout, **random)
        self.linear2 = Linear(dim_feedforward, d_model, bias, **place, **random)
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias, **place)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias, **place)
        self.dropout1 = Dropout(dropout, **random)
        self.dropout2 = Dropout(dropout, **random)
        self.norm_first = norm_first
        self.activation = _activation(activation)

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Any:
        """Masks as in ``MultiheadAttention``; ``is_causal`` needs none."""

        def attend(x: Tensor) -> Any:
            y, _ = self.self_attn(x, x, x, src_key_padding_mask, False, src_mask, True, is_causal)
            return self.dropout1(y)

        def feed_forward(x: Tensor) -> Any:
            hidden = self.dropout(self.activation(self.linear1(x)))
            return self.dropout2(self.linear2(hidden))

        x: Any = src
        if self.norm_first:
            x = x + attend(self.norm1(x))
            return x + feed_forward(self.norm2(x))
        x = self.norm1(x + attend(x))
        return self.norm2(x + feed_forward(x))


class TransformerEncoder(Module):
    """``num_layers`` copies of a layer, one after the other, and a last ``norm`` if given.

    As in PyTorch the copies start from the same values.

    >>> layer = tx.nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
    >>> tx.nn.TransformerEncoder(layer, 2)(tx.zeros((5, 3, 4))).shape
    (5, 3, 4)
    """

    def __init__(self, encoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__()
        # one source of random numbers for all: with copies each layer would drop the same places
        found = [getattr(module, "generator", None) for module in encoder_layer.modules()]
        shared = {id(generator): generator for generator in found if generator is not None}
        self.layers = ModuleList(
            copy.deepcopy(encoder_layer, dict(shared)) for _ in range(num_layers)
        )
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Any:
        """Masks as in ``MultiheadAttention``; ``is_causal`` needs none."""
        for layer in self.layers:
            src = layer(src, mask, src_key_padding_mask, is_causal)
        return src if self.norm is None else self.norm(src)
