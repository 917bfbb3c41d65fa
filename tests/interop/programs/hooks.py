"""Hooks: activations are collected, gradients are scaled on their way back."""

import torch
import torch.nn as nn
import torch.nn.functional as F


def program(run):
    model = run.begin(nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2)))
    optimizer = run.watch(torch.optim.SGD(model.parameters(), lr=0.3))
    x, labels = run.normal(6, 4), run.integers(2, 6)

    def halved(module, grad_input, grad_output):
        return tuple(g if g is None else g / 2 for g in grad_input)

    def shifted(module, inputs, output):
        return output + 0.5

    model[1].register_full_backward_hook(halved)
    model[0].register_forward_hook(shifted)
    model[2].register_forward_pre_hook(lambda module, inputs: (2 * inputs[0],))

    @run.capture
    def step(x, labels):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        return loss

    seen = []
    for _ in range(6):
        loss = step(x, labels)
        handle = model[1].register_forward_hook(lambda m, args, y: seen.append(y.detach()))
        with torch.no_grad():
            model(x)
        handle.remove()
        run.keep(seen[-1])
        run.log(loss=loss, activation=seen[-1].mean(), many=len(seen))
