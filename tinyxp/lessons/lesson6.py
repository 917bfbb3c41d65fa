"""Lesson 6, convolution: by hand from slices, and a network that uses it."""

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

import tinyxp as tx
from tinyxp.data import load_digits
from tinyxp.lessons import model_checks
from tinyxp.lessons.comparison import add_formula_points
from tinyxp.lessons.lesson import Lesson, NotYet
from tinyxp.lessons.lesson5 import ACCURACY, add_classifier_points, require_unseen_digits
from tinyxp.nn import functional as F
from tinyxp.optim import Adam

LESSON = Lesson({"conv2d": "x, w", "CNN": ""})
STEPS, BATCH = 600, 32
SHAPES = (((1, 1, 5, 6), (1, 1, 3, 3)), ((2, 3, 6, 5), (4, 3, 3, 3)), ((3, 2, 5, 5), (2, 2, 2, 3)))
rng = np.random.default_rng(6)


def convolve(x: Any, w: Any) -> Any:
    """(n, c, h, w) and (o, c, k, l) -> (n, o, h - k + 1, w - l + 1), window by window."""
    windows = sliding_window_view(x, w.shape[2:], axis=(2, 3))
    return np.einsum("nchwkl,ockl->nohw", windows, w)


def conv2d_mistakes(x: Any, w: Any) -> dict[str, Any]:
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    turned = convolve(x, w.swapaxes(2, 3)) if w.shape[2] == w.shape[3] else np.nan
    without_last = convolve(x[:, :, :-1, :-1], w)
    return {
        "the filter is flipped, but networks use it as it is": convolve(x, w[:, :, ::-1, ::-1]),
        "no padding here: use only windows that lie inside the image": convolve(padded, w),
        "one channel only: sum over all input channels": convolve(x[:, :1], w[:, :1]),
        "rows and columns of the filter are exchanged": turned,
        "the last row and column of windows are missing: there are h - k + 1": without_last,
    }


add_formula_points(
    LESSON,
    "conv2d",
    "slides every filter over every image, and sums over the channels",
    convolve,
    [(rng.normal(size=x), rng.normal(size=w)) for x, w in SHAPES],
    "out[n, o, i, j] = sum over c, k, l of x[n, c, i + k, j + l] * w[o, c, k, l]",
    conv2d_mistakes,
)
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
