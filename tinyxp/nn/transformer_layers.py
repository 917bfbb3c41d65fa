"""The layers of a transformer: residual blocks of attention and of a two-layer perceptron."""

from collections.abc import Callable
from typing import Any

from tinyxp.core.tensor import Tensor
from tinyxp.errors import ArgumentError
from tinyxp.nn import functional as F
from tinyxp.nn.attention import MultiheadAttention
from tinyxp.nn.dropouts import Dropout
from tinyxp.nn.linear_layers import Linear
from tinyxp.nn.module import Module
from tinyxp.nn.normalization import LayerNorm
from tinyxp.random import Generator

__all__ = ["TransformerDecoderLayer", "TransformerEncoderLayer"]

Activation = Callable[[Tensor], Any]


def _activation(name: str | Activation) -> Activation:
    if callable(name):
        return name
    known: dict[str, Activation] = {"relu": F.relu, "gelu": F.gelu}
    if name not in known:
        raise ArgumentError(f"activation is 'relu', 'gelu' or a function, got {name!r}")
    return known[name]


def _attend(attention: Module, x: Tensor, memory: Tensor, masks: Any, is_causal: bool) -> Any:
    """The attention of x to the positions of ``memory``, without the weights."""
    names = ("attn_mask", "key_padding_mask")
    options = dict(zip(names, masks, strict=True), is_causal=is_causal, need_weights=False)
    return attention(x, memory, memory, **options)[0]


class _Layer(Module):
    """Residual blocks, each with a norm: one or two of attention, and a perceptron."""

    attentions: tuple[str, ...]  # the names of the attention sublayers

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
        for name in self.attentions:
            attention = MultiheadAttention(
                d_model, nhead, dropout, bias, batch_first=batch_first, **place, **random
            )
            setattr(self, name, attention)
        self.linear1 = Linear(d_model, dim_feedforward, bias, **place, **random)
        self.dropout = Dropout(dropout, **random)
        self.linear2 = Linear(dim_feedforward, d_model, bias, **place, **random)
        self.norm_first = norm_first
        sublayers = range(1, len(self.attentions) + 2)
        for i in sublayers:
            setattr(self, f"norm{i}", LayerNorm(d_model, layer_norm_eps, bias=bias, **place))
        for i in sublayers:
            setattr(self, f"dropout{i}", Dropout(dropout, **random))
        self.activation = _activation(activation)

    def _residual(self, norm: Module, x: Any, sublayer: Callable[[Any], Any]) -> Any:
        return x + sublayer(norm(x)) if self.norm_first else norm(x + sublayer(x))

    def _sa_block(
        self,
        x: Tensor,
        attn_mask: Tensor | None,
        key_padding_mask: Tensor | None,
        is_causal: bool = False,
    ) -> Any:
        masks = attn_mask, key_padding_mask
        return self.dropout1(_attend(self.self_attn, x, x, masks, is_causal))

    def _ff_block(self, x: Tensor) -> Any:
        x = self.linear2(self.dropout(self.activation(self.linear1(x))))
        return getattr(self, f"dropout{len(self.attentions) + 1}")(x)


class TransformerEncoderLayer(_Layer):
    """x = norm₁(x + attention(x)); x = norm₂(x + W₂ f(W₁ x + b₁) + b₂).

    With ``norm_first``: x + attention(norm₁(x)), then x + …(norm₂(x)), which trains more stably
    (Xiong et al. 2020). Dropout follows the attention weights, both sublayers and the activation f.
    Shapes: (N, T, d_model) with ``batch_first``, else (T, N, d_model), or (T, d_model) -> the same.
    Source: Vaswani et al. 2017, sec. 3.1.

    >>> layer = tx.nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
    >>> layer(tx.zeros((5, 3, 4)), is_causal=True).shape
    (5, 3, 4)
    """

    attentions = ("self_attn",)

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Any:
        """Masks as in ``MultiheadAttention``; ``is_causal`` does not need a mask."""

        def attend(x: Tensor) -> Any:
            return self._sa_block(x, src_mask, src_key_padding_mask, is_causal)

        x = self._residual(self.norm1, src, attend)
        return self._residual(self.norm2, x, self._ff_block)


class TransformerDecoderLayer(_Layer):
    """x = norm₁(x + attention(x)); x = norm₂(x + attention(x, memory)); x = norm₃(x + W₂ f(W₁ x)).

    In the second, keys and values come from the encoder's output, ``memory``. The rest is as in
    ``TransformerEncoderLayer``. Source: Vaswani et al. 2017, sec. 3.1.

    >>> layer = tx.nn.TransformerDecoderLayer(4, 2, 8, batch_first=True)
    >>> layer(tx.zeros((5, 3, 4)), tx.zeros((5, 7, 4)), tgt_is_causal=True).shape
    (5, 3, 4)
    """

    attentions = ("self_attn", "multihead_attn")

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Any:
        """Masks as in ``MultiheadAttention``; ``tgt_is_causal`` does not need a mask."""

        def attend(x: Tensor) -> Any:
            return self._sa_block(x, tgt_mask, tgt_key_padding_mask, tgt_is_causal)

        def attend_to_memory(x: Tensor) -> Any:
            return self._mha_block(
                x, memory, memory_mask, memory_key_padding_mask, memory_is_causal
            )

        x = self._residual(self.norm1, tgt, attend)
        x = self._residual(self.norm2, x, attend_to_memory)
        return self._residual(self.norm3, x, self._ff_block)

    def _mha_block(
        self,
        x: Tensor,
        mem: Tensor,
        attn_mask: Tensor | None,
        key_padding_mask: Tensor | None,
        is_causal: bool = False,
    ) -> Any:
        masks = attn_mask, key_padding_mask
        return self.dropout2(_attend(self.multihead_attn, x, mem, masks, is_causal))
