"""Lesson 2, gradients: by hand, without the tape, and by differences."""

from typing import Any

import numpy as np

import tinyxp as tx
from tinyxp.lessons.comparison import compare, describe, differences
from tinyxp.lessons.lesson import Lesson, NotYet

LESSON = Lesson({"my_gradient": "x, w, b, t", "numerical_gradient": "f, w"})


def examples() -> Any:
    rng = np.random.default_rng(2)
    for n, d in ((5, 3), (1, 2), (8, 4)):
        yield rng.normal(size=(n, d)), rng.normal(size=d), rng.normal(), rng.normal(size=n)


def loss(x: Any, w: Any, b: Any, t: Any) -> float:
    return float(np.mean((np.tanh(x @ w + b) - t) ** 2))


def slopes(x: Any, w: Any, b: Any, t: Any) -> tuple[Any, dict[str, Any]]:
    """dL/ds of each sample, where s = x·w + b, and what common mistakes give for it."""
    s = x @ w + b
    y, n = np.tanh(s), len(t)
    ds, with_s = (2 * (y - t) * (1 - v**2) / n for v in (y, s))
    return ds, {
        "the loss is a mean: divide by n": ds * n,
        "the derivative of the square has a factor 2": ds / 2,
        "tanh is missing in the chain: times 1 - y**2": 2 * (y - t) / n,
        "the sign is wrong: the error is y - t, and the gradient points uphill": -ds,
        "tanh's derivative is 1 - y**2 with y = tanh(s), not 1 - s**2": with_s,
    }


@LESSON.point("my_gradient", "dL/dw and dL/db agree with finite differences")
def _(student: Any) -> None:
    for x, w, b, t in examples():
        with tx.no_grad():  # by hand, so there is no tape
            found = student.my_gradient(*(tx.asarray(v) for v in (x, w, b, t)))
        if not isinstance(found, (tuple, list)) or len(found) != 2:
            raise NotYet("two gradients: return dw, db", describe(found))
        ds, wrong = slopes(x, w, b, t)
        mistakes = {hint: x.T @ value for hint, value in wrong.items()}
        mistakes["sum over the samples: x.T @ ds, of shape (d,)"] = x * ds[:, None]
        dw = differences(lambda v, x=x, b=b, t=t: loss(x, v, b, t), w)  # type: ignore[misc]
        hint = "dL/dw = sum over samples of dL/ds[i] * x[i]; follow the chain of the lesson"
        compare(found[0], dw, hint, mistakes)
        mistakes = {
            "b was broadcast to every sample: sum over that axis": ds,
            "the sum over the samples, not their mean: dL/ds already contains 1/n": ds.mean(),
        }
        db = differences(lambda v, x=x, w=w, t=t: loss(x, w, float(v), t), np.asarray(b))  # type: ignore[misc]
        compare(found[1], db, "dL/db = sum of dL/ds", mistakes)


@LESSON.point("numerical_gradient", "gives the central differences of any function")
def _(student: Any) -> None:
    rng = np.random.default_rng(3)
    w, c = rng.normal(size=4), rng.normal(size=4)
    cases = (
        (lambda v: tx.sum(v**3), 3 * w**2),
        (lambda v: tx.sin(tx.sum(tx.asarray(c) * v)), np.cos(c @ w) * c),
    )
    for f, expected in cases:
        points: list[Any] = []

        def recorded(v: Any, f: Any = f, points: Any = points) -> Any:
            points.append(np.array(tx.asarray(v).numpy(), dtype=np.float64))
            return f(tx.asarray(v, dtype=tx.float64))

        with tx.no_grad():
            found = student.numerical_gradient(recorded, tx.asarray(w))
        hint = "(f(w + e) - f(w - e)) / (2 * eps), where e is eps in one place and 0 elsewhere"
        mistakes = {
            "divide by 2 * eps: the two points are that far apart": 2 * expected,
            "all elements were shifted at once: shift one at a time": np.full(4, expected.sum()),
            "the sign: f(w + e) comes first": -expected,
        }
        compare(found, expected, hint, mistakes)
        if any(np.array_equal(v, w) for v in points):
            hint = "a one-sided difference has an error like eps, the central one like eps squared"
            raise NotYet("f at w + e and at w - e", "f was evaluated at w itself", hint)
