"""Gradients are clipped, by norm and by value; the norm is logged."""

import torch
import torch.nn as nn
import torch.nn.functional as F


def program(run):
    model = run.begin(nn.Sequential(nn.Linear(4, 8), nn.Hardtanh(), nn.Linear(8, 1)))
    optimizer = run.watch(torch.optim.SGD(model.parameters(), lr=0.3))
    batches = 3 * [(run.normal(6, 4), 3 * run.normal(6, 1)) for _ in range(2)]

    @run.capture
    def step(x, y):
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), y)
        loss.backward()
        nn.utils.clip_grad_value_(model.parameters(), 0.5)
        norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm=0.3)
        optimizer.step()
        return loss, norm

    for x, y in batches:
        loss, norm = step(x, y)
        run.log(loss=loss, norm=norm)
