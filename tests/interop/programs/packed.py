"""Sequences of several lengths in one batch, packed for an LSTM."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

REFUSED = "this step reads numbers out of a tensor"
PARTS_REFUSED = "it does not take a part of its batch"


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(8, 5)
        self.lstm = nn.LSTM(5, 4, batch_first=True, bidirectional=True)
        self.out = nn.Linear(16, 3)

    def forward(self, ids, lengths):
        packed = pack_padded_sequence(
            self.embed(ids), lengths, batch_first=True, enforce_sorted=False
        )
        packed, (h, _) = self.lstm(packed)
        y, _ = pad_packed_sequence(packed, batch_first=True)
        last = torch.cat([h[-2], h[-1]], dim=1)
        return self.out(torch.cat([last, y.sum(dim=1)], dim=1))


def program(run):
    model = run.begin(Classifier())
    optimizer = run.watch(torch.optim.Adam(model.parameters(), lr=0.03, eps=1e-3))
    lengths = torch.tensor([2, 5, 1, 4])
    batches = 3 * [(run.integers(8, 4, 5), run.integers(3, 4)) for _ in range(2)]

    def loss_of(ids, labels):
        return F.cross_entropy(model(ids, lengths), labels)

    @run.capture
    def step(ids, labels):
        optimizer.zero_grad()
        loss = loss_of(ids, labels)
        loss.backward()
        optimizer.step()
        return loss

    if run.fit(model, optimizer, loss_of, batches):
        return
    for ids, labels in batches:
        run.log(loss=step(ids, labels))
