"""Fine-tuning of a head on a body whose dropout is off, part of the model being in eval mode."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(4, 8), nn.Dropout(0.5), nn.ReLU(), nn.Linear(8, 6), nn.Dropout1d(0.5)
        )
        self.head = nn.Linear(6, 2)

    def train(self, mode=True):
        super().train(mode)
        self.body.eval()  # stays as it was trained
        return self

    def forward(self, x):
        return self.head(self.body(x))


def program(run):
    model = run.begin(Model())
    model.train()
    model.body.requires_grad_(False)
    optimizer = run.watch(torch.optim.Adam(model.head.parameters(), lr=0.05, eps=1e-3))
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
