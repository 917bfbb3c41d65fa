"""Advantage actor-critic: one body, a policy and a value, an entropy bonus."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class ActorCritic(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(4, 8)
        self.actor, self.critic = nn.Linear(8, 3), nn.Linear(8, 1)

    def forward(self, state):
        h = torch.tanh(self.body(state))
        return self.actor(h), self.critic(h).squeeze(-1)


def program(run):
    model = run.begin(ActorCritic())
    optimizer = run.watch(torch.optim.RMSprop(model.parameters(), lr=0.02, eps=1e-3))
    state, action, rewards = run.normal(6, 4), run.integers(3, 6), run.normal(6)
    returns, total = [], 0.0
    for reward in reversed(rewards.tolist()):
        total = reward + 0.9 * total
        returns.insert(0, total)
    batches = 6 * [(state, action, run.tensor(returns))]

    def loss_of(state, action, returns):
        logits, value = model(state)
        log_probs = F.log_softmax(logits, dim=-1)
        chosen = log_probs[torch.arange(len(action)), action]
        advantage = returns - value
        entropy = -(log_probs.exp() * log_probs).sum(dim=-1).mean()
        actor = -(chosen * advantage.detach()).mean()
        return actor + 0.5 * advantage.pow(2).mean() - 0.01 * entropy

    @run.capture
    def step(state, action, returns):
        loss = loss_of(state, action, returns)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    if run.fit(model, optimizer, loss_of, batches):
        return
    for batch in batches:
        run.log(loss=step(*batch))
