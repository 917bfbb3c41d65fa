"""Training on inputs that were moved along the sign of their gradient."""

import torch
import torch.nn as nn
import torch.nn.functional as F


def program(run):
    model = run.begin(nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)))
    optimizer = run.watch(torch.optim.SGD(model.parameters(), lr=0.3))
    batches = 3 * [(run.normal(6, 4), run.integers(3, 6)) for _ in range(2)]

    @run.capture
    def step(x, labels):
        moved = x.clone().detach().requires_grad_(True)
        F.cross_entropy(model(moved), labels).backward()
        moved = (x + 0.1 * moved.grad.sign()).detach()
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), labels) + F.cross_entropy(model(moved), labels)
        loss.backward()
        optimizer.step()
        return loss

    for x, labels in batches:
        run.log(loss=step(x, labels))
