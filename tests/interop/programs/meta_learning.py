"""MAML: the loss after an inner step, differentiated through that step."""

import torch
import torch.nn.functional as F


def forward(weights, x):
    w1, b1, w2, b2 = weights
    return F.linear(torch.tanh(F.linear(x, w1, b1)), w2, b2)


def program(run):
    shapes = [(8, 1), (8,), (1, 8), (1,)]
    weights = [run.normal(*shape).requires_grad_() for shape in shapes]
    for i, w in enumerate(weights):
        run.watch(w, f"weight{i}")
    optimizer = run.watch(torch.optim.Adam(weights, lr=0.02, eps=1e-3))
    tasks = [[run.normal(5, 1), run.normal(5, 1), run.normal(5, 1)] for _ in range(3)]

    @run.capture
    def step(x, y, held):
        optimizer.zero_grad()
        inner = F.mse_loss(forward(weights, x), y)
        grads = torch.autograd.grad(inner, weights, create_graph=True)
        fast = [w - 0.1 * g for w, g in zip(weights, grads)]
        outer = F.mse_loss(forward(fast, held), torch.sin(held))
        outer.backward()
        optimizer.step()
        return inner.detach(), outer.detach()

    for _ in range(2):
        for x, y, held in tasks:
            inner, outer = step(x, y, held)
            run.log(inner=inner, loss=outer)
