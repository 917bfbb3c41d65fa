"""Losses that are sums over the batch, as of variational models."""

import torch
import torch.nn as nn
import torch.nn.functional as F

PARTS_REFUSED = "it is a sum"


def program(run):
    model = run.begin(nn.Sequential(nn.Linear(5, 4), nn.ELU(), nn.Linear(4, 5)))
    optimizer = run.watch(torch.optim.SGD(model.parameters(), lr=0.01, weight_decay=1e-2))
    batches = 3 * [(run.normal(6, 5), run.integers(5, 6)) for _ in range(2)]

    def loss_of(x, labels):
        y = model(x)
        near = F.mse_loss(y, x, reduction="sum")
        return near + F.cross_entropy(y, labels, reduction="sum")

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
