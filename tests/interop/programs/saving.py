"""Training is left off and goes on in new objects, from what was saved in memory."""

import copy

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.optim.lr_scheduler import StepLR


def program(run):
    x, labels = run.normal(6, 4), run.integers(2, 6)

    def parts():
        model = nn.Sequential(nn.Linear(4, 5, bias=False), nn.BatchNorm1d(5), nn.Linear(5, 2))
        optimizer = torch.optim.AdamW(run.begin(model).parameters(), lr=0.05, eps=1e-3)
        return model, run.watch(optimizer), StepLR(optimizer, 2, gamma=0.5)

    def train(model, optimizer, scheduler):
        @run.capture
        def step(x, labels):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), labels)
            loss.backward()
            optimizer.step()
            return loss

        for _ in range(3):
            loss = step(x, labels)
            scheduler.step()
            run.log(loss=loss, lr=scheduler.get_last_lr()[0])

    first = parts()
    train(*first)
    saved = copy.deepcopy([part.state_dict() for part in first])
    train(*first)
    second = parts()
    for part, state in zip(second, saved):
        part.load_state_dict(state)
    train(*second)
