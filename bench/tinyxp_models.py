"""The models of the workloads in tinyxp."""

from itertools import pairwise
from typing import Any

from tinyxp import Tensor, nn
from tinyxp.models import transformer
from tinyxp.nn import functional as F


class CNN(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        layers = (config.image[0], *config.channels)
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(layers))
        self.readout = nn.Linear(config.features, config.classes)

    def forward(self, x: Tensor) -> Tensor:
        for conv in self.convs:
            x = F.max_pool2d(F.relu(conv(x)), 2)
        return self.readout(x.flatten(1))


def build(config: Any) -> nn.Module:
    """Build the model of a workload."""
    if config.kind == "gpt":
        return transformer.GPT(config, config.vocabulary)
    if config.kind == "cnn":
        return CNN(config)
    layers: list[nn.Module] = []
    for a, b in pairwise(config.widths):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
