"""1986, the multi-layer perceptron: hidden units that find out for themselves what to look at.

Rumelhart, Hinton & Williams 1986 ("Learning representations by back-propagating errors", Nature
323) put it in their title: the point is not that errors fall, but that hidden units come to
"represent important features of the task domain". So here is the proof: the control has the same
first weights and the same training, but its hidden layer stays as it was drawn. It must read the
digits through 32 random mixtures of pixels; the model makes its own.

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
from tinyxp.models.settings import expect_sensible
from tinyxp.plots import Images, show
from tinyxp.train import Run

SIDES = {"digits": 8, "mnist": 28, "fashion": 28}


@dataclass(frozen=True)
class Config:
    """What can be set on the command line: ``--set hidden=64``."""

    hidden: int = 32
    steps: int = 1500
    batch_size: int = 32
    learning_rate: float = 1e-2
    weight_decay: float = 0.1
    data: str = "digits"
    control: bool = True  # train the control, too
    seed: int = 0

    def __post_init__(self) -> None:
        expect_sensible(self)


class MLP(nn.Module):
    """Images (n, 1, h, w) -> the logits of 10 classes (n, 10), by way of ``hidden`` units."""

    def __init__(self, pixels: int, hidden: int) -> None:
        super().__init__()
        self.features = nn.Linear(pixels, hidden)
        self.readout = nn.Linear(hidden, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.readout(tx.tanh(self.features(x.flatten(1))))


def load(name: str) -> tuple[TensorDataset, TensorDataset]:
    """Digits to learn and digits to be tested on."""
    return load_digits() if side(name) == 8 else load_mnist(name)


def side(name: str) -> int:
    """How many pixels high and wide the images are."""
    if name not in SIDES:
        raise ArgumentError(f"unknown data {name!r}; choose digits, mnist or fashion")
    return SIDES[name]


def misread(model: nn.Module, data: TensorDataset, n: int = 16) -> Images:
    """The first digits that a model takes for others."""
    (x, y), said = data.tensors, predictions(model, data.tensors[0])
    wrong = [i for i, same in enumerate((said == y).tolist()) if not same][:n]
    captions = [f"is {y[i].item()}, read as {said[i].item()}" for i in wrong]
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
    show(Images(seen, captions, "what hidden units look at"), run.folder / "features.png")
    show(misread(model, test), run.folder / "misread.png")
    run.draw()
    return contest.judged(
        Milestone(
            name="mlp",
            year=1986,
            measure="test accuracy",
            score=score,
            required=0.96 if config.data == "digits" else 0.8,
            control=control,
            control_is="frozen random features",
            seconds=seconds,
        )
    )


def example(config: Config) -> tuple[MLP, Tensor]:
    """A fresh model, and an image."""
    size = side(config.data)
    return MLP(size * size, config.hidden), tx.zeros((1, 1, size, size))
