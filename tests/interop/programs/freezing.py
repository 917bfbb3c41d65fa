"""The body is frozen at first, thaws in the middle, and the head is frozen at the end."""

import torch
import torch.nn as nn
import torch.nn.functional as F


def program(run):
    body = nn.Sequential(nn.Linear(4, 6), nn.ReLU())
    model = run.begin(nn.Sequential(body, nn.Linear(6, 2)))
    x, labels = run.normal(6, 4), run.integers(2, 6)

    def epoch(optimizer):
        @run.capture
        def step(x, labels):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), labels)
            loss.backward()
            optimizer.step()
            return loss

        for _ in range(3):
            run.log(loss=step(x, labels))

    for p in body.parameters():
        p.requires_grad = False
    trainable = [p for p in model.parameters() if p.requires_grad]
    optimizer = run.watch(torch.optim.SGD(trainable, lr=0.2, momentum=0.9))
    epoch(optimizer)
    for p in body.parameters():
        p.requires_grad = True
    optimizer.add_param_group({"params": body.parameters(), "lr": 0.1})
    epoch(optimizer)
    model[1].requires_grad_(False)
    epoch(optimizer)  # zero_grad has forgotten the head's gradients
