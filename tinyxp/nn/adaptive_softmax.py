"""A softmax over very many classes: most samples need only the cluster of frequent classes."""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

from tinyxp.core import dtypes
from tinyxp.core.operation import expect_tensors
from tinyxp.core.tensor import Tensor
from tinyxp.errors import ArgumentError, ShapeError
from tinyxp.nn import functional as F
from tinyxp.nn.containers import ModuleList, Sequential
from tinyxp.nn.functional.checks import expect_indices
from tinyxp.nn.linear_layers import Linear
from tinyxp.nn.module import Module
from tinyxp.ops.arithmetic import where
from tinyxp.ops.creation import astype
from tinyxp.ops.gathering import index_add, take
from tinyxp.ops.reductions import argmax, mean
from tinyxp.ops.searching import nonzero
from tinyxp.ops.shaping import concat, expand_dims, squeeze
from tinyxp.random import Generator

__all__ = ["AdaptiveLogSoftmaxWithLoss"]


class AdaptiveLogSoftmax(NamedTuple):
    """The log-probability of each target, and the negative of their mean."""

    output: Any
    loss: Any


class AdaptiveLogSoftmaxWithLoss(Module):
    """ln p(target) and its loss, for classes sorted by frequency: (N, I), (N) -> (N), ().

    ``head`` scores the classes below ``cutoffs[0]`` and one cluster for each further range;
    ``tail[i]`` scores the classes of a cluster, from I / div_valueⁱ⁺¹ features:
    ln p(c) = ln softmax(head)[cluster] + ln softmax(tail)[c]. A tail is computed only for samples
    with a target in it. Also for one sample: (I), () -> (), (). Raises ArgumentError, ShapeError,
    DTypeError, IndexingError. Source: Grave et al. 2017, sec. 4.

    >>> loss = tx.nn.AdaptiveLogSoftmaxWithLoss(8, 20, cutoffs=[4, 12], div_value=2.0)
    >>> output, _ = loss(tx.zeros((3, 8)), tx.asarray([0, 5, 19]))
    >>> bool(tx.all(tx.abs(output + tx.log(tx.asarray([6.0, 48.0, 48.0]))) < 1e-6))
    True
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device: str | None = None,
        dtype: Any = None,
        *,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        cutoffs = list(cutoffs)
        ends = [0, *cutoffs, n_classes]
        if not cutoffs or any(int(b) != b or a >= b for a, b in itertools.pairwise(ends)):
            raise ArgumentError(
                f"cutoffs are increasing integers from 1 to at most n_classes - 1 = "
                f"{n_classes - 1}, got {cutoffs}"
            )
        self.in_features, self.n_classes, self.cutoffs = in_features, n_classes, ends[1:]
        self.div_value, self.head_bias = div_value, head_bias
        self.shortlist_size, self.n_clusters = cutoffs[0], len(cutoffs)
        self.head_size = self.shortlist_size + self.n_clusters

        def linear(n: int, m: int, bias: bool = False) -> Linear:
            return Linear(n, m, bias, device, dtype, generator=generator)

        self.head = linear(in_features, self.head_size, head_bias)
        self.tail = ModuleList()
        for i, (start, end) in enumerate(itertools.pairwise(self.cutoffs)):
            hidden = int(in_features // div_value ** (i + 1))
            self.tail.append(Sequential(linear(in_features, hidden), linear(hidden, end - start)))

    def reset_parameters(self) -> None:
        """Draw new initial values of all weights."""
        for linear in (self.head, *itertools.chain(*self.tail)):
            linear.reset_parameters()

    def forward(self, input_: Tensor, target_: Tensor) -> AdaptiveLogSoftmax:
        expect_tensors("AdaptiveLogSoftmaxWithLoss", input_, target_)
        if target_.ndim > 1 or target_.shape != input_.shape[:-1] or input_.ndim == 0:
            raise ShapeError(
                "AdaptiveLogSoftmaxWithLoss expects input (N, I) and target (N), or (I) and (); "
                f"got {input_.shape} and {target_.shape}"
            )
        expect_indices("AdaptiveLogSoftmaxWithLoss", target_, self.n_classes, "classes")
        batched = target_.ndim == 1
        x: Any = input_ if batched else expand_dims(input_, axis=0)
        target: Any = astype(target_ if batched else expand_dims(target_, axis=0), dtypes.int64)
        places, parts = target, []
        for i, (start, end) in enumerate(itertools.pairwise(self.cutoffs)):
            inside = (target >= start) & (target < end)
            places = where(inside, self.shortlist_size + i, places)
            (rows,) = nonzero(inside)
            if rows.size:
                scores = self.tail[i](take(x, rows, axis=0))
                parts.append((rows, _log_p(scores, take(target, rows, axis=0) - start)))
        output = _log_p(self.head(x), places)
        for rows, log_p in parts:
            output = index_add(output, rows, log_p)
        return AdaptiveLogSoftmax(output if batched else squeeze(output, axis=0), -mean(output))

    def log_prob(self, input: Tensor) -> Any:
        """Return ln p of every class: (N, I) -> (N, n_classes)."""
        head: Any = F.log_softmax(self.head(input), dim=1)
        n = self.shortlist_size
        tails = (
            F.log_softmax(tail(input), dim=1) + head[:, n + i : n + i + 1]
            for i, tail in enumerate(self.tail)
        )
        return concat([head[:, :n], *tails], axis=1)

    def predict(self, input: Tensor) -> Any:
        """Return the most probable class: (N, I) -> (N)."""
        return argmax(self.log_prob(input), axis=1)


def _log_p(scores: Any, target: Any) -> Any:
    """ln softmax(scores)[target] of each row: (N, C), (N) -> (N)."""
    return -F.cross_entropy(scores, target, reduction="none")
