"""One layer used again and again, and a matrix that goes both ways."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class Shared(nn.Module):
    def __init__(self):
        super().__init__()
        self.enter = nn.Linear(5, 6)
        self.block = nn.Sequential(nn.LayerNorm(6), nn.Linear(6, 6), nn.GELU())
        self.again = self.block
        self.bias = nn.Parameter(torch.zeros(5))

    def forward(self, x):
        h = self.enter(x)
        for _ in range(2):
            h = h + self.block(h)
        h = h + self.again(h)
        return F.linear(h, self.enter.weight.t(), self.bias)


def program(run):
    model = run.begin(Shared())
    optimizer = run.watch(torch.optim.RAdam(model.parameters(), lr=0.02, eps=1e-3))
    batches = 3 * [(run.normal(6, 5),) for _ in range(2)]

    def loss_of(x):
        return F.mse_loss(model(x), x)

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
