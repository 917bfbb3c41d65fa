"""Lesson 3, the perceptron: Rosenblatt's rule, and a line that it finds."""

from typing import Any

import numpy as np

import tinyxp as tx
from tinyxp.lessons.comparison import compare, describe, numbers
from tinyxp.lessons.lesson import Lesson, NotYet
from tinyxp.lessons.model_checks import require_accuracy
from tinyxp.random import Generator

LESSON = Lesson({"perceptron_step": "w, b, x, y", "train": "points, labels"})


def line(found: Any) -> tuple[Any, Any]:
    """The w (2,) and b () that a student's function returned."""
    if not isinstance(found, (tuple, list)) or len(found) != 2:
        raise NotYet("two values: return w, b", describe(found))
    w, b = numbers(found[0]), numbers(found[1])
    if w.shape != (2,) or b.size != 1:
        raise NotYet("w of shape (2,) and b a number", f"shapes {w.shape} and {b.shape}")
    return w, b.reshape(())


def compare_step(
    student: Any, w: Any, b: float, x: Any, y: int, sign: int, hint: str, unchanged: str = ""
) -> None:
    """Raise NotYet unless the step adds ``sign`` times the point, and ``sign`` to the threshold.

    ``unchanged`` is the hint for a student whose w does not change.
    """
    w, x = np.array(w), np.array(x)
    new_w, new_b = line(student.perceptron_step(*(tx.asarray(v) for v in (w, b, x, y))))
    mistakes = {unchanged: w, "this is the wrong way: it increases the mistake": w - sign * x}
    compare(new_w, w + sign * x, hint, mistakes if sign else None)
    also = {"b changes too, like the weight of an input that is always 1": np.asarray(b)}
    compare(new_b, np.asarray(b + sign), hint, also if sign else None)


@LESSON.point("perceptron_step", "moves w and b by a point with a wrong answer: w + t x, b + t")
def _(student: Any) -> None:
    unchanged = "nothing changed, though the answer was wrong: "
    zero = unchanged + "a score of 0 means class 0; class 1 needs a score above 0"
    target = unchanged + "class 0 has the target t = -1, while y * x is 0 for it"
    compare_step(student, [0.5, -1.0], -1.0, [2.0, 1.0], 1, 1, "class 1: w + x, b + 1", zero)
    compare_step(student, [0.0, 0.0], 0.0, [0.25, -3.0], 1, 1, "class 1: w + x, b + 1", zero)
    compare_step(student, [1.0, 1.0], 0.5, [2.0, -1.0], 0, -1, "class 0: w - x, b - 1", target)


@LESSON.point("perceptron_step", "changes nothing after a right answer")
def _(student: Any) -> None:
    hint = "Rosenblatt's machine learns from its mistakes, and only from them"
    for x, y in (([2.0, 1.0], 1), ([-2.0, 1.0], 0)):
        compare_step(student, [1.0, -0.5], 0.25, x, y, 0, hint)


@LESSON.point("train", "separates five pairs of clouds, and new points of them", "perceptron_step")
def _(student: Any) -> None:
    for seed in range(5):
        draw = Generator(seed)
        new = tx.data.two_clouds(200, draw)
        points, labels = tx.data.two_clouds(200, draw)
        if seed % 2:  # exchange the sides
            points, labels = -points, 1 - labels
            new = -new[0], 1 - new[1]
        w, b = line(student.train(points, labels))
        hint = "repeat until one round over all points makes no mistake"
        if np.all(w == 0) and b == 0:
            hint = "w and b are still 0: are the results of perceptron_step kept?"
        elif b == 0:
            hint = "b stayed 0, and a line through the origin does not separate these clouds"
        for (x, y), least, what in (
            ((points, labels), 1.0, "the training points"),
            (new, 0.9, "new points"),
        ):
            right = (numbers(x) @ w + b > 0) == (y.numpy() == 1)
            require_accuracy(float(np.mean(right)), least, what, hint)


@LESSON.point("train", "ends on XOR too, which no line separates", "perceptron_step")
def _(student: Any) -> None:
    line(student.train(*tx.data.xor_points(4)))
