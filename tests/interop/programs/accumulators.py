"""The operators that PyTorch changes a tensor with, in the forward pass: += and the like."""

import torch
import torch.nn as nn
import torch.nn.functional as F

REFUSED = "this step reads numbers out of a tensor"


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
        y[h > 1] = 1.0
        y /= 2
        total = torch.zeros_like(y)
        for k in range(3):
            total[:, k] += y[:, k] ** 2
        return self.second(F.relu(y + total, inplace=True))


def program(run):
    model = run.begin(Net())
    optimizer = run.watch(torch.optim.SGD(model.parameters(), lr=0.2))
    batches = 3 * [(run.normal(6, 4), run.integers(2, 6)) for _ in range(2)]

    def loss_of(x, labels):
        return F.cross_entropy(model(x), labels)

    @run.capture
    def step(x, labels):
        optimizer.zero_grad()
        loss = loss_of(x, labels)
        loss.backward()
        optimizer.step()
        return loss

    if run.fit(model, optimizer, loss_of, batches):
        return
    for x, labels in batches:
        run.log(loss=step(x, labels))
