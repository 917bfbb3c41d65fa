"""A critic whose gradient by its input is to have norm 1: second derivatives in each step."""

import torch
import torch.nn as nn


def program(run):
    critic = run.begin(nn.Sequential(nn.Linear(3, 8), nn.Softplus(), nn.Linear(8, 1)))
    optimizer = run.watch(
        torch.optim.Adam(critic.parameters(), lr=0.02, betas=(0.0, 0.9), eps=1e-3)
    )
    batches = 3 * [(run.normal(5, 3), run.normal(5, 3), run.normal(5, 1)) for _ in range(2)]

    def loss_of(real, fake, share):
        mix = torch.sigmoid(share)
        between = (mix * real + (1 - mix) * fake).requires_grad_(True)
        score = critic(between)
        (slope,) = torch.autograd.grad(
            score,
            between,
            grad_outputs=torch.ones_like(score),
            create_graph=True,
            retain_graph=True,
        )
        penalty = ((slope.pow(2).sum(dim=1).sqrt() - 1) ** 2).mean()
        return critic(fake).mean() - critic(real).mean() + 10 * penalty

    @run.capture
    def step(real, fake, share):
        optimizer.zero_grad()
        loss = loss_of(real, fake, share)
        loss.backward()
        optimizer.step()
        return loss

    if run.fit(critic, optimizer, loss_of, batches):
        return
    for batch in batches:
        run.log(loss=step(*batch))


STILL = ("model.2.bias",)  # the difference of two scores does not depend on it
