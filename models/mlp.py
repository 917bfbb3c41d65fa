"""1986, the multi-layer perceptron: hidden units that learn their own features.

Rumelhart, Hinton & Williams 1986 ("Learning representations by back-propagating errors", Nature
323) name the point in their title: hidden units come to "represent important features of the task
domain". The control shows it: it has the same initial weights and the same training, but its hidden
layer stays random, so it reads the digits through 32 random mixtures of pixels.

The digits are 8 x 8 pixels (UCI, see tinyxp.data.load_digits), or MNIST's 28 x 28
(``--set data=mnist`` or ``data=fashion``).
"""

import time
from dataclasses import asdict, dataclass
from pathlib import Path

import tinyxp as tx
from tinyxp import Tensor, nn
from tinyxp.data import TensorDataset, load_digits, load_mnist
from tinyxp.errors import ArgumentError
from tinyxp.models.milestone import Contest, Milestone, predictions
from tinyxp.models.settings import Settings
from tinyxp.plots import Images, show
from tinyxp.train import Run

SIDES = {"digits": 8, "mnist": 28, "fashion": 28}


@dataclass(frozen=True)
class Config(Settings):
    """What can be set on the command line: ``--set hidden=64``."""

    hidden: int = 32
    steps: int = 1500
    batch_size: int = 32
    learning_rate: float = 1e-2
    weight_decay: float = 0.1
    data: str = "digits"
    control: bool = True  # train the control, too
    seed: int = 0


class MLP(nn.Module):
    """Images (n, 1, h, w) -> the logits of 10 classes (n, 10), through ``hidden`` units."""

    def __init__(self, pixels: int, hidden: int) -> None:
        super().__init__()
        self.features = nn.Linear(pixels, hidden)
        self.readout = nn.Linear(hidden, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.readout(tx.tanh(self.features(x.flatten(1))))


def load(name: str) -> tuple[TensorDataset, TensorDataset]:
    """The digits for training and for the test."""
    return load_digits() if side(name) == 8 else load_mnist(name)


def side(name: str) -> int:
    """The height and width of the images in pixels."""
    if name not in SIDES:
        raise ArgumentError(f"unknown data {name!r}; choose digits, mnist or fashion")
    return SIDES[name]


def mistakes(model: nn.Module, data: TensorDataset, n: int = 16) -> Images:
    """The first digits that a model misreads."""
    (x, y), read = data.tensors, predictions(model, data.tensors[0])
    wrong = [i for i, same in enumerate((read == y).tolist()) if not same][:n]
    captions = [f"is {y[i].item()}, read as {read[i].item()}" for i in wrong]
    return Images(x[tx.asarray(wrong, dtype=tx.int64)].numpy()[:, 0], captions, "misread digits")


def train(config: Config, folder: str | Path | Run | None = None) -> Milestone:
    """The model and the control with frozen features, on the same batches."""
    started = time.monotonic()
    data, test = load(config.data)
    tx.manual_seed(config.seed)
    height, width = data.tensors[0].shape[2:]
    model = MLP(height * width, config.hidden)
    contest = Contest(model, frozen=[model.features])
    run = Run.create(folder, {"model": "mlp"} | asdict(config))
    score, control = contest.race(data, test, config, run)
    seconds = time.monotonic() - started
    seen = model.features.weight.detach().numpy().reshape(-1, height, width)
    captions = [f"unit {i}" for i in range(len(seen))]
    show(Images(seen, captions, "features of the hidden units"), run.folder / "features.png")
    show(mistakes(model, test), run.folder / "misread.png")
    run.draw()
    required = 0.96 if config.data == "digits" else 0.8
    result = ("mlp", 1986, "test accuracy", score, required)
    return contest.judge(Milestone(*result, control, "frozen random features", seconds))


def example(config: Config) -> tuple[MLP, Tensor]:
    """A fresh model, and an image."""
    size = side(config.data)
    return MLP(size * size, config.hidden), tx.zeros((1, 1, size, size))
