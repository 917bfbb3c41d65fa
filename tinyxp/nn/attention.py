"""Multi-head attention, as torch.nn.MultiheadAttention: the same parameters, masks and results."""

import math
from typing import Any

from tinyxp.backends.errors import ArgumentError, DTypeError, ShapeError
from tinyxp.core import Tensor
from tinyxp.nn import functional as F
from tinyxp.nn import init
from tinyxp.nn.affine import Linear
from tinyxp.nn.module import Module
from tinyxp.nn.parameter import Parameter
from tinyxp.ops.arithmetic import where
from tinyxp.ops.creation import astype, empty, zeros, zeros_like
from tinyxp.ops.linear import matmul
from tinyxp.ops.shaping import expand_dims, permute_dims, reshape, squeeze, unstack
from tinyxp.random import Generator

__all__ = ["MultiheadAttention"]


class MultiheadAttention(Module):
    """concat(head₁ … headₕ) W_out, headᵢ = attention(Q Wᵢ, K Wᵢ, V Wᵢ).

    Source: Vaswani et al. 2017, sec. 3.2.2. ``forward`` returns (output, weights or None).

    >>> attention = tx.nn.MultiheadAttention(4, 2, batch_first=True)
    >>> x = tx.zeros((5, 3, 4))  # (batch, time, embed_dim)
    >>> y, weights = attention(x, x, x)
    >>> y.shape, weights.shape
    ((5, 3, 4), (5, 3, 3))
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        *,
        batch_first: bool = False,
        device: str | None = None,
        dtype: Any = None,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        if num_heads < 1 or embed_dim % num_heads:
            raise ArgumentError(f"embed_dim {embed_dim} is not a multiple of num_heads {num_heads}")
        self.embed_dim, self.num_heads = embed_dim, num_heads
        self.head_dim = embed_dim // num_heads
        self.dropout, self.batch_first, self.generator = dropout, batch_first, generator
        place: dict[str, Any] = {"device": device, "dtype": dtype}
        self.in_proj_weight = Parameter(empty((3 * embed_dim, embed_dim), **place))
        in_proj_bias = Parameter(zeros(3 * embed_dim, **place)) if bias else None
        self.register_parameter("in_proj_bias", in_proj_bias)
        self.out_proj = Linear(embed_dim, embed_dim, bias, **place, generator=generator)
        self.reset_parameters(generator)

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw the input projection from Xavier's uniform distribution, set biases to 0."""
        init.xavier_uniform_(self.in_proj_weight, generator=generator)
        for bias in (self.in_proj_bias, self.out_proj.bias):
            if bias is not None:
                init.zeros_(bias)

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

        Shapes: query (N, L, E), key and value (N, S, E), with ``batch_first``; otherwise time
        comes first, (L, N, E); and without a batch (L, E). key_padding_mask (N, S) and attn_mask
        (L, S) or (N · H, L, S): booleans say which keys are NOT to be looked at (the opposite of
        ``scaled_dot_product_attention``), floating ones are added. ``is_causal`` forbids later
        keys, besides the masks. A query without any key gets zeros. Raises ShapeError, DTypeError.
        """
        alone = query is key and key is value
        batched = query.ndim == 3
        for name, x in (("query", query), ("key", key), ("value", value)):
            if x.ndim not in (2, 3) or x.ndim != query.ndim or x.shape[-1] != self.embed_dim:
                raise ShapeError(
                    f"attention with embed_dim={self.embed_dim} expects query, key and value all "
                    f"(N, L, E) or all (L, E), got {name} {x.shape}"
                )
        if not batched and key_padding_mask is not None:
            key_padding_mask = expand_dims(key_padding_mask, axis=0)
        query, key, value = (self._batch_first(x) for x in (query, key, value))
        q, k, v = self._heads(query, key, value, alone)
        mask = self._mask(key_padding_mask, attn_mask, q, k)
        scale, p = 1 / math.sqrt(self.head_dim), self.dropout if self.training else 0.0
        weights = None
        if need_weights:
            weights = F.attention_weights(q, k, mask, is_causal=is_causal, scale=scale)
            weights = F.dropout(weights, p, generator=self.generator)
            y = matmul(weights, v)
            weights = weights.mean(axis=1) if average_attn_weights else weights
            weights = weights if batched else squeeze(weights, axis=0)
        else:
            y = F.scaled_dot_product_attention(
                q, k, v, mask, p, is_causal, scale, generator=self.generator
            )
        y = permute_dims(y, (0, 2, 1, 3))  # (N, L, H, D)
        y = self.out_proj(reshape(y, (*y.shape[:2], self.embed_dim)))
        if not batched:
            return squeeze(y, axis=0), weights
        return (y if self.batch_first else permute_dims(y, (1, 0, 2))), weights

    def _batch_first(self, x: Tensor) -> Any:
        if x.ndim == 2:
            return expand_dims(x, axis=0)
        return x if self.batch_first else permute_dims(x, (1, 0, 2))

    def _heads(self, query: Tensor, key: Tensor, value: Tensor, alone: bool) -> list[Any]:
        """The projections, split by head: (N, T, E) -> (N, H, T, D)."""
        weight, bias = self.in_proj_weight, self.in_proj_bias
        heads = (self.num_heads, self.head_dim)
        if alone:  # self-attention: one product for all three
            x = F.linear(query, weight, bias)  # (N, T, 3 E)
            x = reshape(x, (*x.shape[:2], 3, *heads))
            return list(unstack(permute_dims(x, (2, 0, 3, 1, 4)), axis=0))
        parts = []
        for i, x in enumerate((query, key, value)):
            rows = slice(i * self.embed_dim, (i + 1) * self.embed_dim)
            x = F.linear(x, weight[rows], None if bias is None else bias[rows])
            parts.append(permute_dims(reshape(x, (*x.shape[:2], *heads)), (0, 2, 1, 3)))
        return parts

    def _mask(self, padding: Tensor | None, attn_mask: Tensor | None, q: Tensor, k: Tensor) -> Any:
        """Both masks as one for ``scaled_dot_product_attention``, broadcast to (N, H, L, S)."""
        n, length, keys = q.shape[0], q.shape[2], k.shape[2]
        found = []
        if padding is not None:
            _expect("key_padding_mask", padding, {(n, keys): "(N, S)"})
            found.append(reshape(padding, (n, 1, 1, keys)))
        if attn_mask is not None:
            each = (n * self.num_heads, length, keys)
            _expect("attn_mask", attn_mask, {(length, keys): "(L, S)", each: "(N * H, L, S)"})
            by_head = (n, self.num_heads, length, keys)
            found.append(reshape(attn_mask, by_head) if attn_mask.ndim == 3 else attn_mask)
        if not found:
            return None
        if all(mask.dtype.kind == "bool" for mask in found):
            allowed = [~mask for mask in found]
            return allowed[0] if len(allowed) == 1 else allowed[0] & allowed[1]
        added = [_additive(mask, q) for mask in found]
        return added[0] if len(added) == 1 else added[0] + added[1]

    def extra_repr(self) -> str:
        return f"embed_dim={self.embed_dim}, num_heads={self.num_heads}, dropout={self.dropout}"


def _expect(name: str, mask: Tensor, shapes: dict[tuple[int, ...], str]) -> None:
    if mask.shape not in shapes:
        expected = " or ".join(f"{text} = {shape}" for shape, text in shapes.items())
        raise ShapeError(f"{name} must be {expected}, got {mask.shape}")
    if mask.dtype.kind not in ("bool", "real floating"):
        raise DTypeError(
            f"{name} is boolean (True: not allowed) or floating (added), got {mask.dtype!r}; "
            f"for 0 and 1: {name} == 1"
        )


def _additive(mask: Tensor, like: Tensor) -> Any:
    """A mask to be added to the scores: -inf where a boolean one forbids."""
    if mask.dtype.kind == "bool":
        return where(mask, -math.inf, zeros_like(mask, dtype=like.dtype))
    return astype(mask, like.dtype, copy=False)
