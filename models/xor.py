"""1969 and 1986, XOR: what one layer cannot do, and what a hidden one can.

Act one. Marvin Minsky and Seymour Papert ("Perceptrons", 1969) proved what a perceptron cannot
compute; exclusive or is the smallest case. (0, 0) and (1, 1) lie on one side, (0, 1) and (1, 0) on
the other: of the four corners a line can get three right, 75%, and never the fourth. Money and
people left the field.

Act two. David Rumelhart, Geoffrey Hinton and Ronald Williams ("Learning representations by
back-propagating errors", Nature 323, 1986) trained layers behind layers by the chain rule. A hidden
layer bends the plane until a line parts it; what was impossible takes a second.
"""

import time
from dataclasses import asdict, dataclass
from pathlib import Path

import tinyxp as tx
from tinyxp import Tensor, nn
from tinyxp.data import TensorDataset, xor_points
from tinyxp.models import perceptron
from tinyxp.models.milestone import Milestone, judged
from tinyxp.models.perceptron import Perceptron, boundary, right
from tinyxp.models.settings import expect_sensible
from tinyxp.nn import functional as F
from tinyxp.optim import Adam
from tinyxp.plots import show
from tinyxp.random import Generator
from tinyxp.train import Run, Trainer, unmoved


@dataclass(frozen=True)
class Config:
    """What can be set on the command line: ``--set hidden=2``."""

    hidden: int = 8
    points: int = 200
    steps: int = 400  # each with all points
    learning_rate: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        expect_sensible(self)


class HiddenLayer(nn.Module):
    """Two layers with a bend between them: points (n, 2) -> scores (n,)."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.bend = nn.Linear(2, hidden)
        self.line = nn.Linear(hidden, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.line(tx.tanh(self.bend(x)))[:, 0]


def train(config: Config, folder: str | Path | Run | None = None) -> Milestone:
    """The perceptron on XOR, trained by its own rule as in 1957, then the hidden layer."""
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

    score, control = right(model, fresh), right(crisis, fresh)
    seconds = time.monotonic() - started
    show(boundary(crisis, seen, "1969: one layer"), run.folder / "crisis.png")
    show(boundary(model, seen, "1986: a hidden layer"), run.folder / "boundary.png")
    run.draw()
    return judged(
        Milestone(
            name="xor",
            year=1986,
            measure="test accuracy",
            score=score,
            required=1.0,
            control=control,
            control_is="a perceptron, without a hidden layer",
            ceiling=0.75,
            seconds=seconds,
        ),
        unmoved(before, model),
    )


def example(config: Config) -> tuple[HiddenLayer, Tensor]:
    """A fresh model, and a point."""
    return HiddenLayer(config.hidden), tx.zeros((1, 2))
