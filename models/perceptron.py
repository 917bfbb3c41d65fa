"""1957, the perceptron: a machine that learns from its mistakes.

Frank Rosenblatt's perceptron (1957; "The perceptron: a probabilistic model for information storage
and organization in the brain", Psychological Review 65, 1958) adds up weighted inputs and fires if
the sum is above a threshold. After each mistake, and only then, it adds the input to the weights or
subtracts it. If a line separates two classes, this finds one after finitely many mistakes (Novikoff
1962). The New York Times expected it to walk, talk and be conscious of its existence.

The rule is a gradient step: the loss max(0, -t s) of a point with the target t = ±1 and the score
s = w·x + b has the gradient -t x with respect to w where the sign of s is wrong, and 0 elsewhere.

The control is the same machine on XOR, which no line separates; see xor.py.
"""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tinyxp as tx
from tinyxp import Tensor, nn
from tinyxp.data import DataLoader, Epochs, TensorDataset, two_clouds, xor_points
from tinyxp.models.milestone import Contest, Milestone
from tinyxp.models.settings import Settings
from tinyxp.nn import functional as F
from tinyxp.optim import SGD
from tinyxp.plots import Boundary, Curves, show
from tinyxp.random import Generator
from tinyxp.train import Run, evaluation


@dataclass(frozen=True)
class Config(Settings):
    """What can be set on the command line: ``--set points=500``."""

    points: int = 200
    steps: int = 1000  # of one point each
    learning_rate: float = 1.0
    seed: int = 0


class Perceptron(nn.Module):
    """A weighted sum: points (n, 2) -> scores (n,), class 1 where they are above 0."""

    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Linear(2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.line(x)[:, 0]


def mistake(scores: Tensor, y: Tensor) -> Tensor:
    """Σ max(0, -t s) with the class t = ±1, whose gradient is Rosenblatt's rule."""
    return F.relu((1 - 2 * y) * scores).sum()


def learn(model: nn.Module, data: TensorDataset, config: Config) -> list[tuple[float, float]]:
    """Train on single points, shuffled in each epoch; return the mistakes so far, by step."""
    optimizer = SGD(model.parameters(), lr=config.learning_rate)
    loader = DataLoader(data, 1, shuffle=True, generator=Generator(config.seed))
    mistakes, curve = 0, []
    for step, (x, y) in zip(range(1, config.steps + 1), Epochs(loader), strict=False):
        loss = mistake(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        mistakes += loss.item() > 0
        curve.append((float(step), float(mistakes)))
    return curve


def accuracy(model: nn.Module, data: TensorDataset) -> float:
    """The fraction of points on the right side of the line."""
    x, y = data.tensors
    with evaluation(model):
        return float(((model(x) > 0) == (y == 1)).astype(tx.float64).mean())


def boundary(model: nn.Module, data: TensorDataset, title: str) -> Boundary:
    """A picture of a model's scores over the plane."""

    def ask(points: Any) -> Any:
        with evaluation(model):
            return model(tx.asarray(points)).detach().numpy()

    x, y = data.tensors
    return Boundary(ask, x.numpy(), y.numpy(), title)


def train(config: Config, folder: str | Path | Run | None = None) -> Milestone:
    """Train on two clouds that a line separates, and on XOR, which none does."""
    started = time.monotonic()
    tx.manual_seed(config.seed)
    draw = Generator(config.seed)
    clouds, fresh = (TensorDataset(*two_clouds(config.points, draw)) for _ in range(2))
    xor, fresh_xor = (TensorDataset(*xor_points(config.points, draw)) for _ in range(2))
    contest = Contest(Perceptron(), frozen=[])
    run = Run.create(folder, {"model": "perceptron"} | asdict(config))
    curves = {
        "two clouds": learn(contest.model, clouds, config),
        "XOR": learn(contest.control, xor, config),
    }
    score, control = accuracy(contest.model, fresh), accuracy(contest.control, fresh_xor)
    seconds = time.monotonic() - started
    show(boundary(contest.model, clouds, "perceptron, 1957"), run.folder / "boundary.png")
    show(boundary(contest.control, xor, "perceptron on XOR"), run.folder / "control.png")
    mistakes = Curves(curves, "a perceptron's mistakes", ylabel="mistakes so far")
    show(mistakes, run.folder / "mistakes.png")
    result = ("perceptron", 1957, "test accuracy", score, 0.99)
    control_is = "the same perceptron on XOR"
    return contest.judge(Milestone(*result, control, control_is, seconds, ceiling=0.75))


def example(config: Config) -> tuple[Perceptron, Tensor]:
    """A fresh model, and a point."""
    return Perceptron(), tx.zeros((1, 2))
