"""Weights in a dict, gradients by torch.autograd.grad, momentum in variables that are set anew."""

import torch
import torch.nn.functional as F


def program(run):
    weights = {"w1": run.normal(5, 3), "w2": run.normal(2, 5)}
    speed = {name: torch.zeros_like(w) for name, w in weights.items()}
    x, labels = run.normal(8, 3), run.integers(2, 8)

    @run.capture
    def step(x, labels, weights, speed):
        weights = {name: w.detach().requires_grad_() for name, w in weights.items()}
        h = torch.tanh(F.linear(x, weights["w1"]))
        loss = F.cross_entropy(F.linear(h, weights["w2"]), labels)
        grads = torch.autograd.grad(loss, list(weights.values()))
        speed = {name: 0.9 * v + g for (name, v), g in zip(speed.items(), grads)}
        weights = {name: w.detach() - 0.1 * speed[name] for name, w in weights.items()}
        return loss.detach(), weights, speed

    for _ in range(6):
        loss, weights, speed = step(x, labels, weights, speed)
        run.keep(*weights.values(), *speed.values())
        run.log(loss=loss, **weights, **{f"speed of {name}": v for name, v in speed.items()})
