"""Deep Q-learning with a target network that is brought up to date every second step."""

import copy

import torch
import torch.nn as nn
import torch.nn.functional as F


def program(run):
    online = run.begin(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)), "online")
    target = run.watch(copy.deepcopy(online), "target")
    optimizer = run.watch(torch.optim.Adam(online.parameters(), lr=0.03, eps=1e-3))
    memory = [
        (run.normal(6, 4), run.integers(3, 6), run.normal(6), run.normal(6, 4), run.integers(2, 6))
        for _ in range(2)
    ]

    @run.capture
    def step(state, action, reward, after, done):
        q = online(state)[torch.arange(6), action]
        with torch.no_grad():
            best = target(after).max(1)[0]
            wanted = reward + 0.9 * best * (1 - done)
        loss = F.smooth_l1_loss(q, wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    for i in range(6):
        run.log(loss=step(*memory[i % 2]))
        if i % 2 == 1:
            target.load_state_dict(online.state_dict())
