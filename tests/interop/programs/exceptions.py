"""A batch that fails in the middle of a step; the program goes on with the next."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class Fails(Exception):
    pass


def program(run):
    model = run.begin(nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 2)))
    optimizer = run.watch(torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9))

    def step(x, labels):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), labels)
        if len(x) < 3:
            raise Fails("too few")
        loss.backward()
        optimizer.step()
        return loss

    fast = run.capture(step)
    x, labels = run.normal(6, 4), run.integers(2, 6)
    for i in range(6):
        some = (x[:2], labels[:2]) if i in (0, 2, 3) else (x, labels)
        try:
            loss = (step if len(some[0]) < 3 else fast)(*some)
        except Fails:
            run.log()
            continue
        run.log(loss=loss)
