"""The models of the workloads as functions of a dict of weights, for libraries like NumPy.

``np`` is the library's namespace; ``layers`` adds ``conv`` (3 x 3, padded) and ``pool`` (2 x 2).
"""

import math
from typing import Any

import numpy

Weights = dict[str, Any]


def loss(np: Any, layers: Any, model: Any, p: Weights, x: Any, y: Any) -> Any:
    """The mean cross-entropy of a batch."""
    logits = {"gpt": gpt, "cnn": cnn, "mlp": mlp}[model.kind](np, layers, model, p, x)
    logits = np.reshape(logits, (-1, logits.shape[-1]))
    shifted = logits - np.max(logits, axis=1, keepdims=True)
    picked = shifted[numpy.arange(len(logits)), y.reshape(-1)]
    return np.mean(np.log(np.sum(np.exp(shifted), axis=1)) - picked)


def mlp(np: Any, layers: Any, model: Any, p: Weights, x: Any) -> Any:
    last = 2 * (len(model.widths) - 2)
    for i in range(0, last + 1, 2):
        x = np.matmul(x, p[f"{i}.weight"].T) + p[f"{i}.bias"]
        x = x if i == last else np.maximum(x, 0.0)
    return x


def cnn(np: Any, layers: Any, model: Any, p: Weights, x: Any) -> Any:
    for i in range(len(model.channels)):
        bias = np.reshape(p[f"convs.{i}.bias"], (1, -1, 1, 1))
        x = layers.pool(np.maximum(layers.conv(x, p[f"convs.{i}.weight"]) + bias, 0.0))
    x = np.reshape(x, (x.shape[0], -1))
    return np.matmul(x, p["readout.weight"].T) + p["readout.bias"]


def gpt(np: Any, layers: Any, model: Any, p: Weights, ids: Any) -> Any:
    heads, width = model.n_head, model.n_embd // model.n_head
    batch, time = ids.shape
    later = numpy.triu(numpy.full((time, time), -1e30, "float32"), k=1)
    x = p["token.weight"][ids] + p["position.weight"][:time]
    for i in range(model.n_layer):
        part = f"blocks.{i}."
        qkv = np.matmul(
            norm(np, x, p[part + "norm1.weight"]), p[part + "self_attn.in_proj_weight"].T
        )
        qkv = np.transpose(np.reshape(qkv, (batch, time, 3, heads, width)), (2, 0, 3, 1, 4))
        q, k, v = qkv[0], qkv[1], qkv[2]
        scores = np.matmul(q, np.swapaxes(k, -1, -2)) * (1 / math.sqrt(width)) + later
        e = np.exp(scores - np.max(scores, axis=-1, keepdims=True))
        y = np.matmul(e / np.sum(e, axis=-1, keepdims=True), v)
        y = np.reshape(np.swapaxes(y, 1, 2), (batch, time, heads * width))
        x = x + np.matmul(y, p[part + "self_attn.out_proj.weight"].T)
        h = np.matmul(norm(np, x, p[part + "norm2.weight"]), p[part + "linear1.weight"].T)
        h = 0.5 * h * (1.0 + np.tanh(math.sqrt(2 / math.pi) * (h + 0.044715 * h * h * h)))
        x = x + np.matmul(h, p[part + "linear2.weight"].T)
    return np.matmul(norm(np, x, p["norm.weight"]), p["token.weight"].T)


def norm(np: Any, x: Any, weight: Any) -> Any:
    x = x - np.mean(x, axis=-1, keepdims=True)
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + 1e-5) * weight


class Adam:
    """Adam, or AdamW with weight decay, on dicts of NumPy arrays, in place."""

    def __init__(self, weights: Weights, lr: float, weight_decay: float) -> None:
        self.lr, self.weight_decay, self.t = lr, weight_decay, 0
        self.m = {name: numpy.zeros_like(x) for name, x in weights.items()}
        self.v = {name: numpy.zeros_like(x) for name, x in weights.items()}

    def step(self, weights: Weights, grads: Weights) -> None:
        self.t += 1
        size, correction = self.lr / (1 - 0.9**self.t), math.sqrt(1 - 0.999**self.t)
        for name, p in weights.items():
            m, v, g = self.m[name], self.v[name], grads[name]
            m += 0.1 * (g - m)
            v += 0.001 * (g * g - v)
            p *= 1 - self.lr * self.weight_decay
            p -= size * m / (numpy.sqrt(v) / correction + 1e-8)
