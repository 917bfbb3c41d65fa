"""Lesson 1, tensors: broadcasting."""

from typing import Any

import numpy as np

import tinyxp as tx
from tinyxp.lessons.comparing import gradients, near
from tinyxp.lessons.points import Lesson

LESSON = Lesson({"standardize": "x", "outer_table": "a, b", "distances": "a, b"})
rng = np.random.default_rng(1)
X = rng.normal(3.0, 2.0, size=(5, 3)) * [1.0, 5.0, 0.2]
A, B = rng.normal(size=4), rng.normal(size=3)
P, Q = rng.normal(size=(4, 2)), rng.normal(size=(3, 2))


def standard(x: Any, axis: int | None = 0) -> Any:
    return (x - x.mean(axis=axis, keepdims=True)) / x.std(axis=axis, keepdims=True)


def apart(a: Any, b: Any) -> Any:
    return np.sqrt(((a[:, None, :] - b[None, :, :]) ** 2).sum(axis=2))


@LESSON.point("standardize", "every column gets mean 0 and standard deviation 1")
def _(student: Any) -> None:
    for x in (X, rng.normal(size=(7, 2)), X + 100):
        near(
            student.standardize(tx.asarray(x)),
            standard(x),
            "(x - mean) / standard deviation, both along axis=0",
            {
                "one mean for the whole table: take it along axis=0, the rows": standard(x, None),
                "axis=1 standardizes rows; columns are standardized along axis=0": standard(x, 1),
                "the mean is subtracted, but not divided by the standard deviation": x
                - x.mean(axis=0),
                "divided by the variance: its square root is the standard deviation": (
                    x - x.mean(axis=0)
                )
                / x.var(axis=0),
                "divide by n, not by n - 1: tx.std does so without correction": (x - x.mean(axis=0))
                / x.std(axis=0, ddof=1),
            },
        )


@LESSON.point("standardize", "the tape sees it")
def _(student: Any) -> None:
    gradients(student.standardize, standard, {"x": X})


@LESSON.point("outer_table", "(n,) and (m,) give the (n, m) table of a[i] * b[j]")
def _(student: Any) -> None:
    for a, b in ((np.arange(1.0, 4.0), np.arange(2.0, 5.0)), (A, B)):
        near(
            student.outer_table(tx.asarray(a), tx.asarray(b)),
            np.multiply.outer(a, b),
            "a needs a new last axis, (n, 1): then broadcasting makes (n, m)",
            {
                "that is the table of b[i] * a[j]: rows belong to a": np.multiply.outer(b, a),
                "the inner product is one number; a table needs a of shape (n, 1)": np.asarray(
                    a @ b if len(a) == len(b) else np.nan
                ),
                "element by element, without a new axis: a must have shape (n, 1)": a * b
                if len(a) == len(b)
                else np.nan,
                "that is a sum, not a product": np.add.outer(a, b),
            },
        )


@LESSON.point("outer_table", "the tape sees it")
def _(student: Any) -> None:
    gradients(student.outer_table, np.multiply.outer, {"a": A, "b": B})


@LESSON.point("distances", "points (n, d) and (m, d) give the (n, m) distances")
def _(student: Any) -> None:
    for p, q in ((P, Q), (rng.normal(size=(2, 5)), rng.normal(size=(3, 5)))):
        square = apart(p, q) ** 2
        near(
            student.distances(tx.asarray(p), tx.asarray(q)),
            apart(p, q),
            "differences of shape (n, m, d), squared, summed along the last axis, then the root",
            {
                "these are squared distances: the square root is missing": square,
                "rows belong to a, columns to b": apart(q, p),
                "absolute differences are another distance: square, add, take the root": np.abs(
                    p[:, None] - q[None]
                ).sum(axis=2),
            },
        )


@LESSON.point("distances", "the tape sees it")
def _(student: Any) -> None:
    gradients(student.distances, apart, {"a": P, "b": Q})
