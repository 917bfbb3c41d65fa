"""Lesson 6, convolution: by hand out of slices, and a network of it."""

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

import tinyxp as tx
from tinyxp import nn
from tinyxp.data import load_digits
from tinyxp.lessons import learning
from tinyxp.lessons.comparing import gradients, near
from tinyxp.lessons.lesson5 import classifier, digits
from tinyxp.lessons.points import Lesson, NotYet
from tinyxp.nn import functional as F
from tinyxp.optim import Adam

LESSON = Lesson({"conv2d": "x, w", "CNN": ""})
STEPS, BATCH, ENOUGH = 600, 32, 0.95


def slid(x: Any, w: Any) -> Any:
    """(n, c, h, w) and (o, c, k, l) -> (n, o, h - k + 1, w - l + 1), window by window."""
    windows = sliding_window_view(x, w.shape[2:], axis=(2, 3))
    return np.einsum("nchwkl,ockl->nohw", windows, w)


def example(
    seed: int, n: int, c: int, o: int, size: tuple[int, int], kernel: tuple[int, int]
) -> Any:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, c, *size)), rng.normal(size=(o, c, *kernel))


@LESSON.point("conv2d", "slides one filter over one image")
def _(student: Any) -> None:
    compared(student, *example(1, 1, 1, 1, (5, 6), (3, 3)))


@LESSON.point("conv2d", "adds up the channels, for every filter and image")
def _(student: Any) -> None:
    compared(student, *example(2, 2, 3, 4, (6, 5), (3, 3)))
    compared(student, *example(3, 3, 2, 2, (5, 5), (2, 3)))


def compared(student: Any, x: Any, w: Any) -> None:
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    near(
        student.conv2d(tx.asarray(x), tx.asarray(w)),
        slid(x, w),
        f"x {x.shape} and w {w.shape}: out[n, o, i, j] = sum over c, k, l of "
        "x[n, c, i + k, j + l] * w[o, c, k, l]",
        {
            "the filter is flipped: networks do not flip it (cross-correlation)": slid(
                x, w[:, :, ::-1, ::-1]
            ),
            "no padding here: only windows that lie inside the image": slid(padded, w),
            "one channel only: sum over all input channels": slid(x[:, :1], w[:, :1]),
            "rows and columns of the filter are exchanged": slid(x, w.swapaxes(2, 3))
            if w.shape[2] == w.shape[3]
            else np.nan,
            "the last row and column of windows are missing: there are h - k + 1": slid(x, w)[
                :, :, :-1, :-1
            ],
        },
    )


@LESSON.point("conv2d", "the tape sees it")
def _(student: Any) -> None:
    x, w = example(4, 2, 2, 2, (4, 4), (3, 2))
    gradients(student.conv2d, slid, {"x": x, "w": w})


@LESSON.point("CNN", "is a model: images (n, 1, 8, 8) -> logits (n, 10), with filters")
def _(student: Any) -> None:
    model = classifier(student.CNN)
    if all(p.ndim != 4 for p in model.parameters()):
        raise NotYet(
            "filters: a parameter of shape (out, in, k, k)",
            f"parameters of shapes {', '.join(str(p.shape) for p in model.parameters())}",
            "use nn.Conv2d, or your conv2d with an nn.Parameter",
        )


@LESSON.point("CNN", "bends")
def _(student: Any) -> None:
    learning.bends(classifier(student.CNN), digits(30)[0], (30, 10))


@LESSON.point("CNN", "every parameter gets a gradient, the filters too")
def _(student: Any) -> None:
    model, (x, y) = classifier(student.CNN), digits(30)
    learning.healthy(model, lambda: F.cross_entropy(model(x), y))


@LESSON.point("CNN", f"learns: {ENOUGH:.0%} of unseen digits after {STEPS} steps of Adam")
def _(student: Any) -> None:
    model, (data, test) = classifier(student.CNN), load_digits()
    before = learning.snapshot(model)
    train(model, *data.tensors)
    learning.moved(before, model)
    model.eval()
    with tx.no_grad():
        found = learning.right(model(test.tensors[0]), test.tensors[1])
    learning.reaches(found, ENOUGH, "360 unseen digits", "more filters (8 or 16), two layers?")


def train(model: nn.Module, x: Any, y: Any) -> None:
    optimizer, draw = Adam(model.parameters(), lr=3e-3), np.random.default_rng(6)
    for _ in range(STEPS):
        batch = tx.asarray(draw.integers(0, len(x), BATCH))
        optimizer.zero_grad()
        F.cross_entropy(model(x[batch]), y[batch]).backward()
        optimizer.step()
