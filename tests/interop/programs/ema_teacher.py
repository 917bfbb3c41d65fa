"""A mean teacher: its weights follow the student's as a moving average."""

import copy

import torch
import torch.nn as nn
import torch.nn.functional as F


def program(run):
    student = run.begin(nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2)), "student")
    teacher = run.watch(copy.deepcopy(student), "teacher")
    for p in teacher.parameters():
        p.requires_grad = False
    optimizer = run.watch(torch.optim.SGD(student.parameters(), lr=0.2))
    batches = 3 * [(run.normal(6, 4), run.normal(6, 4), run.integers(2, 6)) for _ in range(2)]

    @run.capture
    def step(x, noise, labels):
        optimizer.zero_grad()
        logits = student(x + 0.1 * noise)
        with torch.no_grad():
            target = teacher(x)
        loss = F.cross_entropy(logits, labels) + 0.5 * F.mse_loss(logits, target)
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for mean, p in zip(teacher.parameters(), student.parameters()):
                mean.mul_(0.9).add_(p, alpha=0.1)
        return loss

    for batch in batches:
        run.log(loss=step(*batch))
