"""Soft targets: each sample is mixed with another, in proportions that come in from outside."""

import torch
import torch.nn as nn
import torch.nn.functional as F

PARTS_REFUSED = "it does not take a part of its batch"


def program(run):
    model = run.begin(nn.Sequential(nn.Linear(4, 6), nn.SELU(), nn.Linear(6, 3)))
    optimizer = run.watch(torch.optim.Adamax(model.parameters(), lr=0.03, eps=1e-3))
    batches = 3 * [(run.normal(6, 4), run.integers(3, 6), run.normal(6, 1)) for _ in range(2)]
    order = torch.tensor([3, 1, 5, 0, 2, 4])

    def loss_of(x, labels, share):
        share = torch.sigmoid(share)
        soft = F.one_hot(labels, 3).to(x.dtype)
        mixed = share * x + (1 - share) * x[order]
        return F.cross_entropy(model(mixed), share * soft + (1 - share) * soft[order])

    @run.capture
    def step(x, labels, share):
        optimizer.zero_grad()
        loss = loss_of(x, labels, share)
        loss.backward()
        optimizer.step()
        return loss

    if run.fit(model, optimizer, loss_of, batches):
        return
    for x, labels, share in batches:
        run.log(loss=step(x, labels, share))
