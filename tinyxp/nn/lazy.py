"""Modules that infer their input size from the first input, or from a loaded state.

Until then a lazy module holds an :class:`UninitializedParameter`, which moves with ``to``. An
optimizer refuses it, as it would never update the parameters that replace it.
"""

import inspect
from collections.abc import Mapping
from typing import Any

from tinyxp import backends
from tinyxp.core.operation import expect_tensors
from tinyxp.core.tensor import Tensor
from tinyxp.errors import ShapeError
from tinyxp.nn import convolution, linear_layers, normalization
from tinyxp.nn.module import Module
from tinyxp.nn.parameter import Parameter
from tinyxp.ops.creation import zeros

__all__ = [
    "LazyBatchNorm1d", "LazyBatchNorm2d", "LazyBatchNorm3d", "LazyConv1d", "LazyConv2d",
    "LazyConv3d", "LazyConvTranspose1d", "LazyConvTranspose2d", "LazyConvTranspose3d",
    "LazyInstanceNorm1d", "LazyInstanceNorm2d", "LazyInstanceNorm3d", "LazyLinear",
    "UninitializedParameter",
]  # fmt: skip


class UninitializedParameter(Parameter):
    """A placeholder for a parameter of unknown shape; it has a backend, a device and a dtype."""

    __slots__ = ()
    uninitialized = True

    def __repr__(self) -> str:
        return "UninitializedParameter()"


class _Lazy(Module):
    """A module that becomes an ``eager`` one as soon as it knows the first argument for it."""

    eager: type[Module] = Module
    axis: int = 0  # of the input, whose length is the first argument
    least = 1  # the number of axes that a weight needs to give this length
    defaults: Mapping[str, Any] = {}  # that differ from the eager class's

    def __init_subclass__(cls, eager: Any = None, axis: int | None = None, **options: Any) -> None:
        cls.eager, cls.axis = eager or cls.eager, cls.axis if axis is None else axis
        super().__init_subclass__(**options)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        # raises TypeError for a wrong argument
        given = inspect.signature(self.eager).bind(0, *args, **kwargs)
        self._given = {**self.defaults, **dict(list(given.arguments.items())[1:])}
        place = {name: self._given.pop(name, None) for name in ("device", "dtype")}
        self.weight = UninitializedParameter(zeros(0, **place))

    def forward(self, input: Tensor) -> Any:
        expect_tensors(type(self).__name__, input)
        least = self.axis + 1 if self.axis >= 0 else -self.axis
        if input.ndim < least:
            name = type(self).__name__
            raise ShapeError(f"{name} expects {least} axes or more, got input {input.shape}")
        self._become(input.shape[self.axis])
        return self.forward(input)  # now the eager class's

    def _become(self, n: int) -> None:
        eager, place, given = self.eager, self.weight, self._given
        kept = {"training": self.training, "_hooks": self._hooks}
        del self._given
        self.__class__ = eager  # type: ignore[assignment]
        with backends.using(place.backend):
            eager.__init__(self, n, **given, device=place.device, dtype=place.dtype)  # type: ignore[call-arg]
        self.__dict__.update(kept)

    def _meet(self, state: Mapping[str, Any], path: str) -> None:
        held = (
            state.get(f"{path}.{name}" if path else name) for name in ("weight", "running_mean")
        )
        found = next((x for x in held if x is not None), None)
        if found is not None and len(found.shape) >= self.least:  # else load_state_dict refuses it
            self._become(self._inputs(found.shape))

    def _inputs(self, shape: tuple[int, ...]) -> int:
        """Return the first argument, from the shape of the weight or of the running mean."""
        return shape[0]

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in self._given.items())


class LazyLinear(_Lazy, eager=linear_layers.Linear, axis=-1):
    """``Linear`` whose ``in_features`` is the length of the input's last axis.

    >>> layer = tx.nn.LazyLinear(3)
    >>> layer(tx.ones((5, 2))).shape, layer.weight.shape
    ((5, 3), (3, 2))
    """

    least = 2

    def _inputs(self, shape: tuple[int, ...]) -> int:
        return shape[1]


class _LazyConv(_Lazy):
    least = 2

    def _inputs(self, shape: tuple[int, ...]) -> int:
        return shape[1] * int(self._given.get("groups", 1))


class LazyConv1d(_LazyConv, eager=convolution.Conv1d, axis=-2):
    """``Conv1d`` that infers ``in_channels`` from the first input."""


class LazyConv2d(_LazyConv, eager=convolution.Conv2d, axis=-3):
    """``Conv2d`` that infers ``in_channels`` from the first input.

    >>> layer = tx.nn.LazyConv2d(4, kernel_size=3)
    >>> layer(tx.ones((1, 2, 5, 5))).shape, layer.weight.shape
    ((1, 4, 3, 3), (4, 2, 3, 3))
    """


class LazyConv3d(_LazyConv, eager=convolution.Conv3d, axis=-4):
    """``Conv3d`` that infers ``in_channels`` from the first input."""


class LazyConvTranspose1d(_Lazy, eager=convolution.ConvTranspose1d, axis=-2):
    """``ConvTranspose1d`` that infers ``in_channels`` from the first input."""


class LazyConvTranspose2d(_Lazy, eager=convolution.ConvTranspose2d, axis=-3):
    """``ConvTranspose2d`` that infers ``in_channels`` from the first input."""


class LazyConvTranspose3d(_Lazy, eager=convolution.ConvTranspose3d, axis=-4):
    """``ConvTranspose3d`` that infers ``in_channels`` from the first input."""


class LazyBatchNorm1d(_Lazy, eager=normalization.BatchNorm1d, axis=1):
    """``BatchNorm1d`` that infers ``num_features`` from the first input."""


class LazyBatchNorm2d(_Lazy, eager=normalization.BatchNorm2d, axis=1):
    """``BatchNorm2d`` that infers ``num_features`` from the first input."""


class LazyBatchNorm3d(_Lazy, eager=normalization.BatchNorm3d, axis=1):
    """``BatchNorm3d`` that infers ``num_features`` from the first input."""


class _LazyInstanceNorm(_Lazy):
    defaults = {"affine": True, "track_running_stats": True}


class LazyInstanceNorm1d(_LazyInstanceNorm, eager=normalization.InstanceNorm1d, axis=-2):
    """``InstanceNorm1d`` that infers ``num_features`` from the first input.

    As in PyTorch, ``affine`` and ``track_running_stats`` are True by default.
    """


class LazyInstanceNorm2d(_LazyInstanceNorm, eager=normalization.InstanceNorm2d, axis=-3):
    """``InstanceNorm2d`` that infers ``num_features`` from the first input; see the 1d."""


class LazyInstanceNorm3d(_LazyInstanceNorm, eager=normalization.InstanceNorm3d, axis=-4):
    """``InstanceNorm3d`` that infers ``num_features`` from the first input; see the 1d."""
