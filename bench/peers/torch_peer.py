"""PyTorch, eager or compiled, with its default optimizer."""

import torch
from torch.nn import functional as F

from tinyxp.bench.contest import Step
from tinyxp.bench.torch_models import build
from tinyxp.bench.workloads import Workload


def start(
    workload: Workload,
    threads: int,
    device: str = "cpu",
    compiled: bool = False,
    precision: str = "highest",
) -> Step:
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision(precision)
    model = build(workload.model).to(device)
    state = {name: torch.from_numpy(x) for name, x in workload.weights().items()}
    model.load_state_dict(state, strict=False)  # the head is tied to the embedding
    x, y = (torch.from_numpy(part).to(device) for part in workload.data())
    options = {"lr": workload.lr, "weight_decay": workload.weight_decay}
    optimizer = getattr(torch.optim, workload.optimizer)(model.parameters(), **options)
    forward = torch.compile(model) if compiled else model

    def step() -> float:
        optimizer.zero_grad()
        logits = forward(x)
        loss = F.cross_entropy(logits.flatten(0, -2), y.flatten())
        loss.backward()
        optimizer.step()
        return loss.item()

    if device == "cuda":
        step.peak_mb = lambda: torch.cuda.max_memory_reserved() / (1 << 20)
    return step
