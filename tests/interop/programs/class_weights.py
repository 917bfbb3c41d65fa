"""Rare classes count more."""

import torch
import torch.nn as nn

PARTS_REFUSED = "its mean is weighted (class weights)"


def program(run):
    model = run.begin(nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3)))
    optimizer = run.watch(torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.5, dampening=0.1))
    criterion = nn.CrossEntropyLoss(weight=run.tensor([0.2, 1.0, 3.5]))
    batches = 3 * [(run.normal(7, 5), run.integers(3, 7)) for _ in range(2)]

    def loss_of(x, labels):
        return criterion(model(x), labels)

    @run.capture
    def step(x, labels):
        optimizer.zero_grad()
        loss = loss_of(x, labels)
        loss.backward()
        optimizer.step()
        return loss.detach()

    if run.fit(model, optimizer, loss_of, batches):
        return
    for x, labels in batches:
        run.log(loss=step(x, labels))
