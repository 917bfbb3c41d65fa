"""Noise is added by a schedule and is to be found again; the time comes in by sines."""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F


class Denoiser(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.width = width
        self.time = nn.Sequential(nn.Linear(width, width), nn.SiLU())
        self.enter, self.out = nn.Linear(2, width), nn.Linear(width, 2)

    def forward(self, x, t):
        half = self.width // 2
        rates = torch.exp(-math.log(100.0) * torch.arange(half, dtype=x.dtype) / half)
        angles = t.to(x.dtype).unsqueeze(1) * rates
        h = self.enter(x) + self.time(torch.cat([angles.sin(), angles.cos()], dim=-1))
        return self.out(F.silu(h))


def program(run):
    model = run.begin(Denoiser())
    optimizer = run.watch(torch.optim.AdamW(model.parameters(), lr=0.03, eps=1e-3))
    betas = torch.linspace(0.01, 0.2, 10, dtype=run.dtype)
    alphas = torch.cumprod(1 - betas, dim=0)
    batches = 3 * [(run.normal(6, 2), run.normal(6, 2), run.integers(10, 6)) for _ in range(2)]

    def loss_of(x, noise, t):
        share = alphas[t].unsqueeze(1)
        noisy = share.sqrt() * x + (1 - share).sqrt() * noise
        return F.mse_loss(model(noisy, t), noise)

    @run.capture
    def step(x, noise, t):
        optimizer.zero_grad()
        loss = loss_of(x, noise, t)
        loss.backward()
        optimizer.step()
        return loss

    if run.fit(model, optimizer, loss_of, batches):
        return
    for x, noise, t in batches:
        run.log(loss=step(x, noise, t))
