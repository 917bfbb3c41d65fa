"""An encoder and a decoder, word by word, with the right word before (teacher forcing)."""

import torch
import torch.nn as nn
import torch.nn.functional as F

PARTS_REFUSED = "GRU 'encoder' has time as its first axis"


class Seq2Seq(nn.Module):
    def __init__(self, symbols=6, width=5):
        super().__init__()
        self.embed = nn.Embedding(symbols, width)
        self.encoder = nn.GRU(width, width)
        self.decoder = nn.GRUCell(2 * width, width)
        self.out = nn.Linear(width, symbols)

    def forward(self, source, target):
        memory, h = self.encoder(self.embed(source))  # (time, batch, width)
        h = h[-1]
        logits = []
        for word in target:
            weights = F.softmax((memory * h).sum(dim=-1), dim=0)
            context = (weights.unsqueeze(-1) * memory).sum(dim=0)
            h = self.decoder(torch.cat((self.embed(word), context), dim=1), h)
            logits.append(self.out(h))
        return torch.stack(logits)


def program(run):
    model = run.begin(Seq2Seq())
    optimizer = run.watch(torch.optim.Adam(model.parameters(), lr=0.03, eps=1e-3))
    batches = 3 * [(run.integers(6, 4, 3), run.integers(6, 4, 3)) for _ in range(2)]

    def loss_of(source, target):
        logits = model(source, target[:-1])
        return F.cross_entropy(logits.reshape(-1, 6), target[1:].reshape(-1))

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
