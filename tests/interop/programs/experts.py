"""A mixture of experts: each sample goes to the best two, weighed by their gate."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class Mixture(nn.Module):
    def __init__(self, experts=4):
        super().__init__()
        self.gate = nn.Linear(4, experts)
        self.experts = nn.ModuleList([nn.Linear(4, 3) for _ in range(experts)])

    def forward(self, x):
        scores, chosen = torch.topk(self.gate(x), 2, dim=-1)
        weights = F.softmax(scores, dim=-1)
        outputs = torch.stack([expert(x) for expert in self.experts], dim=1)
        rows = torch.arange(x.shape[0]).unsqueeze(1)
        return (weights.unsqueeze(-1) * outputs[rows, chosen]).sum(dim=1)


def program(run):
    model = run.begin(Mixture())
    optimizer = run.watch(torch.optim.SGD(model.parameters(), lr=0.3))
    batches = 3 * [(run.normal(8, 4), run.integers(3, 8)) for _ in range(2)]

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
