"""The learning rate is halved where the loss stays, by hand and by ReduceLROnPlateau."""

import torch
import torch.nn as nn
import torch.nn.functional as F


def program(run):
    model = run.begin(nn.Linear(3, 1))
    optimizer = run.watch(torch.optim.SGD(model.parameters(), lr=0.9, momentum=0.5))
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=0)
    x, y = run.normal(8, 3), run.normal(8, 1)

    @run.capture
    def step(x, y):
        optimizer.zero_grad()
        loss = F.huber_loss(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    for i in range(8):
        loss = step(x, y)
        plateau.step(loss.item())
        if i == 5:
            for group in optimizer.param_groups:
                group["lr"] *= 0.1
        run.log(loss=loss, lr=optimizer.param_groups[0]["lr"])
