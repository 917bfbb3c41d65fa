"""A model that counts its steps and keeps a running mean, by buffers that are set anew."""

import torch
import torch.nn as nn
import torch.nn.functional as F

PARTS_REFUSED = "the loss of a batch has to be a plain mean over its first axis"


class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 2)
        self.register_buffer("count", torch.zeros(1))
        self.register_buffer("mean", torch.zeros(4))
        self.register_buffer("last", None)

    def forward(self, x):
        if self.training:
            self.count = self.count + 1
            self.mean = 0.9 * self.mean + 0.1 * x.mean(dim=0)
            self.last = x.detach()
        return self.fc(x - self.mean) / self.count


def program(run):
    model = run.begin(Counting())
    optimizer = run.watch(torch.optim.SGD(model.parameters(), lr=0.3))
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
        run.keep(model.count, model.mean)
