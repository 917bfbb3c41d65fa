"""tinygrad on the CPU: the whole step in its TinyJit. It calls clang to compile."""

import math
from typing import Any

from tinygrad import Tensor, TinyJit, nn
from tinygrad.helpers import Context

from tinyxp.bench.contest import Step
from tinyxp.bench.workloads import Workload


def logits_of(model: Any, p: dict[str, Tensor], x: Tensor) -> Tensor:
    if model.kind == "mlp":
        last = 2 * (len(model.widths) - 2)
        for i in range(0, last + 1, 2):
            x = x.linear(p[f"{i}.weight"].T, p[f"{i}.bias"])
            x = x if i == last else x.relu()
        return x
    if model.kind == "cnn":
        for i in range(len(model.channels)):
            x = x.conv2d(p[f"convs.{i}.weight"], p[f"convs.{i}.bias"], padding=1)
            x = x.relu().max_pool2d()
        return x.flatten(1).linear(p["readout.weight"].T, p["readout.bias"])
    heads, width = model.n_head, model.n_embd // model.n_head
    batch, time = x.shape
    x = p["token.weight"][x] + p["position.weight"][:time]
    for i in range(model.n_layer):
        part = f"blocks.{i}."
        h = x.layernorm() * p[part + "norm1.weight"]
        qkv = h.linear(p[part + "self_attn.in_proj_weight"].T)
        q, k, v = qkv.reshape(batch, time, 3, heads, width).permute(2, 0, 3, 1, 4)
        y = q.scaled_dot_product_attention(k, v, is_causal=True)
        y = y.transpose(1, 2).reshape(batch, time, heads * width)
        x = x + y.linear(p[part + "self_attn.out_proj.weight"].T)
        h = (x.layernorm() * p[part + "norm2.weight"]).linear(p[part + "linear1.weight"].T)
        h = 0.5 * h * (1 + (math.sqrt(2 / math.pi) * (h + 0.044715 * h * h * h)).tanh())
        x = x + h.linear(p[part + "linear2.weight"].T)
    return (x.layernorm() * p["norm.weight"]).linear(p["token.weight"].T)


def start(workload: Workload, threads: int) -> Step:
    p = {name: Tensor(array) for name, array in workload.weights().items()}
    for weight in p.values():
        weight.is_param_()
    x, y = map(Tensor, workload.data())
    make = nn.optim.AdamW if workload.weight_decay else nn.optim.Adam
    decay = {"weight_decay": workload.weight_decay} if workload.weight_decay else {}
    optimizer = make(list(p.values()), lr=workload.lr, eps=1e-8, **decay)

    @TinyJit
    def update() -> Tensor:
        optimizer.zero_grad()
        logits = logits_of(workload.model, p, x)
        logits = logits.reshape(-1, logits.shape[-1])
        loss = logits.sparse_categorical_crossentropy(y.reshape(-1))
        loss.backward()
        return loss.realize(*optimizer.schedule_step())  # at once, before the weights change

    def step() -> float:
        with Context(TRAINING=1):
            return float(update().item())

    return step
