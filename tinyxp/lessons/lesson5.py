"""Lesson 5, the MLP: a model and the training loop that reads digits."""

from typing import Any

import numpy as np

import tinyxp as tx
from tinyxp import Tensor, nn
from tinyxp.data import load_digits
from tinyxp.lessons import model_checks
from tinyxp.lessons.comparison import numbers
from tinyxp.lessons.lesson import Lesson, NotYet
from tinyxp.nn import functional as F
from tinyxp.optim import SGD, Adam

LESSON = Lesson({"MLP": "", "train_one_epoch": "model, optimizer, x, y"})
EPOCHS, ACCURACY = 12, 0.95


class Counting(nn.Module):
    """A model of the checker, which records the batches that it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.out = nn.Linear(64, 16), nn.Linear(16, 10)
        self.batches: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.batches.append(len(x))
        return self.out(tx.tanh(self.hidden(x.flatten(1))))


def digits(n: int) -> tuple[Tensor, Tensor]:
    x, y = load_digits()[0].tensors
    return x[:n], y[:n]


def add_classifier_points(lesson: Lesson, name: str) -> None:
    """Add the points of every model that reads digits."""
    shapes = "images (n, 1, 8, 8) -> logits (n, 10)"
    model_checks.add_model_points(lesson, name, shapes, lambda: digits(30), (10,), F.cross_entropy)


def require_unseen_digits(model: nn.Module, hint: str) -> None:
    """Raise NotYet unless the model reads enough digits that it was not trained on."""
    x, y = load_digits()[1].tensors
    model.eval()
    with tx.no_grad():
        found = model_checks.accuracy(model(x), y)
    model_checks.require_accuracy(found, ACCURACY, f"{len(x)} unseen digits", hint)


def train_one_epoch(student: Any, model: nn.Module, optimizer: Any, x: Tensor, y: Tensor) -> Any:
    """Run the student's loop; an error of cross_entropy gets a hint."""
    try:
        return student.train_one_epoch(model, optimizer, x, y)
    except tx.errors.TinyError as error:
        if "cross_entropy" in str(error):
            hint = "are labels and logits swapped? Logits come first; labels are integers"
            got = f"{type(error).__name__}: {error}"
            raise NotYet("F.cross_entropy(logits (n, 10), labels (n,))", got, hint) from None
        raise


add_classifier_points(LESSON, "MLP")


@LESSON.point("train_one_epoch", "takes a step for every batch, and uses every image once")
def _(student: Any) -> None:
    tx.manual_seed(1)
    model = Counting()
    with model_checks.require_training(model, 1) as steps:
        train_one_epoch(student, model, SGD(model.parameters(), lr=0.01), *digits(200))
    if steps.count == 1:
        hint = "take batches of 32, for example: for i in range(0, len(x), 32): x[i : i + 32]"
        raise NotYet("several steps in one epoch", "one step with all images", hint)
    seen = sum(model.batches)
    if seen != 200:
        hint = "is the last, shorter batch left out?" if seen < 200 else "once is enough"
        raise NotYet("200 images through the model", f"{seen}", hint)


@LESSON.point("train_one_epoch", "returns the mean loss of the epoch")
def _(student: Any) -> None:
    tx.manual_seed(1)
    model, (x, y) = Counting(), digits(200)
    order = tx.argsort(y)
    x, y = x[order], y[order]
    bias = np.linspace(-3, 3, 10)  # gives each class another loss, so that no batch is typical
    model.out.load_state_dict({"weight": model.out.weight.detach(), "bias": bias})
    expected = F.cross_entropy(model(x), y).item()
    model.batches.clear()
    result = train_one_epoch(student, model, SGD(model.parameters(), lr=1e-9), x, y)
    found = numbers(result, "a number")
    if found.size != 1 or not abs(float(found) - expected) < 0.08 * expected:
        hint = "add up loss.item() * len(batch), and divide by len(x)"
        if found.size == 1 and abs(found / len(model.batches) - expected) < 0.1 * expected:
            hint = "this is the sum over the batches: divide it by their number"
        wanted = f"about {expected:.3g}, the cross-entropy over all 200 images"
        raise NotYet(wanted, f"{np.round(found, 3).tolist()}", hint)


@LESSON.point(
    "train_one_epoch",
    f"with your MLP: {ACCURACY:.0%} of unseen digits after {EPOCHS} epochs",
    "MLP",
)
def _(student: Any) -> None:
    model, (x, y) = model_checks.make_model(student.MLP), load_digits()[0].tensors
    optimizer = Adam(model.parameters(), lr=5e-3)
    losses = [numbers(train_one_epoch(student, model, optimizer, x, y)) for _ in range(EPOCHS)]
    if not losses[-1] < losses[0] / 2:
        got = f"{float(losses[0]):.3g} in the first epoch, {float(losses[-1]):.3g} in the last"
        hint = "are the images and labels of a batch taken by the same indices?"
        raise NotYet("a loss that falls to less than half", got, hint)
    require_unseen_digits(model, "try more hidden units: 32 or more")
