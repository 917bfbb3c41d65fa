"""Lesson 6, convolution: by hand from slices, and a network that uses it."""

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

import tinyxp as tx
from tinyxp.data import load_digits
from tinyxp.lessons import model_checks
from tinyxp.lessons.comparison import compare, compare_gradients
from tinyxp.lessons.lesson import Lesson, NotYet
from tinyxp.lessons.lesson5 import ACCURACY, add_classifier_points, require_unseen_digits
from tinyxp.nn import functional as F
from tinyxp.optim import Adam

LESSON = Lesson({"conv2d": "x, w", "CNN": ""})
STEPS, BATCH = 600, 32


def convolve(x: Any, w: Any) -> Any:
    """(n, c, h, w) and (o, c, k, l) -> (n, o, h - k + 1, w - l + 1), window by window."""
    windows = sliding_window_view(x, w.shape[2:], axis=(2, 3))
    return np.einsum("nchwkl,ockl->nohw", windows, w)


def example(
    seed: int, n: int, c: int, o: int, size: tuple[int, int], kernel: tuple[int, int]
) -> Any:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, c, *size)), rng.normal(size=(o, c, *kernel))


def compare_convolution(student: Any, x: Any, w: Any) -> None:
    expected = convolve(x, w)
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    flipped, first = w[:, :, ::-1, ::-1], convolve(x[:, :1], w[:, :1])
    turned = convolve(x, w.swapaxes(2, 3)) if w.shape[2] == w.shape[3] else np.nan
    mistakes = {
        "the filter is flipped, but networks use it as it is": convolve(x, flipped),
        "no padding here: use only windows that lie inside the image": convolve(padded, w),
        "one channel only: sum over all input channels": first,
        "rows and columns of the filter are exchanged": turned,
        "the last row and column of windows are missing: there are h - k + 1": expected[
            :, :, :-1, :-1
        ],
    }
    hint = f"x {x.shape} and w {w.shape}: out[n, o, i, j] = sum over c, k, l of "
    hint += "x[n, c, i + k, j + l] * w[o, c, k, l]"
    compare(student.conv2d(tx.asarray(x), tx.asarray(w)), expected, hint, mistakes)


@LESSON.point("conv2d", "slides one filter over one image")
def _(student: Any) -> None:
    compare_convolution(student, *example(1, 1, 1, 1, (5, 6), (3, 3)))


@LESSON.point("conv2d", "sums over the channels, for every filter and image")
def _(student: Any) -> None:
    compare_convolution(student, *example(2, 2, 3, 4, (6, 5), (3, 3)))
    compare_convolution(student, *example(3, 3, 2, 2, (5, 5), (2, 3)))


@LESSON.point("conv2d", "gradients flow through it")
def _(student: Any) -> None:
    x, w = example(4, 2, 2, 2, (4, 4), (3, 2))
    compare_gradients(student.conv2d, convolve, {"x": x, "w": w})


add_classifier_points(LESSON, "CNN")


@LESSON.point("CNN", "has filters")
def _(student: Any) -> None:
    shapes = [p.shape for p in model_checks.make_model(student.CNN).parameters()]
    if all(len(shape) != 4 for shape in shapes):
        hint = "use nn.Conv2d, or your conv2d with an nn.Parameter"
        got = f"parameters of shapes {', '.join(map(str, shapes))}"
        raise NotYet("filters: a parameter of shape (out, in, k, k)", got, hint)


@LESSON.point("CNN", f"learns: {ACCURACY:.0%} of unseen digits after {STEPS} steps of Adam")
def _(student: Any) -> None:
    model, (x, y) = model_checks.make_model(student.CNN), load_digits()[0].tensors
    optimizer, draw = Adam(model.parameters(), lr=3e-3), np.random.default_rng(6)
    with model_checks.require_training(model, STEPS):
        for _ in range(STEPS):
            batch = tx.asarray(draw.integers(0, len(x), BATCH))
            optimizer.zero_grad()
            F.cross_entropy(model(x[batch]), y[batch]).backward()
            optimizer.step()
    require_unseen_digits(model, "try more filters (8 or 16), or two layers")
