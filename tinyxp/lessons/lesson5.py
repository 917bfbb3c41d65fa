"""Lesson 5, the MLP: a model and the training loop that reads digits."""

from typing import Any

import numpy as np

import tinyxp as tx
from tinyxp import Tensor, nn
from tinyxp.data import load_digits
from tinyxp.lessons import learning
from tinyxp.lessons.comparing import numbers
from tinyxp.lessons.points import Lesson, NotYet
from tinyxp.nn import functional as F
from tinyxp.optim import SGD, Adam

LESSON = Lesson({"MLP": "", "train_one_epoch": "model, optimizer, x, y"})
EPOCHS, ENOUGH = 12, 0.95


class Counting(nn.Module):
    """A model of the checker's, which counts the images that it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.out = nn.Linear(64, 16), nn.Linear(16, 10)
        self.seen = 0
        self.batches: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen += len(x)
        self.batches.append(len(x))
        return self.out(tx.tanh(self.hidden(x.flatten(1))))


def digits(n: int) -> tuple[Tensor, Tensor]:
    x, y = load_digits()[0].tensors
    return x[:n], y[:n]


def classifier(make: Any) -> nn.Module:
    """A fresh model, asked for the raw logits of digits."""
    tx.manual_seed(0)
    model = learning.module(make)
    learning.raw_logits(learning.answers(model, digits(30)[0], (30, 10)))
    return model


@LESSON.point("MLP", "is a model: images (n, 1, 8, 8) -> logits (n, 10)")
def _(student: Any) -> None:
    classifier(student.MLP)


@LESSON.point("MLP", "bends")
def _(student: Any) -> None:
    learning.bends(classifier(student.MLP), digits(30)[0], (30, 10))


@LESSON.point("MLP", "every parameter gets a gradient")
def _(student: Any) -> None:
    model, (x, y) = classifier(student.MLP), digits(30)
    learning.healthy(model, lambda: F.cross_entropy(learning.answers(model, x, (30, 10)), y))


def epoch(student: Any, model: nn.Module, optimizer: Any, x: Tensor, y: Tensor) -> Any:
    try:
        return student.train_one_epoch(model, optimizer, x, y)
    except tx.errors.TinyError as error:
        if "cross_entropy" in str(error):
            raise NotYet(
                "F.cross_entropy(logits (n, 10), labels (n,))",
                f"{type(error).__name__}: {error}",
                "are labels and logits swapped? logits come first, labels are integers",
            ) from None
        raise


@LESSON.point("train_one_epoch", "a fresh gradient and a step for every batch")
def _(student: Any) -> None:
    tx.manual_seed(1)
    model, (x, y) = Counting(), digits(200)
    with learning.watched() as steps:
        epoch(student, model, SGD(model.parameters(), lr=0.01), x, y)
    learning.stepped(steps, 1)
    if steps.count == 1:
        raise NotYet(
            "several steps in one epoch",
            "one step with all images",
            "batches of 32, say: for i in range(0, len(x), 32): x[i : i + 32]",
        )


@LESSON.point("train_one_epoch", "every image is seen once")
def _(student: Any) -> None:
    tx.manual_seed(1)
    model, (x, y) = Counting(), digits(200)
    epoch(student, model, SGD(model.parameters(), lr=0.01), x, y)
    if model.seen != 200:
        hint = "is the last, shorter batch left out?" if model.seen < 200 else "once is enough"
        raise NotYet("200 images through the model", f"{model.seen}", hint)


@LESSON.point("train_one_epoch", "moves every parameter of the model that it got")
def _(student: Any) -> None:
    tx.manual_seed(1)
    model, (x, y) = Counting(), digits(200)
    before = learning.snapshot(model)
    epoch(student, model, SGD(model.parameters(), lr=0.01), x, y)
    learning.moved(before, model)


@LESSON.point("train_one_epoch", "returns the mean loss of the epoch")
def _(student: Any) -> None:
    tx.manual_seed(1)
    model, (x, y) = Counting(), digits(200)
    order = tx.argsort(y)
    x, y = x[order], y[order]
    bias = np.linspace(-3, 3, 10)  # another loss for each class: no batch stands for all
    model.out.load_state_dict({"weight": model.out.weight.detach(), "bias": bias})
    logits = numbers(model(x))
    picked = logits[np.arange(200), y.numpy()]
    expected = float(np.mean(np.log(np.exp(logits).sum(axis=1)) - picked))
    model.batches.clear()
    found = numbers(epoch(student, model, SGD(model.parameters(), lr=1e-9), x, y), "a number")
    batches = len(model.batches)
    if found.size != 1 or not abs(float(found) - expected) < 0.08 * expected:
        hint = "add up loss.item() * len(batch), and divide by len(x)"
        if found.size == 1 and abs(float(found) / batches - expected) < 0.1 * expected:
            hint = "that is the sum over the batches: divide it by their number"
        raise NotYet(
            f"about {expected:.3g}, the cross-entropy over all 200 images",
            f"{np.round(found, 3).tolist()}",
            hint,
        )


@LESSON.point(
    "train_one_epoch",
    f"with your MLP: {ENOUGH:.0%} of unseen digits after {EPOCHS} epochs",
    "MLP",
)
def _(student: Any) -> None:
    model, (data, test) = classifier(student.MLP), load_digits()
    optimizer = Adam(model.parameters(), lr=5e-3)
    losses = [numbers(epoch(student, model, optimizer, *data.tensors)) for _ in range(EPOCHS)]
    if not losses[-1] < losses[0] / 2:
        raise NotYet(
            "a loss that falls to less than half",
            f"{float(losses[0]):.3g} in the first epoch, {float(losses[-1]):.3g} in the last",
            "are images and labels of a batch taken by the same indices?",
        )
    model.eval()
    found = learning.right(model(test.tensors[0]), test.tensors[1])
    learning.reaches(found, ENOUGH, "360 unseen digits", "more hidden units: 32 or more")
