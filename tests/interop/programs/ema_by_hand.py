"""A moving average of the weights as a dict of tensors, swapped in for evaluation."""

import torch
import torch.nn as nn
import torch.nn.functional as F


def program(run):
    model = run.begin(nn.Sequential(nn.Linear(4, 6), nn.SiLU(), nn.Linear(6, 1)))
    optimizer = run.watch(torch.optim.Adam(model.parameters(), lr=0.05, eps=1e-3))
    x, y = run.normal(8, 4), run.normal(8, 1)
    shadow = {name: p.detach().clone() for name, p in model.named_parameters()}

    @run.capture
    def step(x, y):
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    for i in range(6):
        loss = step(x, y)
        for name, p in model.named_parameters():
            shadow[name] = 0.8 * shadow[name] + 0.2 * p.detach()
        run.keep(*shadow.values())
        if i % 2 == 0:
            run.log(loss=loss)
            continue
        own = {name: p.detach().clone() for name, p in model.named_parameters()}
        model.load_state_dict(shadow)
        model.eval()
        with torch.no_grad():
            score = F.mse_loss(model(x), y)
        run.log(loss=loss, score=score)
        model.train()
        model.load_state_dict(own)
        run.log(loss=loss)
