"""tinyxp on one of its backends."""

import os
from contextlib import nullcontext

import tinyxp as tx
from tinyxp.bench.contest import Step
from tinyxp.bench.tinyxp_models import build
from tinyxp.bench.workloads import Workload
from tinyxp.nn import functional as F
from tinyxp.train.parallel import Parallel


def start(
    workload: Workload,
    backend: str,
    threads: int,
    parts: int | None = None,
    keep_memory: bool = False,
    fast: bool = True,
    precision: str = "highest",
    capture: bool = False,
) -> Step:
    """``parts`` is the Trainer's ``threads``, None for "auto"; ``fast`` allows numba's kernels;
    ``precision`` is that of float32 products, or "bfloat16" for autocast."""
    halves = precision == "bfloat16"
    os.environ["TINY_FAST"] = str(int(fast))
    tx.use_backend(backend)
    tx.set_float32_matmul_precision("high" if halves else precision)
    if keep_memory:
        tx.keep_memory()
    if backend != "cupy":
        tx.set_num_threads(threads)
    model = build(workload.model)
    model.load_state_dict(workload.weights(), strict=False)  # the head is tied to the embedding
    batch = tuple(tx.asarray(part) for part in workload.data())
    options = {"lr": workload.lr, "weight_decay": workload.weight_decay}
    optimizer = getattr(tx.optim, workload.optimizer)(model.parameters(), **options)
    parallel = Parallel(model, "auto" if parts is None else parts)

    def loss_of(batch: tuple[tx.Tensor, tx.Tensor]) -> tx.Tensor:
        x, y = batch
        with tx.autocast(dtype=tx.bfloat16) if halves else nullcontext():
            logits = model(x)
            return F.cross_entropy(logits.flatten(0, -2), y.flatten())

    def whole(batch: tuple[tx.Tensor, tx.Tensor]) -> tx.Tensor:
        optimizer.zero_grad()
        loss = parallel.backward(loss_of, batch)
        optimizer.step()
        return loss

    parallel.prepare(loss_of, batch)
    take = tx.capture(whole) if capture else whole

    def step() -> float:
        with tx.cuda.checks_later():  # as the Trainer does
            loss = take(batch)
        return loss.item()  # waits for a GPU to finish

    if backend == "cupy":
        step.peak_mb = lambda: tx.cuda.max_memory_reserved() / (1 << 20)
    return step
