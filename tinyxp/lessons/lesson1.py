"""Lesson 1, tensors: broadcasting."""

from typing import Any

import numpy as np

from tinyxp.lessons.comparison import add_formula_points
from tinyxp.lessons.lesson import Lesson

LESSON = Lesson({"standardize": "x", "outer_table": "a, b", "distances": "a, b"})
rng = np.random.default_rng(1)
X = rng.normal(3.0, 2.0, size=(5, 3)) * [1.0, 5.0, 0.2]


def standardize(x: Any, axis: int | None = 0) -> Any:
    return (x - x.mean(axis=axis, keepdims=True)) / x.std(axis=axis, keepdims=True)


def standardize_mistakes(x: Any) -> dict[str, Any]:
    centred = x - x.mean(axis=0)
    by_variance, by_n_minus_1 = centred / x.var(axis=0), centred / x.std(axis=0, ddof=1)
    return {
        "one mean for the whole table: take it along axis=0, the rows": standardize(x, None),
        "axis=1 standardizes rows; columns are standardized along axis=0": standardize(x, 1),
        "the mean is subtracted, but not divided by the standard deviation": centred,
        "divided by the variance: its square root is the standard deviation": by_variance,
        "divide by n, not by n - 1: tx.std does so without correction": by_n_minus_1,
    }


add_formula_points(
    LESSON,
    "standardize",
    "every column gets mean 0 and standard deviation 1",
    standardize,
    [(X + 100,), (rng.normal(size=(7, 2)),), (X,)],
    "(x - mean) / standard deviation, both along axis=0",
    standardize_mistakes,
)


def outer_table_mistakes(a: Any, b: Any) -> dict[str, Any]:
    inner, product = (a @ b, a * b) if len(a) == len(b) else (np.nan, np.nan)
    return {
        "this is the table of b[i] * a[j]: rows belong to a": np.multiply.outer(b, a),
        "the inner product is one number; a table needs a of shape (n, 1)": inner,
        "element by element, without a new axis: a must have shape (n, 1)": product,
        "this is a sum, not a product": np.add.outer(a, b),
    }


add_formula_points(
    LESSON,
    "outer_table",
    "(n,) and (m,) give the (n, m) table of a[i] * b[j]",
    np.multiply.outer,
    [(np.arange(1.0, 4.0), np.arange(2.0, 5.0)), (rng.normal(size=4), rng.normal(size=3))],
    "a needs a new last axis, (n, 1): then broadcasting gives (n, m)",
    outer_table_mistakes,
)


def distances(a: Any, b: Any) -> Any:
    return np.sqrt(((a[:, None, :] - b[None, :, :]) ** 2).sum(axis=2))


def distances_mistakes(a: Any, b: Any) -> dict[str, Any]:
    absolute = np.abs(a[:, None] - b[None]).sum(axis=2)
    return {
        "these are squared distances: the square root is missing": distances(a, b) ** 2,
        "rows belong to a, columns to b": distances(b, a),
        "absolute differences give another distance: square, sum, take the root": absolute,
    }


add_formula_points(
    LESSON,
    "distances",
    "points (n, d) and (m, d) give the (n, m) distances",
    distances,
    [(rng.normal(size=(n, d)), rng.normal(size=(3, d))) for n, d in ((4, 2), (2, 5))],
    "differences of shape (n, m, d), squared, summed along the last axis, then the root",
    distances_mistakes,
)
