"""Multi-head attention, with the parameters, masks and results of torch.nn.MultiheadAttention."""

from dataclasses import KW_ONLY, InitVar
from typing import Any

from tinyxp.core.tensor import Tensor
from tinyxp.errors import ArgumentError
from tinyxp.nn import init
from tinyxp.nn.fields import FieldModule
from tinyxp.nn.functional.multihead_attention import attend_by_heads
from tinyxp.nn.linear_layers import Linear
from tinyxp.nn.parameter import register_empty
from tinyxp.random import Generator

__all__ = ["MultiheadAttention"]


class MultiheadAttention(FieldModule):
    """concat(head₁ … headₕ) W_out, headᵢ = attention(Q Wᵢ, K Wᵢ, V Wᵢ).

    ``kdim`` and ``vdim`` are the widths of keys and values, by default ``embed_dim``; otherwise
    q_proj_weight, k_proj_weight and v_proj_weight replace in_proj_weight. ``add_bias_kv`` adds a
    learned key and value, bias_k and bias_v; ``add_zero_attn`` adds a key and value of zeros.
    Weights start from Xavier's uniform distribution, bias_k and bias_v from Xavier's normal one,
    out_proj.weight as in ``Linear``, biases from 0. Source: Vaswani et al. 2017, sec. 3.2.2; see
    ``functional.multi_head_attention_forward``.

    >>> attention = tx.nn.MultiheadAttention(4, 2, batch_first=True)
    >>> x = tx.zeros((5, 3, 4))  # (batch, time, embed_dim)
    >>> y, weights = attention(x, x, x)
    >>> y.shape, weights.shape
    ((5, 3, 4), (5, 3, 3))
    """

    embed_dim: int
    num_heads: int
    dropout: float = 0.0
    bias: InitVar[bool] = True
    add_bias_kv: InitVar[bool] = False
    add_zero_attn: bool = False
    kdim: int | None = None
    vdim: int | None = None
    batch_first: bool = False
    device: InitVar[str | None] = None
    dtype: InitVar[Any] = None
    _: KW_ONLY
    generator: Generator | None = None

    def __post_init__(self, bias: bool, add_bias_kv: bool, device: str | None, dtype: Any) -> None:
        e, heads = self.embed_dim, self.num_heads
        if heads < 1 or e < 1 or e % heads:
            raise ArgumentError(f"embed_dim {e} is not a multiple of num_heads {heads}")
        self.kdim = e if self.kdim is None else self.kdim
        self.vdim = e if self.vdim is None else self.vdim
        self.head_dim = e // heads
        packed = self.kdim == self.vdim == e
        shapes = {
            "in_proj_weight": (3 * e, e) if packed else None,
            "q_proj_weight": None if packed else (e, e),
            "k_proj_weight": None if packed else (e, self.kdim),
            "v_proj_weight": None if packed else (e, self.vdim),
            "in_proj_bias": (3 * e,) if bias else None,
            "bias_k": (1, 1, e) if add_bias_kv else None,
            "bias_v": (1, 1, e) if add_bias_kv else None,
        }
        register_empty(self, shapes, device, dtype)
        self.out_proj = Linear(e, e, bias, device, dtype, generator=self.generator)
        self.reset_parameters(self.generator)

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw new initial values, except for out_proj.weight."""
        for weight in (self.in_proj_weight, *self._separate()):
            if weight is not None:
                init.xavier_uniform_(weight, generator=generator)
        for bias in (self.in_proj_bias, self.out_proj.bias):
            if bias is not None:
                init.zeros_(bias)
        for key in (self.bias_k, self.bias_v):
            if key is not None:
                init.xavier_normal_(key, generator=generator)

    def _separate(self) -> tuple[Any, Any, Any]:
        return self.q_proj_weight, self.k_proj_weight, self.v_proj_weight

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Any, Any]:
        """(output (N, L, E), weights (N, L, S), or (N, H, L, S) if not averaged, or None).

        Shapes: query (N, L, E), key (N, S, kdim), value (N, S, vdim), with ``batch_first``;
        otherwise (L, N, E) …, or without a batch (L, E) …. In key_padding_mask (N, S) and
        attn_mask (L, S) or (N · H, L, S), True excludes a key (the opposite of
        ``scaled_dot_product_attention``), and floating masks are added. ``is_causal`` excludes
        later keys, with or without a mask. A query without any key gets zeros.
        Raises ShapeError, DTypeError.
        """
        return attend_by_heads(
            query,
            key,
            value,
            self.num_heads,
            self._separate() if self.in_proj_weight is None else self.in_proj_weight,
            self.in_proj_bias,
            self.out_proj,
            embed_dim=self.embed_dim,
            bias_k=self.bias_k,
            bias_v=self.bias_v,
            add_zero_attn=self.add_zero_attn,
            dropout_p=self.dropout if self.training else 0.0,
            key_padding_mask=key_padding_mask,
            attn_mask=attn_mask,
            is_causal=is_causal,
            need_weights=need_weights,
            average_attn_weights=average_attn_weights,
            batch_first=self.batch_first,
            generator=self.generator,
        )

    def extra_repr(self) -> str:
        return f"embed_dim={self.embed_dim}, num_heads={self.num_heads}, dropout={self.dropout}"
