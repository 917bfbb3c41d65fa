"""Operations in place in the forward pass, and a clamp of the weights after each step."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 6), nn.Linear(6, 2)

    def forward(self, x):
        h = self.first(x)
        h += 1
        h *= 0.5
        y = h.clone()
        y[:, 0] = 0
        y[:, 1:3] -= h[:, 2:4]
        y.add_(0.1).mul_(2)
        y = F.relu(y, inplace=True)
        return self.second(y)


def program(run):
    model = run.begin(Net())
    optimizer = run.watch(torch.optim.SGD(model.parameters(), lr=0.2))
    batches = 3 * [(run.normal(6, 4), run.integers(2, 6)) for _ in range(2)]

    @run.capture
    def step(x, labels):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for p in model.parameters():
                p.clamp_(-0.5, 0.5)
        return loss

    for x, labels in batches:
        run.log(loss=step(x, labels))
