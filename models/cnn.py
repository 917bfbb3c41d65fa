"""1998, the convolutional network: the same small filters everywhere.

Yann LeCun, Leon Bottou, Yoshua Bengio and Patrick Haffner ("Gradient-based learning applied to
document recognition", Proceedings of the IEEE 86, 1998) read bank cheques with LeNet-5. Its layers
slide small filters over the image. An edge looks the same everywhere, so a few hundred weights
replace the thousands of a fully connected layer; pooling then discards exact positions. The filters
are learned. The control shows that this matters: its filters stay random.

Dropout removes half of the features at random in training (Srivastava et al. 2014, "Dropout").
"""

import time
from dataclasses import asdict, dataclass
from pathlib import Path

import tinyxp as tx
from tinyxp import Tensor, nn
from tinyxp.models.milestone import Contest, Milestone
from tinyxp.models.mlp import load, mistakes, side
from tinyxp.models.settings import Settings
from tinyxp.nn import functional as F
from tinyxp.plots import Images, show
from tinyxp.train import Run


@dataclass(frozen=True)
class Config(Settings):
    """What can be set on the command line: ``--set channels=8``."""

    channels: int = 16  # of the first layer; the second has twice as many
    dropout: float = 0.5
    steps: int = 1200
    batch_size: int = 32
    learning_rate: float = 5e-3
    weight_decay: float = 0.1
    data: str = "digits"
    control: bool = True  # train the control, too
    seed: int = 0


class CNN(nn.Module):
    """Images (n, 1, h, w) -> the logits of 10 classes (n, 10)."""

    def __init__(self, height: int, width: int, channels: int, dropout: float) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, channels, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(channels, 2 * channels, kernel_size=3, padding=1)
        self.dropout = nn.Dropout(dropout)
        self.readout = nn.Linear(2 * channels * (height // 4) * (width // 4), 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)  # (n, channels, h/2, w/2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)  # (n, 2 channels, h/4, w/4)
        return self.readout(self.dropout(x.flatten(1)))


def train(config: Config, folder: str | Path | Run | None = None) -> Milestone:
    """The model and the control with frozen filters, on the same batches."""
    started = time.monotonic()
    data, test = load(config.data)
    tx.manual_seed(config.seed)
    height, width = data.tensors[0].shape[2:]
    model = CNN(height, width, config.channels, config.dropout)
    contest = Contest(model, frozen=[model.conv1, model.conv2])
    run = Run.create(folder, {"model": "cnn"} | asdict(config))
    score, control = contest.race(data, test, config, run)
    seconds = time.monotonic() - started
    filters = model.conv1.weight.detach().numpy()[:, 0]
    captions = [f"filter {i}" for i in range(len(filters))]
    show(Images(filters, captions, "filters of the first layer"), run.folder / "filters.png")
    show(mistakes(model, test), run.folder / "misread.png")
    run.draw()
    required = 0.98 if config.data == "digits" else 0.85
    result = ("cnn", 1998, "test accuracy", score, required)
    return contest.judge(Milestone(*result, control, "frozen random filters", seconds))


def example(config: Config) -> tuple[CNN, Tensor]:
    """A fresh model, and an image."""
    size = side(config.data)
    return CNN(size, size, config.channels, config.dropout), tx.zeros((1, 1, size, size))
