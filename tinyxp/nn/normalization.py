"""Normalization modules, with a learned scale and shift, and running statistics."""

from dataclasses import KW_ONLY, InitVar
from typing import Any

from tinyxp.core.dtypes import int64
from tinyxp.core.operation import expect_tensors
from tinyxp.core.tensor import Tensor
from tinyxp.errors import ShapeError
from tinyxp.nn import functional as F
from tinyxp.nn import init
from tinyxp.nn.fields import FieldModule, FunctionalModule
from tinyxp.nn.functional.normalization import shape_of
from tinyxp.nn.parameter import Parameter
from tinyxp.ops.creation import ones, zeros
from tinyxp.ops.shaping import expand_dims, squeeze

__all__ = [
    "BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "GroupNorm", "InstanceNorm1d",
    "InstanceNorm2d", "InstanceNorm3d", "LayerNorm", "LocalResponseNorm", "RMSNorm",
]  # fmt: skip


class _Affine(FunctionalModule):
    """The base of norms with a scale ``weight``, initially ones, and a shift ``bias``, zeros."""

    def _learn(self, shape: Any, weight: bool, bias: bool, device: str | None, dtype: Any) -> None:
        one, zero = (make(shape, device=device, dtype=dtype) for make in (ones, zeros))
        self.register_parameter("weight", Parameter(one) if weight else None)
        self.register_parameter("bias", Parameter(zero) if weight and bias else None)

    def reset_parameters(self) -> None:
        """Set the weight to ones and the bias to zeros."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)


class LayerNorm(
    _Affine,
    function=F.layer_norm,
    learned=("weight", "bias"),
    shown="{normalized_shape}, eps={eps}, elementwise_affine={elementwise_affine}, bias={has_bias}",
):
    """y = (x - mean) / √(var + eps) · weight + bias over the trailing axes ``normalized_shape``.

    ``weight`` and ``bias`` (*normalized_shape). Raises ShapeError; see ``functional.layer_norm``.

    >>> tx.nn.LayerNorm(3)(tx.asarray([[1.0, 2.0, 3.0]])).detach()
    tensor([[-1.2247356,  0.       ,  1.2247356]])
    """

    normalized_shape: int | tuple[int, ...]
    eps: float = 1e-5
    elementwise_affine: bool = True
    bias: InitVar[bool] = True
    device: InitVar[str | None] = None
    dtype: InitVar[Any] = None

    def __post_init__(self, bias: bool, device: str | None, dtype: Any) -> None:
        self.normalized_shape = shape_of("LayerNorm", self.normalized_shape)
        self._learn(self.normalized_shape, self.elementwise_affine, bias, device, dtype)


class RMSNorm(
    FieldModule, shown="{normalized_shape}, eps={eps}, elementwise_affine={elementwise_affine}"
):
    """y = x / √(mean of x² + eps) · weight over the trailing axes ``normalized_shape``.

    ``weight`` (*normalized_shape) starts as ones. Raises ShapeError; see ``functional.rms_norm``.

    >>> tx.nn.RMSNorm(2)(tx.asarray([[1.0, 7.0]])).detach()
    tensor([[0.2, 1.4]])
    """

    normalized_shape: int | tuple[int, ...]
    eps: float | None = None
    elementwise_affine: bool = True
    device: InitVar[str | None] = None
    dtype: InitVar[Any] = None

    def __post_init__(self, device: str | None, dtype: Any) -> None:
        self.normalized_shape = shape_of("RMSNorm", self.normalized_shape)
        weight = Parameter(ones(self.normalized_shape, device=device, dtype=dtype))
        self.register_parameter("weight", weight if self.elementwise_affine else None)

    def reset_parameters(self) -> None:
        """Set the weight to ones."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, x: Tensor) -> Any:
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)


class GroupNorm(
    _Affine,
    function=F.group_norm,
    learned=("weight", "bias"),
    shown="{num_groups}, {num_channels}, eps={eps}, affine={affine}, bias={has_bias}",
):
    """Normalize each group of channels of each sample: (N, C, ...) -> (N, C, ...).

    ``weight`` and ``bias`` (num_channels). Raises ShapeError; see ``functional.group_norm``.

    >>> tx.nn.GroupNorm(2, 4)(tx.asarray([[1.0, 3.0, 5.0, 5.0]])).detach()
    tensor([[-0.999995,  0.999995,  0.      ,  0.      ]])
    """

    num_groups: int
    num_channels: int
    eps: float = 1e-5
    affine: bool = True
    device: InitVar[str | None] = None
    dtype: InitVar[Any] = None
    _: KW_ONLY
    bias: InitVar[bool] = True

    def __post_init__(self, device: str | None, dtype: Any, bias: bool) -> None:
        if self.num_groups < 1 or self.num_channels % self.num_groups:
            raise ShapeError(
                f"GroupNorm expects channels in {self.num_groups} equal groups, "
                f"got {self.num_channels}"
            )
        self._learn(self.num_channels, self.affine, bias, device, dtype)


class _Running(
    _Affine,
    shown="{num_features}, eps={eps}, momentum={momentum}, affine={affine}, bias={has_bias}, "
    "track_running_stats={track_running_stats}",
):
    """A norm of channels with running statistics; ``axes``: the numbers of axes of an input."""

    num_features: int
    eps: float = 1e-5
    momentum: float | None = 0.1
    affine: bool = True
    track_running_stats: bool = True
    device: InitVar[str | None] = None
    dtype: InitVar[Any] = None
    _: KW_ONLY
    bias: InitVar[bool] = True

    def __post_init__(self, device: str | None, dtype: Any, bias: bool) -> None:
        n, place = self.num_features, {"device": device, "dtype": dtype}
        self._learn(n, self.affine, bias, device, dtype)
        running = {
            "running_mean": zeros(n, **place),
            "running_var": ones(n, **place),
            "num_batches_tracked": zeros((), device=device, dtype=int64),
        }
        for name, value in running.items():
            self.register_buffer(name, value if self.track_running_stats else None)

    def reset_running_stats(self) -> None:
        """Reset the running mean to 0 and the running variance to 1."""
        if self.running_mean is not None and self.running_var is not None:
            init.zeros_(self.running_mean)
            init.ones_(self.running_var)
        if self.num_batches_tracked is not None:
            init.zeros_(self.num_batches_tracked)

    def reset_parameters(self) -> None:
        """Set weight and running variance to ones, bias and running mean to zeros."""
        self.reset_running_stats()
        super().reset_parameters()

    def expect(self, input: Tensor) -> None:
        expect_tensors(type(self).__name__, input)
        if input.ndim not in self.axes:
            shapes = " or ".join(f"{n} axes" for n in self.axes)
            raise ShapeError(f"{type(self).__name__} expects {shapes}, got shape {input.shape}")


class _BatchNorm(_Running):
    def forward(self, input: Tensor) -> Any:
        self.expect(input)
        mean, var, count = self.running_mean, self.running_var, self.num_batches_tracked
        momentum = self.momentum or 0.0
        if self.training and not self.track_running_stats:
            mean = var = None
        elif self.training and count is not None:
            count.array = (count + 1).array  # in place it would change snapshots of the state
            if self.momentum is None:  # the mean over all batches so far
                momentum = 1 / float(count)
        alone = self.training or (mean is None and var is None)
        return F.batch_norm(input, mean, var, self.weight, self.bias, alone, momentum, self.eps)


class BatchNorm1d(_BatchNorm, axes=(2, 3)):
    """Normalize each channel over the batch: (N, C) or (N, C, L) -> the same.

    ``weight`` and ``bias`` (C) are learned. In training, ``running_mean`` and ``running_var`` move
    by the fraction ``momentum`` towards those of the batch (None: they are the mean over all
    batches); evaluation uses them. Raises ShapeError, ArgumentError; see ``functional.batch_norm``.

    >>> norm = tx.nn.BatchNorm1d(1)
    >>> norm(tx.asarray([[1.0], [3.0]])).flatten().detach(), norm.running_mean
    (tensor([-0.999995,  0.999995]), tensor([0.2]))
    """


class BatchNorm2d(_BatchNorm, axes=(4,)):
    """Normalize each channel over batch and positions: (N, C, H, W); see ``BatchNorm1d``.

    >>> tx.nn.BatchNorm2d(1)(tx.asarray([[[[1.0, 3.0]]]])).detach()
    tensor([[[[-0.999995,  0.999995]]]])
    """


class BatchNorm3d(_BatchNorm, axes=(5,)):
    """Normalize each channel over batch and positions: (N, C, D, H, W); see ``BatchNorm1d``.

    >>> tx.nn.BatchNorm3d(1)(tx.asarray([[[[[1.0, 3.0]]]]])).flatten().detach()
    tensor([-0.999995,  0.999995])
    """


class _InstanceNorm(_Running):
    affine: bool = False
    track_running_stats: bool = False

    def forward(self, input: Tensor) -> Any:
        self.expect(input)
        single = input.ndim == self.axes[0]
        y = F.instance_norm(
            expand_dims(input, axis=0) if single else input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            self.momentum or 0.0,
            self.eps,
        )
        return squeeze(y, axis=0) if single else y


class InstanceNorm1d(_InstanceNorm, axes=(2, 3)):
    """Normalize each channel of each sample: (N, C, L) or (C, L) -> the same.

    ``weight`` and ``bias`` (C) with ``affine``; running statistics, as of ``BatchNorm1d``, with
    ``track_running_stats``. Raises ShapeError; see ``functional.instance_norm``.

    >>> tx.nn.InstanceNorm1d(2)(tx.asarray([[1.0, 3.0], [5.0, 5.0]]))
    tensor([[-0.999995,  0.999995],
            [ 0.      ,  0.      ]])
    """


class InstanceNorm2d(_InstanceNorm, axes=(3, 4)):
    """Normalize each channel of each sample: (N, C, H, W) or (C, H, W); see ``InstanceNorm1d``.

    >>> tx.nn.InstanceNorm2d(1)(tx.asarray([[[1.0, 3.0]]]))
    tensor([[[-0.999995,  0.999995]]])
    """


class InstanceNorm3d(_InstanceNorm, axes=(4, 5)):
    """Normalize each channel of each sample: (N, C, D, H, W) or (C, D, H, W).

    >>> tx.nn.InstanceNorm3d(1)(tx.asarray([[[[1.0, 3.0]]]])).flatten()
    tensor([-0.999995,  0.999995])
    """


class LocalResponseNorm(
    FunctionalModule,
    function=F.local_response_norm,
    shown="{size}, alpha={alpha}, beta={beta}, k={k}",
):
    """y = x / (k + α/size · Σ x²)^β over ``size`` channels; see ``functional.local_response_norm``.

    >>> tx.nn.LocalResponseNorm(1, alpha=3.0, beta=0.5)(tx.ones((1, 1, 2)))
    tensor([[[0.5, 0.5]]])
    """

    size: int
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 1.0
