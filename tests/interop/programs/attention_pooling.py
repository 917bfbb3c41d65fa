"""Self-attention by nn.MultiheadAttention, whose weights are shown, over a set of vectors."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class Pooling(nn.Module):
    def __init__(self):
        super().__init__()
        self.query = nn.Parameter(torch.zeros((1, 1, 8)))
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.norm = nn.RMSNorm(8)
        self.out = nn.Linear(8, 2)

    def forward(self, x):
        query = self.query.expand(x.shape[0], -1, -1)
        y, weights = self.attention(query, x, x)
        return self.out(self.norm(y.squeeze(1))), weights


def program(run):
    model = run.begin(Pooling())
    optimizer = run.watch(torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9))

    @run.capture
    def step(x, labels):
        optimizer.zero_grad()
        logits, weights = model(x)
        loss = F.cross_entropy(logits, labels)
        loss.backward()
        optimizer.step()
        return loss, weights

    x, labels = run.normal(4, 5, 8), run.integers(2, 4)
    for _ in range(6):
        loss, weights = step(x, labels)
        run.keep(weights)
        run.log(loss=loss, weights=weights)
