"""Weights decay, biases and gains do not; each group has a learning rate of its own."""

import torch
import torch.nn as nn
import torch.nn.functional as F


def program(run):
    model = run.begin(nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6), nn.ReLU(), nn.Linear(6, 3)))
    decay = [p for n, p in model.named_parameters() if p.dim() >= 2]
    other = [p for n, p in model.named_parameters() if p.dim() < 2]
    groups = [
        {"params": decay, "weight_decay": 0.1},
        {"params": other, "weight_decay": 0.0, "lr": 0.05},
    ]
    optimizer = run.watch(torch.optim.AdamW(groups, lr=0.02, eps=1e-3))
    batches = 3 * [(run.normal(6, 4), run.integers(3, 6)) for _ in range(2)]

    def loss_of(x, labels):
        return F.cross_entropy(model(x), labels)

    @run.capture
    def step(x, labels):
        optimizer.zero_grad()
        loss = loss_of(x, labels)
        loss.backward()
        optimizer.step()
        return loss

    if run.fit(model, optimizer, loss_of, batches):
        return
    for x, labels in batches:
        run.log(loss=step(x, labels))
