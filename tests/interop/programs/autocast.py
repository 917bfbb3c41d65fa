"""A captured step in bfloat16, and one around it, products being cast again after each step."""

import torch
import torch.nn as nn
import torch.nn.functional as F

TOLERANCE = 0.05
BACKENDS = ("numpy", "torch")  # which have bfloat16
ALONE = "PyTorch keeps the casts of weights until the end of the block, past the step"


def program(run):
    model = run.begin(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)))
    optimizer = run.watch(torch.optim.SGD(model.parameters(), lr=0.2))
    x, labels = run.normal(6, 4), run.integers(2, 6)

    @run.capture
    def step(x, labels):
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = F.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        return loss

    for _ in range(4):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            with torch.no_grad():
                before = model(x)
            loss = step(x, labels)
            with torch.no_grad():
                after = model(x)
        run.log(loss=loss, change=(after.float() - before.float()).abs().sum())
