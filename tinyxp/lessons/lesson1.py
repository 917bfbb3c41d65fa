"""Lesson 1, tensors: broadcasting."""

from typing import Any

import numpy as np

import tinyxp as tx
from tinyxp.lessons.comparison import compare, compare_gradients
from tinyxp.lessons.lesson import Lesson

LESSON = Lesson({"standardize": "x", "outer_table": "a, b", "distances": "a, b"})
rng = np.random.default_rng(1)
X = rng.normal(3.0, 2.0, size=(5, 3)) * [1.0, 5.0, 0.2]
A, B = rng.normal(size=4), rng.normal(size=3)
P, Q = rng.normal(size=(4, 2)), rng.normal(size=(3, 2))


def standardize(x: Any, axis: int | None = 0) -> Any:
    return (x - x.mean(axis=axis, keepdims=True)) / x.std(axis=axis, keepdims=True)


def distances(a: Any, b: Any) -> Any:
    return np.sqrt(((a[:, None, :] - b[None, :, :]) ** 2).sum(axis=2))


@LESSON.point("standardize", "every column gets mean 0 and standard deviation 1")
def _(student: Any) -> None:
    for x in (X, rng.normal(size=(7, 2)), X + 100):
        centred = x - x.mean(axis=0)
        mistakes = {
            "one mean for the whole table: take it along axis=0, the rows": standardize(x, None),
            "axis=1 standardizes rows; columns are standardized along axis=0": standardize(x, 1),
            "the mean is subtracted, but not divided by the standard deviation": centred,
            "divided by the variance: its square root is the standard deviation": centred
            / x.var(axis=0),
            "divide by n, not by n - 1: tx.std does so without correction": centred
            / x.std(axis=0, ddof=1),
        }
        hint = "(x - mean) / standard deviation, both along axis=0"
        compare(student.standardize(tx.asarray(x)), standardize(x), hint, mistakes)


@LESSON.point("standardize", "gradients flow through it")
def _(student: Any) -> None:
    compare_gradients(student.standardize, standardize, {"x": X})


@LESSON.point("outer_table", "(n,) and (m,) give the (n, m) table of a[i] * b[j]")
def _(student: Any) -> None:
    for a, b in ((np.arange(1.0, 4.0), np.arange(2.0, 5.0)), (A, B)):
        square = len(a) == len(b)
        mistakes = {
            "this is the table of b[i] * a[j]: rows belong to a": np.multiply.outer(b, a),
            "the inner product is one number; a table needs a of shape (n, 1)": a @ b
            if square
            else np.nan,
            "element by element, without a new axis: a must have shape (n, 1)": a * b
            if square
            else np.nan,
            "this is a sum, not a product": np.add.outer(a, b),
        }
        hint = "a needs a new last axis, (n, 1): then broadcasting gives (n, m)"
        found = student.outer_table(tx.asarray(a), tx.asarray(b))
        compare(found, np.multiply.outer(a, b), hint, mistakes)


@LESSON.point("outer_table", "gradients flow through it")
def _(student: Any) -> None:
    compare_gradients(student.outer_table, np.multiply.outer, {"a": A, "b": B})


@LESSON.point("distances", "points (n, d) and (m, d) give the (n, m) distances")
def _(student: Any) -> None:
    for p, q in ((P, Q), (rng.normal(size=(2, 5)), rng.normal(size=(3, 5)))):
        manhattan = np.abs(p[:, None] - q[None]).sum(axis=2)
        mistakes = {
            "these are squared distances: the square root is missing": distances(p, q) ** 2,
            "rows belong to a, columns to b": distances(q, p),
            "absolute differences give another distance: square, sum, take the root": manhattan,
        }
        hint = "differences of shape (n, m, d), squared, summed along the last axis, then the root"
        found = student.distances(tx.asarray(p), tx.asarray(q))
        compare(found, distances(p, q), hint, mistakes)


@LESSON.point("distances", "gradients flow through it")
def _(student: Any) -> None:
    compare_gradients(student.distances, distances, {"a": P, "b": Q})
