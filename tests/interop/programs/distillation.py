"""A student learns from a frozen teacher in evaluation mode."""

import torch
import torch.nn as nn
import torch.nn.functional as F


def net(width):
    return nn.Sequential(
        nn.Linear(4, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(0.5), nn.Linear(width, 3)
    )


def program(run):
    teacher = run.begin(net(12), "teacher").requires_grad_(False)
    teacher.eval()
    student = run.begin(nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3)), "student")
    optimizer = run.watch(
        torch.optim.SGD(student.parameters(), lr=0.2, nesterov=True, momentum=0.9)
    )
    batches = 3 * [(run.normal(6, 4), run.integers(3, 6)) for _ in range(2)]

    def loss_of(x, labels, temperature=2.0):
        with torch.no_grad():
            soft = F.softmax(teacher(x) / temperature, dim=-1)
        logits = student(x)
        log_probs = F.log_softmax(logits / temperature, dim=-1)
        kl = F.kl_div(log_probs, soft, reduction="batchmean") * temperature**2
        return 0.7 * kl + 0.3 * F.cross_entropy(logits, labels)

    @run.capture
    def step(x, labels):
        optimizer.zero_grad()
        loss = loss_of(x, labels)
        loss.backward()
        optimizer.step()
        return loss

    if run.fit(student, optimizer, loss_of, batches):
        return
    for x, labels in batches:
        run.log(loss=step(x, labels))
