"""Gradients of two batches are added up before each step."""

import torch
import torch.nn as nn
import torch.nn.functional as F


def program(run):
    model = run.begin(nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)))
    optimizer = run.watch(torch.optim.AdamW(model.parameters(), lr=0.03, eps=1e-3))
    batches = 3 * [(run.normal(5, 4), run.integers(3, 5)) for _ in range(4)]

    def loss_of(x, labels):
        return F.cross_entropy(model(x), labels)

    @run.capture
    def collect(x, labels):
        loss = loss_of(x, labels) / 2
        loss.backward()
        return loss

    if run.fit(model, optimizer, loss_of, batches, accumulate=2):
        return
    optimizer.zero_grad()
    total = 0.0
    for i, (x, labels) in enumerate(batches):
        total = total + collect(x, labels)
        if (i + 1) % 2 == 0:
            optimizer.step()
            run.log(loss=total)
            optimizer.zero_grad()
            total = 0.0
