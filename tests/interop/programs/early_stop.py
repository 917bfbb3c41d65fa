"""Training ends when validation has not improved for two looks; the best weights come back."""

import torch
import torch.nn as nn
import torch.nn.functional as F


def program(run):
    model = run.begin(nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1)))
    optimizer = run.watch(torch.optim.SGD(model.parameters(), lr=0.15, momentum=0.9))
    x, y, held_x, held_y = run.normal(6, 3), run.normal(6, 1), run.normal(6, 3), run.normal(6, 1)

    def loss_of(x, y):
        return F.mse_loss(model(x), y)

    def evaluate():
        with torch.no_grad():
            return loss_of(held_x, held_y).item()

    @run.capture
    def step(x, y):
        optimizer.zero_grad()
        loss = loss_of(x, y)
        loss.backward()
        optimizer.step()
        return loss

    options = {"evaluate": evaluate, "eval_every": 1, "patience": 2}
    if run.fit(model, optimizer, loss_of, 30 * [(x, y)], **options):
        return
    best, waited, weights = float("inf"), 0, None
    for _ in range(30):
        loss, score = step(x, y), evaluate()
        run.log(loss=loss, validation=score)
        if score < best:
            best, waited, weights = score, 0, model.state_dict()
            weights = {k: v.clone() for k, v in weights.items()}
        else:
            waited += 1
        if waited == 2:
            break
    run.keep(*weights.values())
