"""A learning rate that is set anew after each step: a warmup, then a cosine."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR


def program(run):
    model = run.begin(nn.Sequential(nn.Linear(4, 6), nn.Mish(), nn.Linear(6, 2)))
    optimizer = run.watch(torch.optim.AdamW(model.parameters(), lr=0.05, eps=1e-3))
    scheduler = SequentialLR(
        optimizer,
        [LinearLR(optimizer, 0.1, total_iters=3), CosineAnnealingLR(optimizer, T_max=5)],
        milestones=[3],
    )
    batches = 4 * [(run.normal(6, 4), run.integers(2, 6)) for _ in range(2)]

    def loss_of(x, labels):
        return F.cross_entropy(model(x), labels)

    @run.capture
    def step(x, labels):
        optimizer.zero_grad()
        loss = loss_of(x, labels)
        loss.backward()
        optimizer.step()
        return loss

    if run.fit(model, optimizer, loss_of, batches, scheduler=scheduler):
        return
    for x, labels in batches:
        loss = step(x, labels)
        scheduler.step()
        run.log(loss=loss)
