"""A step that goes two ways, by numbers that it computes, and one that stops where loss is NaN."""

import torch
import torch.nn as nn
import torch.nn.functional as F


def program(run):
    model = run.begin(nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2)))
    optimizer = run.watch(torch.optim.SGD(model.parameters(), lr=0.3))
    batches = 3 * [(s * run.normal(6, 4), run.integers(2, 6)) for s in (1.0, 3.0)]

    @run.capture
    def step(x, labels):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), labels)
        if x.abs().max() > 4:
            loss = loss / 2
        loss.backward()
        if torch.isfinite(loss).all():
            optimizer.step()
        return loss

    for x, labels in batches:
        run.log(loss=step(x, labels))
