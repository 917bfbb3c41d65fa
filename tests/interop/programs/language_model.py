"""A recurrent language model, time first, whose state goes on from piece to piece."""

import torch
import torch.nn as nn
import torch.nn.functional as F

TRAINER_REFUSED = "this step leaves something else in hidden"
PARTS_REFUSED = "LSTM 'lstm' has time as its first axis"


class Language(nn.Module):
    def __init__(self, symbols=7, width=6):
        super().__init__()
        self.embed = nn.Embedding(symbols, width)
        self.lstm = nn.LSTM(width, width, num_layers=2)
        self.decode = nn.Linear(width, symbols)

    def forward(self, ids, hidden):
        output, hidden = self.lstm(self.embed(ids), hidden)
        return self.decode(output), hidden


def repackage(hidden):
    return tuple(h.detach() for h in hidden)


def program(run):
    model = run.begin(Language())
    optimizer = run.watch(torch.optim.SGD(model.parameters(), lr=1.0))
    text = run.integers(7, 7, 4)
    hidden = (0 * run.normal(2, 4, 6), 0 * run.normal(2, 4, 6))

    @run.capture
    def step(ids, targets, hidden):
        model.zero_grad()
        logits, hidden = model(ids, hidden)
        loss = F.cross_entropy(logits.view(-1, 7), targets.reshape(-1))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.25)
        optimizer.step()
        return loss, repackage(hidden)

    def loss_of(ids, targets):  # the state lies outside, as it does in most scripts
        nonlocal hidden
        logits, hidden = model(ids, repackage(hidden))
        return F.cross_entropy(logits.view(-1, 7), targets.reshape(-1))

    batches = 3 * [(text[:3], text[1:4]), (text[3:6], text[4:7])]
    if run.fit(model, optimizer, loss_of, batches, grad_clip=0.25):
        return
    kept = []
    for ids, targets in batches:
        loss, hidden = step(ids, targets, hidden)
        kept.append(hidden)
        run.keep(loss, *hidden)
        run.log(loss=loss)
