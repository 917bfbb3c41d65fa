"""How cuBLAS can read the operands of a product without copies: arithmetic on shapes and strides.

A BLAS reads matrices with contiguous rows or columns at a constant distance, and batches of such
matrices at a constant distance. Most views are that: a transpose, a slice of columns, heads of one
projection.
"""

import math
from itertools import product
from typing import Any, NamedTuple

import numpy as np

Sizes = tuple[int, ...]
MOST = 64  # calls for one product; with more, a copy costs less


class Matrix(NamedTuple):
    """A matrix, or its transpose, with contiguous rows at a distance of ``step`` elements."""

    transposed: bool
    step: int


class Product(NamedTuple):
    """``batch`` products (m, k) @ (k, n) at distances of ``strides`` for a, b and the result; and
    the same at each of ``offsets``. All in elements."""

    m: int
    n: int
    k: int
    a: Matrix
    b: Matrix
    batch: int
    strides: tuple[int, int, int]
    offsets: list[tuple[int, int, int]]


def matrix(shape: Sizes, strides: Sizes) -> Matrix | None:
    """How the last two axes lie; None if neither rows nor columns are contiguous.

    >>> matrix((3, 4), (4, 1)), matrix((3, 4), (1, 3)), matrix((3, 4), (8, 2))
    (Matrix(transposed=False, step=4), Matrix(transposed=True, step=3), None)
    """
    for transposed in (False, True):
        (rows, columns), (down, along) = shape[-2:], strides[-2:]
        if transposed:
            rows, columns, down, along = columns, rows, along, down
        down = max(columns, 1) if rows <= 1 else down
        if (along == 1 or columns <= 1) and down >= max(columns, 1):
            return Matrix(transposed, down)
    return None


def plan(a_shape: Sizes, a_strides: Sizes, b_shape: Sizes, b_strides: Sizes) -> Product | None:
    """The product of (..., m, k) and (..., k, n), leading axes broadcast; the result is contiguous.

    Strides are in elements. None: an operand should be copied first. Raises ValueError for leading
    axes that do not broadcast.

    >>> plan((8, 5, 3), (15, 3, 1), (3, 4), (4, 1))[:3]  # one matrix on the right: one product
    (40, 4, 3)
    """
    a, b = matrix(a_shape, a_strides), matrix(b_shape, b_strides)
    if a is None or b is None:
        return None
    m, k, n = a_shape[-2], a_shape[-1], b_shape[-1]
    front = np.broadcast_shapes(a_shape[:-2], b_shape[:-2])
    c_strides = tuple(m * n * math.prod(front[i + 1 :]) for i in range(len(front)))
    a_steps = spread(front, a_shape[:-2], a_strides[:-2])
    b_steps = spread(front, b_shape[:-2], b_strides[:-2])
    axes = zip(front, a_steps, b_steps, c_strides, strict=True)
    steps = [step for step in axes if step[0] != 1]
    # the last axes of the batch that lie at one distance in all three
    count, strides = 1, (0, 0, m * n)
    if steps:
        count, *rest = steps.pop()
        strides = (rest[0], rest[1], rest[2])
        while steps and steps[-1][1:] == tuple(stride * count for stride in strides):
            count *= steps.pop()[0]
    if strides[1] == 0 and strides[0] == m * a.step and not a.transposed:
        m, count = m * count, 1  # rows of all matrices, times one matrix
    if math.prod(step[0] for step in steps) > MOST:
        return None
    offsets: list[Any] = [
        tuple(sum(i * step[x] for i, step in zip(place, steps, strict=True)) for x in (1, 2, 3))
        for place in product(*[range(step[0]) for step in steps])
    ]
    return Product(m, n, k, a, b, count, strides, offsets)


def spread(front: Sizes, shape: Sizes, strides: Sizes) -> Sizes:
    """The strides of axes broadcast to ``front``: 0 along those that are repeated."""
    extra = len(front) - len(shape)
    return (0,) * extra + tuple(0 if n == 1 else s for n, s in zip(shape, strides, strict=True))
