"""Evaluation in the middle of training, in evaluation mode and without a graph."""

import torch
import torch.nn as nn
import torch.nn.functional as F

PARTS_REFUSED = "uses its batch as a whole"


def program(run):
    model = run.begin(
        nn.Sequential(nn.Linear(4, 6, bias=False), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3))
    )
    optimizer = run.watch(torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9))
    batches = 3 * [(run.normal(6, 4), run.integers(3, 6)) for _ in range(2)]
    held = run.normal(9, 4), run.integers(3, 9)

    def loss_of(x, labels):
        return F.cross_entropy(model(x), labels)

    def evaluate():
        model.eval()
        with torch.no_grad():
            loss = loss_of(*held).item()
        model.train()
        return loss

    @run.capture
    def step(x, labels):
        optimizer.zero_grad()
        loss = loss_of(x, labels)
        loss.backward()
        optimizer.step()
        return loss

    if run.fit(model, optimizer, loss_of, batches, evaluate=evaluate, eval_every=2):
        return
    for i, (x, labels) in enumerate(batches, 1):
        loss = step(x, labels)
        if i % 2 == 0:
            run.log(loss=loss, validation=evaluate())
        else:
            run.log(loss=loss)
