"""A generator against a discriminator, each with an optimizer of its own."""

import torch
import torch.nn as nn

LEARNS = False  # one gains what the other loses


def program(run):
    generator = run.begin(nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2)), "generator")
    discriminator = run.begin(
        nn.Sequential(nn.Linear(2, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1)), "discriminator"
    )
    optimizer_g = torch.optim.Adam(generator.parameters(), lr=0.02, betas=(0.5, 0.999), eps=1e-3)
    optimizer_d = torch.optim.Adam(
        discriminator.parameters(), lr=0.02, betas=(0.5, 0.999), eps=1e-3
    )
    run.watch(optimizer_g, "optimizer_g")
    run.watch(optimizer_d, "optimizer_d")
    criterion = nn.BCEWithLogitsLoss()
    ones, zeros = torch.ones((5, 1), dtype=run.dtype), torch.zeros((5, 1), dtype=run.dtype)

    def loss_d(real, noise):
        fake = generator(noise).detach()
        return criterion(discriminator(real), ones) + criterion(discriminator(fake), zeros)

    def loss_g(noise):
        return criterion(discriminator(generator(noise)), ones)

    @run.capture
    def step(real, noise):
        optimizer_d.zero_grad()
        d = loss_d(real, noise)
        d.backward()
        optimizer_d.step()
        optimizer_g.zero_grad()
        g = loss_g(noise)
        g.backward()
        optimizer_g.step()
        return d, g

    for _ in range(5):
        d, g = step(0.3 * run.normal(5, 2) + 1, run.normal(5, 3))
        run.log(d=d, g=g)
