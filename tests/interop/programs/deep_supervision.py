"""Each stage of a network has a head and a loss of its own."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class Deep(nn.Module):
    def __init__(self):
        super().__init__()
        self.stages = nn.ModuleList([nn.Conv2d(c, 4, 3, padding=1) for c in (1, 4, 4)])
        self.heads = nn.ModuleList([nn.Linear(4, 3) for _ in range(3)])

    def forward(self, x):
        outputs = []
        for stage, head in zip(self.stages, self.heads):
            x = F.avg_pool2d(F.leaky_relu(stage(x), 0.1), 2, ceil_mode=True)
            outputs.append(head(x.flatten(2).amax(dim=-1)))
        return outputs


def program(run):
    model = run.begin(Deep())
    optimizer = run.watch(torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9))
    batches = 3 * [(run.normal(4, 1, 8, 8), run.integers(3, 4)) for _ in range(2)]

    def loss_of(images, labels):
        losses = [F.cross_entropy(y, labels) for y in model(images)]
        return sum(w * loss for w, loss in zip((0.25, 0.5, 1.0), losses))

    @run.capture
    def step(images, labels):
        optimizer.zero_grad()
        loss = loss_of(images, labels)
        loss.backward()
        optimizer.step()
        return loss

    if run.fit(model, optimizer, loss_of, batches):
        return
    for images, labels in batches:
        run.log(loss=step(images, labels))
