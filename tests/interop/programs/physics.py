"""A network that is to solve u'' = -u: derivatives of second order by its input in the loss."""

import torch
import torch.nn as nn


def program(run):
    model = run.begin(nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1)))
    optimizer = run.watch(torch.optim.Adam(model.parameters(), lr=0.02, eps=1e-3))
    batches = 6 * [(run.normal(7, 1),)]

    def loss_of(x):
        x = x.detach().requires_grad_()
        u = model(x)
        (first,) = torch.autograd.grad(u.sum(), x, create_graph=True)
        (second,) = torch.autograd.grad(first.sum(), x, create_graph=True)
        border = model(torch.zeros_like(x[:1])) - 1
        return (second + u).pow(2).mean() + border.pow(2).sum()

    @run.capture
    def step(x):
        optimizer.zero_grad()
        loss = loss_of(x)
        loss.backward()
        optimizer.step()
        return loss

    if run.fit(model, optimizer, loss_of, batches):
        return
    for (x,) in batches:
        run.log(loss=step(x))
