"""A tagger of sentences of several lengths: padded words have no target."""

import torch
import torch.nn as nn
import torch.nn.functional as F

PAD = 0

PARTS_REFUSED = "its mean leaves out targets (ignore_index=-100)"


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(9, 6, padding_idx=PAD)
        self.gru = nn.GRU(6, 5, batch_first=True, bidirectional=True)
        self.out = nn.Linear(10, 4)

    def forward(self, ids):
        y, _ = self.gru(self.embed(ids))
        return self.out(y)


def program(run):
    model = run.begin(Tagger())
    optimizer = run.watch(torch.optim.Adagrad(model.parameters(), lr=0.1, eps=1e-3))
    batches = []
    for lengths in ([5, 2, 3, 1], [1, 1, 5, 4]):
        ids = 1 + run.integers(8, 4, 5)
        padded = torch.arange(5) >= torch.tensor(lengths).unsqueeze(1)
        tags = (ids % 4).masked_fill(padded, -100)
        batches.append((ids.masked_fill(padded, PAD), tags))
    batches = 3 * batches

    def loss_of(ids, tags):
        return F.cross_entropy(model(ids).transpose(1, 2), tags, ignore_index=-100)

    @run.capture
    def step(ids, tags):
        optimizer.zero_grad()
        loss = loss_of(ids, tags)
        loss.backward()
        optimizer.step()
        return loss

    if run.fit(model, optimizer, loss_of, batches):
        return
    for ids, tags in batches:
        run.log(loss=step(ids, tags))
