"""The functions of PyTorch that attention and the transformer are compared with, by name."""

import pytest

from tests.ops.reference.layers import dropout

torch = pytest.importorskip("torch", reason="PyTorch is the reference: pip install torch")
F = torch.nn.functional


def attention_weights(q, k, mask=None, is_causal=False, scale=1.0):
    scores = scale * q @ k.mT
    allowed = torch.ones(scores.shape[-2:], dtype=torch.bool)
    if is_causal:
        allowed = torch.tril(allowed)
    if mask is not None and mask.dtype != torch.bool:
        scores = scores + mask
    elif mask is not None:
        allowed = allowed & mask
    e = torch.where(allowed, torch.exp(scores), 0.0)
    total = e.sum(-1, keepdim=True)
    return e / torch.where(total == 0, 1.0, total)  # a query without any key gets zeros


def attention(q, k, v, mask=None, dropout_p=0.0, seed=0, counter=0, **static):
    weights = attention_weights(q, k, mask, **static)
    if dropout_p:
        weights = dropout(weights, seed, counter, dropout_p)
    return weights @ v


def self_attention(qkv, mask=None, **static):
    q, k, v = (part.transpose(1, 2) for part in qkv.unbind(2))
    return attention(q, k, v, mask, **static).transpose(1, 2)


REFERENCE = {
    "attention": attention,
    "attention_weights": attention_weights,
    "self_attention": self_attention,
}
