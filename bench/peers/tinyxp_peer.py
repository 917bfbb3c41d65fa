"""tinyxp on one of its backends."""

import tinyxp as tx
from tinyxp.bench.contest import Step
from tinyxp.bench.tinyxp_models import build
from tinyxp.bench.workloads import Workload
from tinyxp.nn import functional as F


def start(workload: Workload, backend: str, threads: int) -> Step:
    tx.use_backend(backend)
    model = build(workload.model)
    model.load_state_dict(workload.weights(), strict=False)  # the head is tied to the embedding
    x, y = (tx.asarray(part) for part in workload.data())
    options = {"lr": workload.lr, "weight_decay": workload.weight_decay}
    optimizer = getattr(tx.optim, workload.optimizer)(model.parameters(), **options)

    def step() -> float:
        optimizer.zero_grad()
        logits = model(x)
        loss = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), y.reshape(-1))
        loss.backward()
        optimizer.step()
        return loss.item()  # waits for a GPU to finish

    return step
