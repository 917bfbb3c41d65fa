"""1969 and 1986, XOR: what one layer cannot do, and what a hidden one can.

Marvin Minsky and Seymour Papert ("Perceptrons", 1969) proved limits of the perceptron; exclusive or
is the smallest example. (0, 0) and (1, 1) form one class, (0, 1) and (1, 0) the other: a line gets
at most three of the four corners right, 75%. Money and people left the field.

David Rumelhart, Geoffrey Hinton and Ronald Williams ("Learning representations by back-propagating
errors", Nature 323, 1986) trained several layers by the chain rule. A hidden layer bends the plane
until a line separates the classes, which takes a second.
"""

import time
from dataclasses import asdict, dataclass
from pathlib import Path

import tinyxp as tx
from tinyxp import Tensor, nn
from tinyxp.data import TensorDataset, xor_points
from tinyxp.models import perceptron
from tinyxp.models.milestone import Milestone, judge
from tinyxp.models.perceptron import Perceptron, accuracy, boundary
from tinyxp.models.settings import Settings
from tinyxp.nn import functional as F
from tinyxp.optim import Adam
from tinyxp.plots import show
from tinyxp.random import Generator
from tinyxp.train import Run, Trainer, unmoved


@dataclass(frozen=True)
class Config(Settings):
    """What can be set on the command line: ``--set hidden=2``."""

    hidden: int = 8
    points: int = 200
    steps: int = 400  # of all points each
    learning_rate: float = 0.05
    seed: int = 0


class HiddenLayer(nn.Module):
    """Two linear layers with a tanh between them: points (n, 2) -> scores (n,)."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.bend = nn.Linear(2, hidden)
        self.line = nn.Linear(hidden, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.line(tx.tanh(self.bend(x)))[:, 0]


def train(config: Config, folder: str | Path | Run | None = None) -> Milestone:
    """Train a perceptron on XOR by the rule of 1957, then the hidden layer."""
    started = time.monotonic()
    tx.manual_seed(config.seed)
    draw = Generator(config.seed)
    seen, fresh = (TensorDataset(*xor_points(config.points, draw)) for _ in range(2))
    run = Run.create(folder, {"model": "xor"} | asdict(config))

    crisis = Perceptron()
    perceptron.learn(crisis, seen, perceptron.Config(seed=config.seed))

    model = HiddenLayer(config.hidden)
    before = {name: p.detach() for name, p in model.named_parameters()}
    x, y = seen.tensors
    target = y.astype(tx.float32)
    trainer = Trainer(model, Adam(model.parameters(), lr=config.learning_rate), run=run, threads=1)
    trainer.fit(
        (x for _ in range(config.steps)),
        lambda x: F.binary_cross_entropy_with_logits(model(x), target),
        config.steps,
    )

    score, control = accuracy(model, fresh), accuracy(crisis, fresh)
    seconds = time.monotonic() - started
    show(boundary(crisis, seen, "1969: one layer"), run.folder / "crisis.png")
    show(boundary(model, seen, "1986: a hidden layer"), run.folder / "boundary.png")
    run.draw()
    result = ("xor", 1986, "test accuracy", score, 1.0)
    control_is = "a perceptron, without a hidden layer"
    milestone = Milestone(*result, control, control_is, seconds, ceiling=0.75)
    return judge(milestone, unmoved(before, model))


def example(config: Config) -> tuple[HiddenLayer, Tensor]:
    """A fresh model, and a point."""
    return HiddenLayer(config.hidden), tx.zeros((1, 2))
