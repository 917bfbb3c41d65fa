"""Gradient descent without a module or an optimizer, as the first lesson has it."""

import torch


def program(run):
    w = run.watch(run.normal(3, 2).requires_grad_(), "w")
    b = run.watch((0 * run.normal(2)).requires_grad_(), "b")
    x, y = run.normal(8, 3), run.normal(8, 2)

    @run.capture
    def step(x, y):
        loss = ((x @ w + b - y) ** 2).mean()
        loss.backward()
        with torch.no_grad():
            w.sub_(0.2 * w.grad)
            b.sub_(0.2 * b.grad)
            w.grad = None
            b.grad = None
        return loss

    for _ in range(6):
        run.log(loss=step(x, y))
