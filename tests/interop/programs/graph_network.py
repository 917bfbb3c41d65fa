"""Messages along the edges of a graph, added up at its nodes."""

import torch
import torch.nn as nn
import torch.nn.functional as F

PARTS_REFUSED = "it does not take a part of its batch"


class GraphNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 6), nn.Linear(6, 2)

    def forward(self, x, source, target):
        for layer in (self.first, self.second):
            h = layer(x)
            arriving = F.one_hot(target, len(h)).to(h.dtype).T  # (nodes, edges)
            total = arriving @ h[source]
            x = F.relu(h + total)
        return x


def program(run):
    model = run.begin(GraphNet())
    optimizer = run.watch(torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9))
    source, target = run.integers(7, 12), run.integers(7, 12)
    batches = 3 * [(run.normal(7, 3), run.integers(2, 7)) for _ in range(2)]

    def loss_of(x, labels):
        return F.cross_entropy(model(x, source, target)[:4], labels[:4])

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
