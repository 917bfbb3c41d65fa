"""Lesson 3, the perceptron: Rosenblatt's rule, and a line that it finds."""

from typing import Any

import numpy as np

import tinyxp as tx
from tinyxp.lessons.comparing import near, numbers, said
from tinyxp.lessons.learning import reaches
from tinyxp.lessons.points import Lesson, NotYet
from tinyxp.random import Generator

LESSON = Lesson({"perceptron_step": "w, b, x, y", "train": "points, labels"})


def line(found: Any) -> tuple[Any, Any]:
    """The w (2,) and b () that a student's function returned."""
    if not isinstance(found, (tuple, list)) or len(found) != 2:
        raise NotYet("two values: return w, b", said(found))
    w, b = numbers(found[0]), numbers(found[1])
    if w.shape != (2,) or b.size != 1:
        raise NotYet("w of shape (2,) and b a number", f"shapes {w.shape} and {b.shape}")
    return w, b.reshape(())


def asked(student: Any, w: Any, b: float, x: Any, y: int) -> tuple[Any, Any]:
    step = student.perceptron_step
    return line(step(tx.asarray(w), tx.asarray(b), tx.asarray(x), tx.asarray(y)))


def moves(student: Any, w: Any, b: float, x: Any, y: int, sign: int, when: str) -> None:
    """The step must add ``sign`` times the point, and ``sign`` to the threshold."""
    w, x = np.array(w), np.array(x)
    found = asked(student, w, b, x, y)
    near(
        found[0],
        w + sign * x,
        f"{when}: w {'+' if sign > 0 else '-'} x",
        {
            "nothing changed, though the answer was wrong" + (
                ": class 0 has the target -1, and y * x is 0 for it" if y == 0 else
                ": a score of 0 says class 0; class 1 needs a score above 0"): w,
            "that is the wrong way: it makes the mistake worse": w - sign * x,
        },
    )  # fmt: skip
    near(
        found[1],
        np.asarray(b + sign),
        f"{when}: b {'+' if sign > 0 else '-'} 1",
        {"b learns too, as if it were the weight of an input that is always 1": np.asarray(b)},
    )


@LESSON.point("perceptron_step", "a point of class 1 said to be 0 is added: w + x, b + 1")
def _(student: Any) -> None:
    moves(student, [0.5, -1.0], -1.0, [2.0, 1.0], 1, 1, "a missed 1")
    moves(student, [0.0, 0.0], 0.0, [0.25, -3.0], 1, 1, "a missed 1")


@LESSON.point("perceptron_step", "a point of class 0 said to be 1 is taken off: w - x, b - 1")
def _(student: Any) -> None:
    moves(student, [1.0, 1.0], 0.5, [2.0, -1.0], 0, -1, "a false 1")


@LESSON.point("perceptron_step", "a right answer changes nothing")
def _(student: Any) -> None:
    for x, y in (([2.0, 1.0], 1), ([-2.0, 1.0], 0)):
        found = asked(student, [1.0, -0.5], 0.25, x, y)
        hint = "Rosenblatt's machine learns from its mistakes, and only from them"
        near(found[0], np.array([1.0, -0.5]), hint)
        near(found[1], np.array(0.25), hint)


@LESSON.point(
    "train", "parts five pairs of clouds, and fresh points of the same", "perceptron_step"
)
def _(student: Any) -> None:
    for seed in range(5):
        draw = Generator(seed)
        fresh = tx.data.two_clouds(200, draw)
        points, labels = tx.data.two_clouds(200, draw)
        if seed % 2:
            points, labels = -points, 1 - labels  # the other way round
            fresh = -fresh[0], 1 - fresh[1]
        w, b = line(student.train(points, labels))
        for (x, y), least, what in (((points, labels), 1.0, "the points it learned from"),
                                    (fresh, 0.9, "fresh points")):  # fmt: skip
            scores = numbers(x) @ w + b
            hint = "go round and round until one round makes no mistake"
            if np.all(w == 0) and b == 0:
                hint = "w and b are still 0: are the results of perceptron_step kept?"
            elif b == 0:
                hint = "b stayed 0, and a line through the origin does not part these clouds"
            reaches(float(np.mean((scores > 0) == (y.numpy() == 1))), least, what, hint)


@LESSON.point("train", "comes to an end on XOR too, which no line parts", "perceptron_step")
def _(student: Any) -> None:
    line(student.train(*tx.data.xor_points(4)))
