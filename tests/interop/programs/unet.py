"""A U-shaped network: down, up, and a way across."""

import torch
from torch import nn


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(inplace=True))
        self.pool = nn.MaxPool2d(2)
        self.middle = nn.Sequential(
            nn.Conv2d(4, 8, 3, padding=1), nn.GroupNorm(2, 8), nn.ReLU(inplace=True)
        )
        self.up = nn.ConvTranspose2d(8, 4, 2, stride=2)
        self.out = nn.Sequential(nn.Conv2d(8, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 1, 1))

    def forward(self, x):
        wide = self.down(x)
        deep = self.middle(self.pool(wide))
        return self.out(torch.cat([self.up(deep), wide], dim=1))


def program(run):
    model = run.begin(UNet())
    optimizer = run.watch(torch.optim.Adam(model.parameters(), lr=0.01, eps=1e-3))
    criterion = nn.BCEWithLogitsLoss()
    batches = 3 * [(run.normal(2, 1, 8, 8), run.normal(2, 1, 8, 8)) for _ in range(2)]

    def loss_of(images, others):
        return criterion(model(images), (others > 0).to(others.dtype))

    @run.capture
    def step(images, others):
        optimizer.zero_grad()
        loss = loss_of(images, others)
        loss.backward()
        optimizer.step()
        return loss

    if run.fit(model, optimizer, loss_of, batches):
        return
    for batch in batches:
        run.log(loss=step(*batch))
