"""Losses of classification; see ``functional`` for formulas and sources."""

import math
from dataclasses import InitVar
from typing import Any

from tinyxp.core.tensor import Tensor
from tinyxp.errors import ArgumentError, ShapeError
from tinyxp.nn import functional as F
from tinyxp.nn.linear_layers import Linear
from tinyxp.nn.loss import Criterion, WeightedLoss
from tinyxp.ops.shaping import reshape

__all__ = ["CrossEntropyLoss", "LinearCrossEntropyLoss", "NLLLoss"]


class _ClassLoss(Criterion):
    weight: Tensor | None = None
    size_average: InitVar[Any] = None
    ignore_index: int = -100
    reduce: InitVar[Any] = None
    reduction: str = "mean"


class CrossEntropyLoss(_ClassLoss, function=F.cross_entropy):
    """-ln softmax(input)[target], or for target probabilities; see ``functional.cross_entropy``.

    >>> tx.nn.CrossEntropyLoss()(tx.asarray([[0.0, 0.0]]), tx.asarray([1]))
    tensor(0.6931472)
    """

    label_smoothing: float = 0.0


class LinearCrossEntropyLoss(WeightedLoss):
    """CrossEntropyLoss of the logits of a Linear, which is the submodule ``linear``.

    Its rows are num_classes · Π out_features; see ``functional.linear_cross_entropy``.
    Raises ShapeError, ArgumentError.

    >>> loss = tx.nn.LinearCrossEntropyLoss(2, 3)
    >>> loss(tx.zeros((1, 2)), tx.asarray([1]))
    tensor(1.0986123, shape=(), dtype=float32, backend=numpy, op=cross_entropy)
    """

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        out_features: tuple[int, ...] = (),
        bias: bool = False,
        device: Any = None,
        dtype: Any = None,
        reduction: str = "mean",
        weight: Tensor | None = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        options: Any = None,
        generator: Any = None,
    ) -> None:
        if weight is not None and weight.shape != (num_classes,):
            raise ShapeError(f"weight has the shape ({num_classes},), got {weight.shape}")
        if not 0 <= label_smoothing <= 1:
            raise ArgumentError(f"label_smoothing lies in [0, 1], got {label_smoothing}")
        super().__init__(weight, reduction=reduction)
        self.num_classes, self.out_features = num_classes, out_features
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing
        self.linear = Linear(
            in_features,
            math.prod(out_features, start=num_classes),
            bias,
            device,
            dtype,
            generator=generator,
        )
        self.options = options

    def forward(self, input: Tensor, target: Tensor) -> Any:
        shape, bias = (self.num_classes, *self.out_features), self.linear.bias
        return F.linear_cross_entropy(
            input,
            reshape(self.linear.weight, (*shape, self.linear.in_features)),
            target,
            linear_bias=None if bias is None else reshape(bias, shape),
            weight=self.weight,
            reduction=self.reduction,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
            options=self.options,
        )

    def extra_repr(self) -> str:
        return (
            f"in_features={self.linear.in_features}, num_classes={self.num_classes}, "
            f"out_features={self.out_features}, bias={self.linear.bias is not None}, "
            f"reduction={self.reduction}, ignore_index={self.ignore_index}, "
            f"label_smoothing={self.label_smoothing}"
        )


class NLLLoss(_ClassLoss, function=F.nll_loss):
    """-input[target] of log-probabilities; see ``functional.nll_loss``.

    >>> tx.nn.NLLLoss()(tx.asarray([[-1.0, -2.0]]), tx.asarray([1]))
    tensor(2.)
    """
