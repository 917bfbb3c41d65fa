"""Captured steps, and between them steps of one's own, loading, and a change of the weights."""

import copy

import torch
import torch.nn as nn
import torch.nn.functional as F


def program(run):
    model = run.begin(
        nn.Sequential(nn.Linear(4, 5, bias=False), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 2))
    )
    optimizer = run.watch(torch.optim.AdamW(model.parameters(), lr=0.03, eps=1e-3))
    x, labels = run.normal(6, 4), run.integers(2, 6)

    def step(x, labels):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        return loss

    fast, faster = run.capture(step), run.capture(step)
    run.log(loss=fast(x, labels))
    saved = {k: v.clone() for k, v in model.state_dict().items()}
    run.log(loss=step(x, labels))
    run.log(loss=faster(x, labels))
    state = copy.deepcopy(optimizer.state_dict())
    run.log(loss=step(x[:4], labels[:4]))
    run.log(loss=fast(x, labels))
    model.load_state_dict(saved)
    run.log(loss=faster(x, labels))
    with torch.no_grad():
        for p in model.parameters():
            p.data = 0.9 * p.data
    run.log(loss=fast(x, labels))
    optimizer.load_state_dict(state)
    run.log(loss=step(x, labels))
    run.log(loss=faster(x, labels))
    run.keep(*saved.values())
