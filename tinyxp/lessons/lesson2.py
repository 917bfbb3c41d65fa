"""Lesson 2, gradients: by hand, without the tape, and by differences."""

from typing import Any

import numpy as np

import tinyxp as tx
from tinyxp.lessons.comparing import differences, near, said
from tinyxp.lessons.points import Lesson, NotYet

LESSON = Lesson({"my_gradient": "x, w, b, t", "numerical_gradient": "f, w"})


def examples() -> Any:
    rng = np.random.default_rng(2)
    for n, d in ((5, 3), (1, 2), (8, 4)):
        yield rng.normal(size=(n, d)), rng.normal(size=d), rng.normal(), rng.normal(size=n)


def loss(x: Any, w: Any, b: Any, t: Any) -> float:
    return float(np.mean((np.tanh(x @ w + b) - t) ** 2))


def pair(student: Any, x: Any, w: Any, b: Any, t: Any) -> tuple[Any, Any]:
    with tx.no_grad():  # by hand: there is no tape
        found = student.my_gradient(*(tx.asarray(v) for v in (x, w, b, t)))
    if not isinstance(found, (tuple, list)) or len(found) != 2:
        raise NotYet("two gradients: return dw, db", said(found))
    return found[0], found[1]


def by_hand(x: Any, w: Any, b: Any, t: Any) -> dict[str, Any]:
    """dL/ds of each sample, s = x·w + b, as it is and with the usual slips."""
    y, n = np.tanh(x @ w + b), len(t)
    ds = 2 * (y - t) * (1 - y**2) / n
    return {
        "": ds,
        "the loss is a mean: divide by n": ds * n,
        "the square's derivative has a factor 2": ds / 2,
        "tanh is missing in the chain: times 1 - y**2": 2 * (y - t) / n,
        "the sign is wrong: the error is y - t, and the gradient points uphill": -ds,
        "tanh's derivative is 1 - y**2 with y = tanh(s), not 1 - s**2": 2
        * (y - t)
        * (1 - (x @ w + b) ** 2)
        / n,
    }


@LESSON.point("my_gradient", "dL/dw is that of finite differences")
def _(student: Any) -> None:
    for x, w, b, t in examples():
        slips = {told: x.T @ ds for told, ds in by_hand(x, w, b, t).items() if told}
        expected = differences(lambda v, x=x, b=b, t=t: loss(x, v, b, t), w)  # type: ignore[misc]
        hint = "dL/dw = sum over samples of dL/ds[i] * x[i]; see the lesson's chain, link by link"
        slips |= {
            "sum over the samples: x.T @ ds, of shape (d,)": x * by_hand(x, w, b, t)[""][:, None]
        }
        near(pair(student, x, w, b, t)[0], expected, hint, slips)


@LESSON.point("my_gradient", "dL/db is that of finite differences")
def _(student: Any) -> None:
    for x, w, b, t in examples():
        ds = by_hand(x, w, b, t)[""]
        slips = {
            "b was broadcast to every sample: sum over that axis": ds,
            "the sum over the samples, not their mean: 1/n is in dL/ds already": ds.mean(),
        }
        expected = differences(lambda v, x=x, w=w, t=t: loss(x, w, float(v), t), np.asarray(b))  # type: ignore[misc]
        near(pair(student, x, w, b, t)[1], expected, "dL/db = sum of dL/ds", slips)


@LESSON.point("numerical_gradient", "central differences of any function")
def _(student: Any) -> None:
    rng = np.random.default_rng(3)
    w = rng.normal(size=4)
    scale = tx.asarray(rng.normal(size=4))
    cases = {
        "sum(w**3)": (lambda v: tx.sum(v**3), 3 * w**2),
        "sin(sum(c*w))": (
            lambda v: tx.sin(tx.sum(scale * v)),
            np.cos(scale.numpy() @ w) * scale.numpy(),
        ),
    }
    for f, expected in cases.values():
        seen: list[Any] = []

        def counted(v: Any, f: Any = f, seen: Any = seen) -> Any:
            seen.append(np.array(tx.asarray(v).numpy(), dtype=np.float64))
            return f(tx.asarray(v, dtype=tx.float64))

        with tx.no_grad():
            found = student.numerical_gradient(counted, tx.asarray(w))
        hint = "(f(w + e) - f(w - e)) / (2 * eps), with e = eps at one place and 0 elsewhere"
        slips = {
            "divide by 2 * eps: the two points are that far apart": 2 * expected,
            "all places were shifted at once: one at a time": np.full(4, expected.sum()),
            "the sign: f(w + e) comes first": -expected,
        }
        near(found, expected, hint, slips)
        if any(np.array_equal(v, w) for v in seen):
            raise NotYet(
                "f at w + e and at w - e",
                "f was asked at w itself",
                "a one-sided difference errs by eps, the central one by eps squared",
            )
