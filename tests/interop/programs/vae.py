"""A variational autoencoder; its noise comes in from outside."""

import torch
import torch.nn as nn
import torch.nn.functional as F

PARTS_REFUSED = "it is a sum"


class VAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(8, 6)
        self.mean, self.logvar = nn.Linear(6, 2), nn.Linear(6, 2)
        self.decoder = nn.Sequential(nn.Linear(2, 6), nn.ReLU(), nn.Linear(6, 8))

    def forward(self, x, noise):
        h = F.relu(self.encoder(x))
        mean, logvar = self.mean(h), self.logvar(h)
        z = mean + torch.exp(0.5 * logvar) * noise
        return torch.sigmoid(self.decoder(z)), mean, logvar


def program(run):
    model = run.begin(VAE())
    optimizer = run.watch(torch.optim.Adam(model.parameters(), lr=0.02, eps=1e-3))
    batches = 3 * [(torch.sigmoid(run.normal(5, 8)), run.normal(5, 2)) for _ in range(2)]

    def loss_of(x, noise):
        y, mean, logvar = model(x, noise)
        bce = F.binary_cross_entropy(y, x, reduction="sum")
        return bce - 0.5 * torch.sum(1 + logvar - mean.pow(2) - logvar.exp())

    @run.capture
    def step(x, noise):
        optimizer.zero_grad()
        loss = loss_of(x, noise)
        loss.backward()
        optimizer.step()
        return loss

    if run.fit(model, optimizer, loss_of, batches):
        return
    for x, noise in batches:
        run.log(loss=step(x, noise))
