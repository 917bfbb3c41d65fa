"""PyTorch's own transformer, encoder and decoder, with masks of padding and of what comes later."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class Translator(nn.Module):
    def __init__(self, symbols=8, width=8):
        super().__init__()
        self.embed = nn.Embedding(symbols, width)
        self.transformer = nn.Transformer(width, 2, 1, 1, 12, dropout=0.0, batch_first=True)
        self.head = nn.Linear(width, symbols)

    def forward(self, source, target):
        later = torch.triu(torch.ones((target.shape[1], target.shape[1])), diagonal=1) == 1
        padded = source == 0
        y = self.transformer(
            self.embed(source), self.embed(target), tgt_mask=later,
            src_key_padding_mask=padded, memory_key_padding_mask=padded,
        )  # fmt: skip
        return self.head(y)


def program(run):
    model = run.begin(Translator())
    optimizer = run.watch(torch.optim.Adam(model.parameters(), lr=0.01, eps=1e-3))
    batches = []
    for _ in range(2):
        source, target = 1 + run.integers(7, 3, 5), run.integers(8, 3, 4)
        batches.append((source * (torch.arange(5) < 3 + run.integers(3, 3, 1)), target))
    batches = 3 * batches

    def loss_of(source, target):
        logits = model(source, target[:, :-1])
        return F.cross_entropy(logits.flatten(0, 1), target[:, 1:].flatten())

    @run.capture
    def step(source, target):
        optimizer.zero_grad()
        loss = loss_of(source, target)
        loss.backward()
        optimizer.step()
        return loss

    if run.fit(model, optimizer, loss_of, batches):
        return
    for source, target in batches:
        run.log(loss=step(source, target))
