"""The models of the workloads in PyTorch: the reference of benchmarks and of whole-model tests.

The names are those of tinyxp's models, so they share state dicts.
"""

from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F


def make_dropout(p: float) -> nn.Module:
    """Dropout as in TransformerEncoderLayer; the identity for p = 0."""
    return nn.Dropout(p) if p else nn.Identity()


class Attention(nn.Module):
    def __init__(self, width: int, heads: int, bias: bool, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width)) if bias else None
        self.out_proj = nn.Linear(width, width, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, t, c = x.shape
        qkv = F.linear(x, self.in_proj_weight, self.in_proj_bias)
        q, k, v = qkv.view(b, t, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        p = self.dropout if self.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=p, is_causal=True)
        return self.out_proj(y.transpose(1, 2).reshape(b, t, c))


class Block(nn.Module):
    def __init__(self, width: int, heads: int, bias: bool, dropout: float) -> None:
        super().__init__()
        self.self_attn = Attention(width, heads, bias, dropout)
        self.drop = make_dropout(dropout)
        self.linear1 = nn.Linear(width, 4 * width, bias=bias)
        self.linear2 = nn.Linear(4 * width, width, bias=bias)
        self.norm1 = nn.LayerNorm(width, bias=bias)
        self.norm2 = nn.LayerNorm(width, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.drop(self.self_attn(self.norm1(x)))
        y = self.drop(F.gelu(self.linear1(self.norm2(x)), approximate="tanh"))
        return x + self.drop(self.linear2(y))


class GPT(nn.Module):
    def __init__(self, config: Any, vocab_size: int) -> None:
        super().__init__()
        width = config.n_embd
        self.token = nn.Embedding(vocab_size, width)
        self.position = nn.Embedding(config.block_size, width)
        self.blocks = nn.ModuleList(
            Block(width, config.n_head, config.bias, config.dropout) for _ in range(config.n_layer)
        )
        self.drop = make_dropout(config.dropout)
        self.norm = nn.LayerNorm(width, bias=config.bias)
        self.head = nn.Linear(width, vocab_size, bias=False)
        self.head.weight = self.token.weight
        for p in self.parameters():
            if p.ndim == 2:
                nn.init.normal_(p, std=0.02)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.drop(self.token(ids) + self.position.weight[: ids.shape[1]])
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


class CNN(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        layers = (config.image[0], *config.channels)
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(layers))
        self.readout = nn.Linear(config.features, config.classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for conv in self.convs:
            x = F.max_pool2d(F.relu(conv(x)), 2)
        return self.readout(x.flatten(1))


def build(config: Any) -> nn.Module:
    """Build the model of a workload."""
    if config.kind == "gpt":
        return GPT(config, config.vocabulary)
    if config.kind == "cnn":
        return CNN(config)
    layers: list[nn.Module] = []
    for a, b in pairwise(config.widths):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def bfloat16_product(device: str, n: int) -> tuple[Any, Any]:
    """A function for a product of two bfloat16 (n, n) matrices, and one that waits for it."""
    a = torch.rand((n, n), device=device).to(torch.bfloat16)
    return lambda: a @ a, torch.cuda.synchronize if device == "cuda" else lambda: None
