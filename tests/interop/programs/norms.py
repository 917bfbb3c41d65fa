"""Norms of gradients and of changes, logged after each step."""

import torch
import torch.nn as nn
import torch.nn.functional as F


def program(run):
    model = run.begin(nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2)))
    optimizer = run.watch(torch.optim.RMSprop(model.parameters(), lr=0.02, momentum=0.5, eps=1e-2))

    @run.capture
    def step(x, labels):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        return loss

    x, labels = run.normal(6, 4), run.integers(2, 6)
    grads, norm = [], torch.linalg.vector_norm
    for _ in range(6):
        before = [p.detach().clone() for p in model.parameters()]
        loss = step(x, labels)
        total = 0.0
        for p in model.parameters():
            total += p.grad.detach().pow(2).sum().sqrt().item() ** 2
            grads.append(p.grad)
        run.keep(*grads[-4:])
        change = [norm(p - b) / norm(b) for p, b in zip(model.parameters(), before)]
        changes = {f"change{i}": c for i, c in enumerate(change)}
        run.log(loss=loss, norm=total**0.5, **changes)
