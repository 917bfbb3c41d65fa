"""Lesson 4, XOR: no line separates it, and a hidden layer does."""

from typing import Any

import numpy as np

import tinyxp as tx
from tinyxp.data import xor_points
from tinyxp.lessons import model_checks
from tinyxp.lessons.comparison import numbers
from tinyxp.lessons.lesson import Lesson, NotYet
from tinyxp.nn import functional as F
from tinyxp.random import Generator

LESSON = Lesson({"wrong_corner": "w, b", "Net": "", "train": "net, x, y"})
CORNERS = {(0, 0): 0, (0, 1): 1, (1, 0): 1, (1, 1): 0}


def lines() -> Any:
    """Lines of all kinds, among them those that get three corners right."""
    rng = np.random.default_rng(4)
    yield from (([0.0, 0.0], 0.0), ([1.0, 1.0], -0.5), ([-1.0, -1.0], 1.5), ([1.0, 1.0], -1.5))
    yield from (([1.0, -1.0], -0.5), ([-1.0, 1.0], -0.5), ([-1.0, -1.0], 0.5))
    yield from ((rng.normal(size=2).tolist(), float(rng.normal())) for _ in range(200))


@LESSON.point("wrong_corner", "names, for any line, a corner that the line gets wrong")
def _(student: Any) -> None:
    for w, b in lines():
        found = student.wrong_corner(tx.asarray(w), tx.asarray(b))
        corner = numbers(found, "a corner, such as (0, 1)").reshape(-1)
        key = tuple(int(v) for v in corner)
        if corner.shape != (2,) or key not in CORNERS or not np.array_equal(corner, key):
            raise NotYet("one of the corners (0, 0), (0, 1), (1, 0), (1, 1)", repr(found))
        score = key[0] * w[0] + key[1] * w[1] + b
        if (score > 0) == (CORNERS[key] == 1):
            raise NotYet(
                f"a corner that the line w = {np.round(w, 3).tolist()}, b = {b:.3g} gets wrong",
                f"{key}, whose class {CORNERS[key]} it gets right: its score is {score:.3g}",
                "try all four corners; class 1 needs a score above 0, and 0 means class 0",
            )


model_checks.add_model_points(
    LESSON,
    "Net",
    "points (n, 2) -> scores (n,)",
    lambda: xor_points(20, Generator(1)),
    (),
    lambda scores, y: F.binary_cross_entropy_with_logits(scores, tx.astype(y, tx.float32)),
)


@LESSON.point("train", "takes steps with fresh gradients, and changes every parameter", "Net")
def _(student: Any) -> None:
    net = model_checks.make_model(student.Net, seed=1)
    with model_checks.require_training(net, 10):
        student.train(net, *xor_points(40, Generator(2)))


@LESSON.point("train", "solves XOR from three starts: all of 200 new points", "Net")
def _(student: Any) -> None:
    for seed in range(3):
        net = model_checks.make_model(student.Net, seed)
        student.train(net, *xor_points(100, Generator(seed)))
        x, y = xor_points(200, Generator(100 + seed))
        found = model_checks.accuracy(model_checks.outputs(net, x, (200,)), y)
        hint = "try more hidden units (8), more steps, or another learning rate"
        if found <= 0.76:
            hint = "one line reaches about as much: does the loss fall at all?"
        what = f"the new points, from start {seed},"
        model_checks.require_accuracy(found, 1.0, what, hint)
