"""Lesson 4, XOR: no line parts it, and a hidden layer does."""

from typing import Any

import numpy as np

import tinyxp as tx
from tinyxp import Tensor
from tinyxp.data import xor_points
from tinyxp.lessons import learning
from tinyxp.lessons.comparing import numbers
from tinyxp.lessons.points import Lesson, NotYet
from tinyxp.nn import functional as F
from tinyxp.random import Generator

LESSON = Lesson({"wrong_corner": "w, b", "Net": "", "train": "net, x, y"})
CORNERS = {(0, 0): 0, (0, 1): 1, (1, 0): 1, (1, 1): 0}


def lines() -> Any:
    """Lines of all kinds: also those that get three corners right."""
    rng = np.random.default_rng(4)
    yield from (([0.0, 0.0], 0.0), ([1.0, 1.0], -0.5), ([-1.0, -1.0], 1.5), ([1.0, 1.0], -1.5))
    yield from (([1.0, -1.0], -0.5), ([-1.0, 1.0], -0.5), ([-1.0, -1.0], 0.5))
    yield from ((rng.normal(size=2).tolist(), float(rng.normal())) for _ in range(200))


@LESSON.point("wrong_corner", "names, for any line, a corner that it gets wrong")
def _(student: Any) -> None:
    for w, b in lines():
        found = student.wrong_corner(tx.asarray(w), tx.asarray(b))
        corner = numbers(found, "a corner, as (0, 1)").reshape(-1)
        key = tuple(int(v) for v in corner)
        if corner.shape != (2,) or key not in CORNERS or not np.array_equal(corner, key):
            raise NotYet("one of the corners (0, 0), (0, 1), (1, 0), (1, 1)", repr(found))
        score = key[0] * w[0] + key[1] * w[1] + b
        if (score > 0) == (CORNERS[key] == 1):
            raise NotYet(
                f"a corner that the line w = {np.round(w, 3).tolist()}, b = {b:.3g} gets wrong",
                f"{key}, whose class {CORNERS[key]} it gets right: its score is {score:.3g}",
                "ask all four corners; class 1 needs a score above 0, and 0 itself says class 0",
            )


def targets(y: Tensor) -> Tensor:
    return tx.astype(y, tx.float32)


@LESSON.point("Net", "is a model: points (n, 2) -> scores (n,)")
def _(student: Any) -> None:
    tx.manual_seed(0)
    net = learning.module(student.Net)
    learning.answers(net, xor_points(4)[0], (4,))
    learning.answers(net, xor_points(7, Generator(0))[0], (7,))


@LESSON.point("Net", "bends the plane")
def _(student: Any) -> None:
    tx.manual_seed(0)
    learning.bends(learning.module(student.Net), xor_points(20, Generator(1))[0] * 4, (20,))


@LESSON.point("Net", "every parameter gets a gradient")
def _(student: Any) -> None:
    tx.manual_seed(0)
    net = learning.module(student.Net)
    x, y = xor_points(20, Generator(1))
    learning.healthy(
        net, lambda: F.binary_cross_entropy_with_logits(learning.answers(net, x, (20,)), targets(y))
    )


@LESSON.point("train", "steps with fresh gradients, and every parameter moves", "Net")
def _(student: Any) -> None:
    tx.manual_seed(1)
    net = learning.module(student.Net)
    before = learning.snapshot(net)
    with learning.watched() as steps:
        student.train(net, *xor_points(40, Generator(2)))
    learning.stepped(steps, 10)
    learning.moved(before, net)


@LESSON.point("train", "solves XOR from three starts: all of 200 fresh points", "Net")
def _(student: Any) -> None:
    for seed in range(3):
        tx.manual_seed(seed)
        net = learning.module(student.Net)
        student.train(net, *xor_points(100, Generator(seed)))
        x, y = xor_points(200, Generator(100 + seed))
        found = learning.right(learning.answers(net, x, (200,)), y)
        hint = "more hidden units (8), more steps, or another learning rate"
        if found <= 0.76:
            hint = "about what one line gets: does the loss fall at all?"
        learning.reaches(found, 1.0, f"the fresh points, from start {seed},", hint)
