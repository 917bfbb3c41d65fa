"""Two tasks, weighed by uncertainties that are learned (Kendall et al. 2018)."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class MultiTask(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 8), nn.CELU())
        self.heads = nn.ModuleDict({"label": nn.Linear(8, 3), "value": nn.Linear(8, 1)})
        self.log_vars = nn.Parameter(torch.zeros(2))

    def forward(self, x):
        h = self.body(x)
        return {name: head(h) for name, head in self.heads.items()}


def program(run):
    model = run.begin(MultiTask())
    optimizer = run.watch(torch.optim.Adam(model.parameters(), lr=0.03, eps=1e-3))
    batches = 3 * [(run.normal(6, 4), run.integers(3, 6), run.normal(6)) for _ in range(2)]

    def loss_of(x, label, value):
        found = model(x)
        losses = torch.stack(
            [
                F.cross_entropy(found["label"], label),
                F.smooth_l1_loss(found["value"].squeeze(1), value),
            ]
        )
        return (torch.exp(-model.log_vars) * losses + model.log_vars).sum()

    @run.capture
    def step(x, label, value):
        optimizer.zero_grad()
        loss = loss_of(x, label, value)
        loss.backward()
        optimizer.step()
        return loss

    if run.fit(model, optimizer, loss_of, batches):
        return
    for x, label, value in batches:
        run.log(loss=step(x, label, value))
