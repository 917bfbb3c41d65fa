"""Boxes, whether there is one and what it is: masks choose which cells have a loss."""

import torch
import torch.nn as nn
import torch.nn.functional as F

REFUSED = "this step reads numbers out of a tensor"
PARTS_REFUSED = "it does not take a part of its batch"


class Detector(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 4, 3, 2, 1), nn.ReLU6(), nn.Conv2d(4, 8, 1))

    def forward(self, x):
        y = self.body(x).permute(0, 2, 3, 1)  # (batch, rows, columns, 8)
        return y[..., 0], y[..., 1:5], y[..., 5:]


def program(run):
    model = run.begin(Detector())
    optimizer = run.watch(torch.optim.Adam(model.parameters(), lr=0.03, eps=1e-3))
    images, boxes, labels = run.normal(2, 1, 8, 8), run.normal(2, 4, 4, 4), run.integers(3, 2, 4, 4)
    there = run.integers(2, 2, 4, 4) == 1

    def loss_of(images, boxes, labels):
        score, box, logits = model(images)
        found = F.binary_cross_entropy_with_logits(score, there.to(score.dtype))
        place = F.smooth_l1_loss(box[there], boxes[there], beta=0.5)
        kind = F.cross_entropy(logits[there], labels[there], reduction="none")
        return found + place + kind.mean()

    @run.capture
    def step(images, boxes, labels):
        optimizer.zero_grad()
        loss = loss_of(images, boxes, labels)
        loss.backward()
        optimizer.step()
        return loss

    if run.fit(model, optimizer, loss_of, 6 * [(images, boxes, labels)]):
        return
    for _ in range(6):
        run.log(loss=step(images, boxes, labels))
