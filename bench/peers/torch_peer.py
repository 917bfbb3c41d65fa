"""PyTorch, eager or compiled; on a GPU with its fused optimizer."""

import importlib.util

import torch
from torch.nn import functional as F

from tinyxp.bench.contest import Failure, Step
from tinyxp.bench.torch_models import build
from tinyxp.bench.workloads import Workload


def start(
    workload: Workload,
    threads: int,
    device: str = "cpu",
    compiled: bool = False,
    precision: str = "highest",
) -> Step:
    """``precision`` is PyTorch's name for that of float32 products, or "bfloat16" for autocast."""
    if compiled and device == "cuda" and importlib.util.find_spec("triton") is None:
        raise Failure("torch.compile needs triton for a GPU, which is not installed here")
    torch.set_num_threads(threads)
    halves = precision == "bfloat16"
    torch.set_float32_matmul_precision("high" if halves else precision)
    model = build(workload.model).to(device)
    state = {name: torch.from_numpy(x) for name, x in workload.weights().items()}
    model.load_state_dict(state, strict=False)  # the head is tied to the embedding
    x, y = (torch.from_numpy(part).to(device) for part in workload.data())
    options = {"lr": workload.lr, "weight_decay": workload.weight_decay}
    if device == "cuda":
        options["fused"] = True
    optimizer = getattr(torch.optim, workload.optimizer)(model.parameters(), **options)
    forward = torch.compile(model) if compiled else model

    def step() -> float:
        optimizer.zero_grad()
        with torch.autocast(device, dtype=torch.bfloat16, enabled=halves):
            logits = forward(x)
            loss = F.cross_entropy(logits.flatten(0, -2), y.flatten())
        loss.backward()
        optimizer.step()
        return loss.item()

    if device == "cuda":
        step.peak_mb = lambda: torch.cuda.max_memory_reserved() / (1 << 20)
    return step
