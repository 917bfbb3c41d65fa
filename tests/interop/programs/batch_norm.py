"""Batch normalisation: running statistics, and a model that is switched to and fro."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, bias=False)
        self.bn = nn.BatchNorm2d(4, momentum=None)
        self.fc = nn.Linear(4, 3, bias=False)
        self.bn2 = nn.BatchNorm1d(3, affine=False)

    def forward(self, x):
        x = F.adaptive_avg_pool2d(F.relu(self.bn(self.conv(x))), 1)
        return self.bn2(self.fc(torch.flatten(x, 1)))


def program(run):
    model = run.begin(Net())
    optimizer = run.watch(torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9))
    batches = 2 * [(run.normal(5, 2, 6, 6), run.integers(3, 5)) for _ in range(2)]

    def step(x, labels):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        return loss

    fast = run.capture(step)
    for x, labels in batches:
        run.log(loss=fast(x, labels))
        model.eval()
        with torch.no_grad():
            scores = model(x)
        model.train()
        run.keep(scores, model.bn.running_mean.detach())
        run.log(scores=scores.abs().sum())
    model.eval()  # fine-tuning with statistics that stay
    tune = run.capture(step)
    for x, labels in batches[:2]:
        run.log(loss=tune(x, labels))
    model.train()
    run.log(loss=fast(x, labels))
