"""Dropout while training: the random numbers of a step go on from those of the step before."""

import torch
import torch.nn as nn
import torch.nn.functional as F

ALONE = "PyTorch draws other random numbers"
PARTS_REFUSED = "it draws random numbers"


def program(run):
    model = run.begin(nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 3)))
    optimizer = run.watch(torch.optim.SGD(model.parameters(), lr=0.2))
    batches = 3 * [(run.normal(6, 4), run.integers(3, 6)) for _ in range(2)]

    def loss_of(x, labels):
        return F.cross_entropy(model(x + 0.1 * torch.randn(6, 4)), labels)

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
        assert model.training
