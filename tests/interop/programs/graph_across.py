"""Graphs that are built before a step and walked after it, with the weights of before."""

import torch
import torch.nn as nn
import torch.nn.functional as F

ALONE = "PyTorch refuses to walk back through weights that were changed"


def program(run):
    model = run.begin(nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2)))
    optimizer = run.watch(torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9))

    @run.capture
    def step(x, labels):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        return loss

    x, labels = run.normal(6, 4), run.integers(2, 6)
    for _ in range(4):
        image = run.normal(3, 4).requires_grad_()
        y = model(image).pow(2).sum()
        row = (model[0].weight[0] ** 2).sum() + (model[2].weight.T * 3).mean()
        loss = step(x, labels)
        (slope,) = torch.autograd.grad(y, image, create_graph=True)
        (weights,) = torch.autograd.grad(row, model[0].weight)
        run.log(loss=loss, slope=slope.sum(), weights=weights.sum())
