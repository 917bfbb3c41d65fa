"""Gradient descent by hand, the oldest way: p.data is set, p.grad is zeroed."""

import torch.nn as nn
import torch.nn.functional as F


def program(run):
    model = run.begin(nn.Linear(3, 2))
    x, y = run.normal(8, 3), run.normal(8, 2)

    @run.capture
    def step(x, y):
        model.zero_grad()
        loss = F.mse_loss(model(x), y)
        loss.backward()
        for p in model.parameters():
            p.data = p.data - 0.2 * p.grad.data
        return loss

    for _ in range(6):
        run.log(loss=step(x, y))
