"""Another optimizer from the middle on; then the first goes on in a new object, from its state."""

import copy

import torch
import torch.nn as nn
import torch.nn.functional as F


def program(run):
    model = run.begin(nn.Sequential(nn.Linear(4, 6), nn.Sigmoid(), nn.Linear(6, 2)))
    x, labels = run.normal(6, 4), run.integers(2, 6)

    def train(optimizer, steps):
        @run.capture
        def step(x, labels):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), labels)
            loss.backward()
            optimizer.step()
            return loss

        run.watch(optimizer)
        for _ in range(steps):
            run.log(loss=step(x, labels))

    adam = torch.optim.Adam(model.parameters(), lr=0.05, eps=1e-3)
    train(adam, 3)
    state, weights = copy.deepcopy(adam.state_dict()), copy.deepcopy(model.state_dict())
    train(torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9), 3)
    model.load_state_dict(weights)
    again = torch.optim.Adam(model.parameters(), lr=0.1)
    again.load_state_dict(state)
    train(again, 3)
