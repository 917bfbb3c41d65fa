"""Two towers, whose pairs are to be found among all others; the temperature is learned."""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F

PARTS_REFUSED = "it does not take a part of its batch"


class Towers(nn.Module):
    def __init__(self):
        super().__init__()
        self.image = nn.Sequential(nn.Linear(6, 8), nn.GELU(), nn.Linear(8, 4))
        self.text = nn.Sequential(nn.Linear(5, 8), nn.GELU(), nn.Linear(8, 4))
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def forward(self, image, text):
        image = F.normalize(self.image(image), dim=-1)
        text = F.normalize(self.text(text), dim=-1)
        return self.logit_scale.exp() * image @ text.t()


def program(run):
    model = run.begin(Towers())
    optimizer = run.watch(torch.optim.AdamW(model.parameters(), lr=0.02, eps=1e-3))
    batches = 3 * [(run.normal(5, 6), run.normal(5, 5)) for _ in range(2)]
    pairs = torch.arange(5)

    def loss_of(image, text):
        logits = model(image, text)
        return (F.cross_entropy(logits, pairs) + F.cross_entropy(logits.t(), pairs)) / 2

    @run.capture
    def step(image, text):
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(image, text)
        loss.backward()
        optimizer.step()
        return loss

    if run.fit(model, optimizer, loss_of, batches):
        return
    for image, text in batches:
        loss = step(image, text)
        run.log(loss=loss.item())
