"""The transformer: an encoder and a decoder, each a stack of layers.

With ``is_causal`` or a mask, the encoder alone is the network of a language model.
"""

import copy
import math
from typing import Any

from tinyxp.core.operation import expect_tensors
from tinyxp.core.tensor import Tensor
from tinyxp.errors import ShapeError
from tinyxp.nn import functional as F
from tinyxp.nn import init
from tinyxp.nn.containers import ModuleList
from tinyxp.nn.module import Module
from tinyxp.nn.normalization import LayerNorm
from tinyxp.nn.transformer_layers import (
    Activation,
    TransformerDecoderLayer,
    TransformerEncoderLayer,
)
from tinyxp.ops.creation import full
from tinyxp.ops.padding import triu
from tinyxp.random import Generator

__all__ = ["Transformer", "TransformerDecoder", "TransformerEncoder"]


def _copies(layer: Module, n: int) -> ModuleList:
    # the layers share one generator: with copies, all would drop the same elements
    found = [getattr(module, "generator", None) for module in layer.modules()]
    shared = {id(generator): generator for generator in found if generator is not None}
    return ModuleList(copy.deepcopy(layer, dict(shared)) for _ in range(n))


class TransformerEncoder(Module):
    """``num_layers`` copies of a layer, one after the other, and an optional final ``norm``.

    As in PyTorch, the copies start from the same values. ``enable_nested_tensor`` and
    ``mask_check`` have no effect: in PyTorch they choose an implementation. (With its nested
    tensors, in evaluation without gradients, padded positions are zeros.)

    >>> layer = tx.nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
    >>> tx.nn.TransformerEncoder(layer, 2)(tx.zeros((5, 3, 4))).shape
    (5, 3, 4)
    """

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        super().__init__()
        self.layers = _copies(encoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = norm
        self.enable_nested_tensor, self.mask_check = enable_nested_tensor, mask_check

    def forward(
        self,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool | None = None,
    ) -> Any:
        """Masks as in ``MultiheadAttention``; ``is_causal`` does not need a mask.

        With None only the mask applies; its values are not examined to detect a causal one.
        """
        for layer in self.layers:
            src = layer(
                src,
                src_mask=mask,
                is_causal=bool(is_causal),
                src_key_padding_mask=src_key_padding_mask,
            )
        return src if self.norm is None else self.norm(src)


class TransformerDecoder(Module):
    """``num_layers`` copies of a decoder layer, and an optional final ``norm``.

    >>> layer = tx.nn.TransformerDecoderLayer(4, 2, 8, batch_first=True)
    >>> tx.nn.TransformerDecoder(layer, 2)(tx.zeros((5, 3, 4)), tx.zeros((5, 7, 4))).shape
    (5, 3, 4)
    """

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__()
        self.layers = _copies(decoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Any:
        """Masks as in ``MultiheadAttention``; with ``tgt_is_causal=None`` only the mask applies."""
        for layer in self.layers:
            tgt = layer(
                tgt,
                memory,
                tgt_mask=tgt_mask,
                memory_mask=memory_mask,
                tgt_key_padding_mask=tgt_key_padding_mask,
                memory_key_padding_mask=memory_key_padding_mask,
                tgt_is_causal=bool(tgt_is_causal),
                memory_is_causal=memory_is_causal,
            )
        return tgt if self.norm is None else self.norm(tgt)


class Transformer(Module):
    """y = decoder(tgt, encoder(src)), both with a final norm.

    Weights start from Xavier's uniform distribution. Shapes: src (N, S, d_model), tgt
    (N, T, d_model) with ``batch_first``, else time first, or without N -> the shape of tgt.
    ``custom_encoder`` and ``custom_decoder`` replace the stacks. Embeddings and the projection to
    logits are not included. Raises ShapeError. Source: Vaswani et al. 2017, fig. 1.

    >>> model = tx.nn.Transformer(4, 2, 1, 1, 8, batch_first=True)
    >>> model(tx.zeros((5, 7, 4)), tx.zeros((5, 3, 4)), tgt_is_causal=True).shape
    (5, 3, 4)
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Activation = F.relu,
        custom_encoder: Any = None,
        custom_decoder: Any = None,
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
        sizes = d_model, nhead, dim_feedforward, dropout, activation
        options: dict[str, Any] = {"norm_first": norm_first, "bias": bias, "generator": generator}
        options |= {"layer_norm_eps": layer_norm_eps, "batch_first": batch_first} | place
        if custom_encoder is None:
            layer: Module = TransformerEncoderLayer(*sizes, **options)
            norm = LayerNorm(d_model, layer_norm_eps, bias=bias, **place)
            custom_encoder = TransformerEncoder(layer, num_encoder_layers, norm)
        if custom_decoder is None:
            layer = TransformerDecoderLayer(*sizes, **options)
            norm = LayerNorm(d_model, layer_norm_eps, bias=bias, **place)
            custom_decoder = TransformerDecoder(layer, num_decoder_layers, norm)
        self.encoder, self.decoder = custom_encoder, custom_decoder
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first
        self._reset_parameters(generator)

    def _reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw new initial values of all weights."""
        for parameter in self.parameters():
            if parameter.ndim > 1:
                init.xavier_uniform_(parameter, generator=generator)

    def forward(
        self,
        src: Tensor,
        tgt: Tensor,
        src_mask: Tensor | None = None,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Any:
        """Masks as in ``MultiheadAttention``: (S, S), (T, T), (T, S); and (N, S), (N, T), (N, S).

        ``…_is_causal`` does not need a mask; with None only the mask applies.
        """
        expect_tensors("Transformer", src, tgt)
        batch = 0 if self.batch_first else 1
        if (
            {src.ndim, tgt.ndim} not in ({2}, {3})
            or (src.ndim == 3 and src.shape[batch] != tgt.shape[batch])
            or not src.shape[-1] == tgt.shape[-1] == self.d_model
        ):
            raise ShapeError(
                f"a transformer expects src and tgt with {self.d_model} features, both with three "
                f"axes and the same batch size, or both with two, got {src.shape} and {tgt.shape}"
            )
        memory = self.encoder(
            src, mask=src_mask, src_key_padding_mask=src_key_padding_mask, is_causal=src_is_causal
        )
        return self.decoder(
            tgt,
            memory,
            tgt_mask=tgt_mask,
            memory_mask=memory_mask,
            tgt_key_padding_mask=tgt_key_padding_mask,
            memory_key_padding_mask=memory_key_padding_mask,
            tgt_is_causal=tgt_is_causal,
            memory_is_causal=memory_is_causal,
        )

    @staticmethod
    def generate_square_subsequent_mask(
        sz: int, device: str | None = None, dtype: Any = None
    ) -> Any:
        """Return the causal mask that is added to scores: -inf for keys after the query, else 0.

        >>> tx.nn.Transformer.generate_square_subsequent_mask(2)
        tensor([[  0., -inf],
                [  0.,   0.]])
        """
        return triu(full((sz, sz), -math.inf, device=device, dtype=dtype), k=1)
