"""What a user keeps on the way: losses, weights, rows and transposes of them, whole states."""

import torch
import torch.nn as nn
import torch.nn.functional as F


def program(run):
    model = run.begin(nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)))
    optimizer = run.watch(torch.optim.Adam(model.parameters(), lr=0.05, eps=1e-3))

    @run.capture
    def step(x, labels):
        optimizer.zero_grad()
        logits = model(x)
        loss = F.cross_entropy(logits, labels)
        loss.backward()
        optimizer.step()
        return {"loss": loss, "logits": logits}

    x, labels = run.normal(6, 4), run.integers(2, 6)
    losses, outputs, best = [], [], None
    for _ in range(6):
        found = step(x, labels)
        losses.append(found["loss"])
        outputs.append(found["logits"])
        if best is None or found["loss"] < best:
            best = found["loss"]
        w = model[0].weight
        run.keep(found["loss"], found["logits"], w.detach())
        run.keep(
            w[0], w[:, 1:], w.T, w.view(-1), w.reshape(2, 6), w.unsqueeze(0), w.expand(2, 3, 4)
        )
        run.keep(*torch.split(w, 1), *w.chunk(2, dim=1), w.detach()[0], w.grad, w.grad[0])
        run.keep(*model.state_dict().values())
        run.keep(*(v for s in optimizer.state_dict()["state"].values() for v in s.values()))
        run.log(loss=found["loss"], best=best)
    run.log(total=torch.stack(losses).mean(), spread=torch.stack(outputs).std())
