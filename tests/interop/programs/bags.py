"""Texts as bags of words, of any length, with offsets."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class TextClassifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.EmbeddingBag(9, 5, mode="mean")
        self.fc = nn.Linear(5, 3)

    def forward(self, text, offsets):
        return self.fc(self.embedding(text, offsets))


def program(run):
    model = run.begin(TextClassifier())
    optimizer = run.watch(torch.optim.SGD(model.parameters(), lr=0.5))
    offsets = torch.tensor([0, 3, 4, 9])
    batches = 3 * [(run.integers(9, 12), run.integers(3, 4)) for _ in range(2)]

    def loss_of(text, labels):
        return F.cross_entropy(model(text, offsets), labels)

    @run.capture
    def step(text, labels):
        optimizer.zero_grad()
        loss = loss_of(text, labels)
        loss.backward()
        optimizer.step()
        return loss

    if run.fit(model, optimizer, loss_of, batches):
        return
    for text, labels in batches:
        run.log(loss=step(text, labels))
