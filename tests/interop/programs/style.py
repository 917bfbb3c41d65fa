"""An image is changed until its features are those wanted; the network stays."""

import torch
import torch.nn as nn
import torch.nn.functional as F


def gram(features):
    b, c, h, w = features.shape
    flat = features.view(b * c, h * w)
    return flat @ flat.t() / (b * c * h * w)


def program(run):
    network = run.begin(nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3)), "network")
    network.eval().requires_grad_(False)
    image = run.watch(run.normal(1, 1, 8, 8).requires_grad_(), "image")
    optimizer = run.watch(torch.optim.Adam([image], lr=0.05, eps=1e-4))
    style, content = run.normal(1, 1, 8, 8), run.normal(1, 1, 8, 8)
    wanted_style, wanted = gram(network(style)).detach(), network(content).detach()

    @run.capture
    def step():
        optimizer.zero_grad()
        features = network(image)
        loss = 5 * F.mse_loss(gram(features), wanted_style) + F.mse_loss(features, wanted)
        loss.backward()
        optimizer.step()
        return loss

    for _ in range(6):
        run.log(loss=step())
