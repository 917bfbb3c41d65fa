"""The workloads: training steps of three kinds of model, each with data and initial weights.

A step is forward, loss, backward and optimizer. Weights and data are NumPy arrays from one seed,
under PyTorch's names, so every library starts from the same numbers.
"""

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Protocol

import numpy as np

Arrays = dict[str, Any]


class Model(Protocol):
    """The sizes of a model, and its weights, data and FLOPs."""

    @property
    def kind(self) -> str:
        """gpt, mlp or cnn."""

    def weights(self, rng: np.random.Generator) -> Arrays:
        """Initial weights, by name."""

    def data(self, rng: np.random.Generator) -> tuple[Any, Any]:
        """A batch: inputs and integer targets."""

    def flops(self) -> float:
        """Floating-point operations of a step's matrix products: forward, and twice backward."""


def _dense(rng: np.random.Generator, name: str, *shape: int) -> Arrays:
    """The weight and bias of a layer, drawn from PyTorch's range."""
    bound = 1 / math.sqrt(math.prod(shape[1:]))
    draw = {"weight": shape, "bias": shape[:1]}
    return {f"{name}.{k}": rng.uniform(-bound, bound, s).astype("float32") for k, s in draw.items()}


@dataclass(frozen=True)
class GPT:
    """nanoGPT's GPT-2: tied embeddings, GELU by tanh, no biases, no dropout."""

    n_layer: int
    n_head: int
    n_embd: int
    block_size: int
    batch: int
    vocabulary: int = 65
    bias: bool = False
    dropout: float = 0.0
    kind = "gpt"

    def weights(self, rng: np.random.Generator) -> Arrays:
        d = self.n_embd
        shapes: dict[str, tuple[int, ...]] = {
            "token.weight": (self.vocabulary, d),
            "position.weight": (self.block_size, d),
            "norm.weight": (d,),
        }
        for i in range(self.n_layer):
            shapes |= {
                f"blocks.{i}.norm1.weight": (d,),
                f"blocks.{i}.self_attn.in_proj_weight": (3 * d, d),
                f"blocks.{i}.self_attn.out_proj.weight": (d, d),
                f"blocks.{i}.norm2.weight": (d,),
                f"blocks.{i}.linear1.weight": (4 * d, d),
                f"blocks.{i}.linear2.weight": (d, 4 * d),
            }
        return {
            name: (1 if len(shape) == 1 else 0.02 * rng.standard_normal(shape))
            * np.ones(shape, "float32")
            for name, shape in shapes.items()
        }

    def data(self, rng: np.random.Generator) -> tuple[Any, Any]:
        ids = rng.integers(0, self.vocabulary, (self.batch, self.block_size + 1))
        return ids[:, :-1].copy(), ids[:, 1:].copy()

    def flops(self) -> float:
        d, tokens = self.n_embd, self.batch * self.block_size
        a_token = self.n_layer * (12 * d * d + 2 * self.block_size * d) + self.vocabulary * d
        return 6.0 * tokens * a_token


@dataclass(frozen=True)
class MLP:
    """Fully connected layers with ReLU between them."""

    widths: tuple[int, ...]
    batch: int
    kind = "mlp"

    def weights(self, rng: np.random.Generator) -> Arrays:
        found: Arrays = {}
        for i, (a, b) in enumerate(pairwise(self.widths)):
            found |= _dense(rng, str(2 * i), b, a)  # every other layer is a ReLU
        return found

    def data(self, rng: np.random.Generator) -> tuple[Any, Any]:
        x = rng.standard_normal((self.batch, self.widths[0])).astype("float32")
        return x, rng.integers(0, self.widths[-1], self.batch)

    def flops(self) -> float:
        products = [a * b for a, b in pairwise(self.widths)]
        return self.batch * (6.0 * sum(products) - 2.0 * products[0])  # no gradient of the data


@dataclass(frozen=True)
class CNN:
    """Convolutions of 3 x 3 with ReLU and 2 x 2 max-pooling after each, then a linear layer."""

    image: tuple[int, int, int]  # channels, height, width
    channels: tuple[int, ...]
    batch: int
    classes: int = 10
    kind = "cnn"

    @property
    def features(self) -> int:
        """The number of inputs of the linear layer."""
        shrunk = 2 ** len(self.channels)
        return self.channels[-1] * (self.image[1] // shrunk) * (self.image[2] // shrunk)

    def weights(self, rng: np.random.Generator) -> Arrays:
        found: Arrays = {}
        layers = (self.image[0], *self.channels)
        for i, (a, b) in enumerate(pairwise(layers)):
            found |= _dense(rng, f"convs.{i}", b, a, 3, 3)
        return found | _dense(rng, "readout", self.classes, self.features)

    def data(self, rng: np.random.Generator) -> tuple[Any, Any]:
        x = rng.standard_normal((self.batch, *self.image)).astype("float32")
        return x, rng.integers(0, self.classes, self.batch)

    def flops(self) -> float:
        channels, height, width = self.image
        total = 0.0
        for i, out in enumerate(self.channels):
            products = channels * out * 9 * height * width
            total += (4.0 if i == 0 else 6.0) * products  # no gradient of the data
            channels, height, width = out, height // 2, width // 2
        return self.batch * (total + 6.0 * self.features * self.classes)


@dataclass(frozen=True)
class Workload:
    """A model, its optimizer, and the steps of one round of a contest."""

    name: str
    about: str
    model: Any
    steps: int
    weight_decay: float = 0.0  # with any, AdamW; else Adam
    lr: float = 1e-3

    @property
    def optimizer(self) -> str:
        return "AdamW" if self.weight_decay else "Adam"

    def weights(self) -> Arrays:
        found: Arrays = self.model.weights(np.random.default_rng(0))
        return found

    def data(self) -> tuple[Any, Any]:
        x, y = self.model.data(np.random.default_rng(1))
        return x, y

    def sized(self, name: str, **sizes: Any) -> "Workload":
        """The same workload with other sizes of the model."""
        return replace(self, name=name, model=replace(self.model, **sizes))


_all = (
    Workload(
        "W1",
        "GPT, nanoGPT's CPU configuration: 4 layers, 4 heads, 128 wide, context 64, batch 12",
        GPT(n_layer=4, n_head=4, n_embd=128, block_size=64, batch=12),
        steps=8,
        weight_decay=0.1,
    ),
    Workload(
        "W2",
        "GPT: 6 layers, 6 heads, 384 wide, context 256, batch 4",
        GPT(n_layer=6, n_head=6, n_embd=384, block_size=256, batch=4),
        steps=2,
        weight_decay=0.1,
    ),
    Workload("W3", "MLP 64-128-128-10, batch 64", MLP((64, 128, 128, 10), batch=64), steps=300),
    Workload(
        "W4",
        "CNN on 1 x 8 x 8, convolutions 16 and 32, batch 64",
        CNN((1, 8, 8), (16, 32), batch=64),
        steps=120,
    ),
    Workload(
        "W4b",
        "CNN on 3 x 32 x 32, convolutions 32 and 64, batch 32",
        CNN((3, 32, 32), (32, 64), batch=32),
        steps=15,
    ),
)
WORKLOADS = {workload.name: workload for workload in _all}
