"""Weights averaged by torch.optim.swa_utils, and statistics of a batch found anew for them."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.optim.swa_utils import SWALR, AveragedModel, update_bn


def program(run):
    model = run.begin(
        nn.Sequential(nn.Linear(4, 6, bias=False), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 2))
    )
    averaged = run.watch(AveragedModel(model), "averaged")
    optimizer = run.watch(torch.optim.SGD(model.parameters(), lr=0.2))
    scheduler = SWALR(optimizer, swa_lr=0.05, anneal_epochs=2)
    batches = 3 * [(run.normal(6, 4), run.integers(2, 6)) for _ in range(2)]

    @run.capture
    def step(x, labels):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        return loss

    for i, (x, labels) in enumerate(batches):
        loss = step(x, labels)
        if i >= 2:
            averaged.update_parameters(model)
            scheduler.step()
        run.log(loss=loss)
    update_bn([x for x, _ in batches[:2]], averaged)
    averaged.eval()
    run.log(score=averaged(x).abs().sum())
