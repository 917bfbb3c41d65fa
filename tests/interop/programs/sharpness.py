"""Sharpness-aware minimisation: two backward passes, weights moved up and back between them."""

import torch
import torch.nn as nn
import torch.nn.functional as F


def program(run):
    model = run.begin(nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)))
    optimizer = run.watch(torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9))
    batches = 3 * [(run.normal(6, 4), run.integers(3, 6)) for _ in range(2)]

    @run.capture
    def step(x, labels):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), labels)
        loss.backward()
        squares = [p.grad.pow(2).sum() for p in model.parameters()]
        scale = 0.05 / (torch.stack(squares).sum().sqrt() + 1e-12)
        own = [p.detach().clone() for p in model.parameters()]
        with torch.no_grad():
            for p in model.parameters():
                p.add_(scale * p.grad)
        optimizer.zero_grad()
        F.cross_entropy(model(x), labels).backward()
        with torch.no_grad():
            for p, value in zip(model.parameters(), own):
                p.copy_(value)
        optimizer.step()
        return loss

    for x, labels in batches:
        run.log(loss=step(x, labels))
