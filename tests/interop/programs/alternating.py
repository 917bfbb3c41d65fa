"""Two captured steps of one model, by turns: to classify, and to reconstruct."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class Both(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(6, 4, bias=False), nn.BatchNorm1d(4), nn.Tanh())
        self.decoder, self.classifier = nn.Linear(4, 6), nn.Linear(4, 3)


def program(run):
    model = run.begin(Both())
    optimizer = run.watch(torch.optim.Adam(model.parameters(), lr=0.02, eps=1e-3))

    @run.capture
    def classify(x, labels):
        optimizer.zero_grad()
        loss = F.cross_entropy(model.classifier(model.encoder(x)), labels)
        loss.backward()
        optimizer.step()
        return loss

    @run.capture
    def reconstruct(x):
        optimizer.zero_grad()
        loss = F.mse_loss(model.decoder(model.encoder(x)), x)
        loss.backward()
        optimizer.step()
        return loss

    x, labels = run.normal(6, 6), run.integers(3, 6)
    for _ in range(3):
        first = classify(x, labels)
        run.log(first=first)
        second = reconstruct(x)
        run.log(second=second)
        run.keep(first, second)
    for _ in range(2):
        run.log(first=classify(x, labels))
