"""Convolutions and transposed convolutions, with the arguments and initialization of torch.nn."""

from dataclasses import KW_ONLY, InitVar
from typing import Any, ClassVar

from tinyxp.core.tensor import Tensor
from tinyxp.errors import ArgumentError
from tinyxp.nn import functional as F
from tinyxp.nn import init
from tinyxp.nn.fields import FieldModule
from tinyxp.nn.functional.checks import numbers
from tinyxp.nn.functional.convolution import margins, transposed_size
from tinyxp.nn.parameter import register_empty
from tinyxp.random import Generator

__all__ = ["Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"]

Sizes = int | tuple[int, ...]


class _Convolution(FieldModule):
    """The base of all convolutions: checks, parameters and repr."""

    transposed: ClassVar[bool] = False
    in_channels: int
    out_channels: int
    kernel_size: Sizes

    def _prepare(
        self: Any, bias: bool, device: str | None, dtype: Any, generator: Generator | None
    ) -> None:
        """Check the sizes, and make the parameters."""
        name, n, groups = type(self).__name__, self.axes, self.groups
        numbers(name, "groups", groups, 1, 1)
        channels = (self.in_channels, self.out_channels)
        if channels[0] % groups or channels[1] % groups:
            raise ArgumentError(
                f"{name}: groups must divide the channels, got {groups} for in_channels="
                f"{channels[0]} and out_channels={channels[1]}"
            )
        self.kernel_size = numbers(name, "kernel_size", self.kernel_size, n, 1)
        self.stride = numbers(name, "stride", self.stride, n, 1)
        self.dilation = numbers(name, "dilation", self.dilation, n, 1)
        self.output_padding = numbers(name, "output_padding", self.output_padding, n, 0)
        if not isinstance(self.padding, str):
            self.padding = numbers(name, "padding", self.padding, n, 0)
        elif self.padding not in ("same", "valid"):
            raise ArgumentError(
                f"{name}: padding is 'same', 'valid' or integers, got {self.padding!r}"
            )
        elif self.padding == "same" and any(s != 1 for s in self.stride):
            raise ArgumentError(f"{name}: padding='same' needs stride=1, got {self.stride}")
        first, second = channels if self.transposed else channels[::-1]
        weight = (first, second // groups, *self.kernel_size)
        shapes = {"weight": weight, "bias": channels[1] if bias else None}
        register_empty(self, shapes, device, dtype)
        self.reset_parameters(generator)

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw new initial values."""
        init.default_(self.weight, self.bias, generator)

    def extra_repr(self) -> str:
        parts = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"]
        parts += [f"stride={self.stride}"]
        for name, usual in (("padding", 0), ("dilation", 1), ("output_padding", 0)):
            if getattr(self, name) != (usual,) * self.axes:
                parts += [f"{name}={getattr(self, name)}"]
        parts += [f"groups={self.groups}"] if self.groups != 1 else []
        parts += ["bias=False"] if self.bias is None else []
        parts += [f"padding_mode={self.padding_mode}"] if self.padding_mode != "zeros" else []
        return ", ".join(parts)


class _Conv(_Convolution):
    stride: Sizes = 1
    padding: Sizes | str = 0
    dilation: Sizes = 1
    groups: int = 1
    bias: InitVar[bool] = True
    padding_mode: str = "zeros"
    device: InitVar[str | None] = None
    dtype: InitVar[Any] = None
    _: KW_ONLY
    generator: InitVar[Generator | None] = None

    def __post_init__(
        self, bias: bool, device: str | None, dtype: Any, generator: Generator | None
    ) -> None:
        if self.padding_mode not in ("zeros", "reflect", "replicate", "circular"):
            raise ArgumentError(
                f"{type(self).__name__}: padding_mode is 'zeros', 'reflect', 'replicate' or "
                f"'circular', got {self.padding_mode!r}"
            )
        self.output_padding = 0
        self._prepare(bias, device, dtype, generator)

    def forward(self, input: Tensor) -> Any:
        conv = getattr(F, f"conv{self.axes}d")
        padding: Any = self.padding
        if self.padding_mode != "zeros":
            name = type(self).__name__
            pairs = margins(name, padding, self.kernel_size, self.stride, self.dilation)
            flat = tuple(p for pair in reversed(pairs) for p in pair)  # the last axis first
            input, padding = F.pad(input, flat, mode=self.padding_mode), 0
        return conv(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class _ConvTranspose(_Convolution):
    transposed = True
    stride: Sizes = 1
    padding: Sizes = 0
    output_padding: Sizes = 0
    groups: int = 1
    bias: InitVar[bool] = True
    dilation: Sizes = 1
    padding_mode: str = "zeros"
    device: InitVar[str | None] = None
    dtype: InitVar[Any] = None
    _: KW_ONLY
    generator: InitVar[Generator | None] = None

    def __post_init__(
        self, bias: bool, device: str | None, dtype: Any, generator: Generator | None
    ) -> None:
        if self.padding_mode != "zeros" or isinstance(self.padding, str):
            raise ArgumentError(
                f"{type(self).__name__} expects padding_mode='zeros' and integers as padding, "
                f"got {self.padding_mode!r} and {self.padding!r}"
            )
        self._prepare(bias, device, dtype, generator)

    def forward(self, input: Tensor, output_size: Any = None) -> Any:
        extra = self.output_padding
        if output_size is not None:
            extra = self._for_size(input, tuple(output_size))
        conv = getattr(F, f"conv_transpose{self.axes}d")
        sizes = self.stride, self.padding, extra, self.groups, self.dilation
        return conv(input, self.weight, self.bias, *sizes)

    def _for_size(self, input: Tensor, size: tuple[int, ...]) -> tuple[int, ...]:
        """Return the output_padding that gives this output size."""
        n: int = self.axes
        stride: Any = self.stride
        if len(size) == input.ndim:
            size = size[-n:]
        none = (0,) * n
        least = transposed_size(
            input.shape[-n:], self.kernel_size, stride, self.padding, none, self.dilation
        )
        extra = tuple(m - usual for m, usual in zip(size, least, strict=False))
        if len(size) != n or any(not 0 <= m < s for m, s in zip(extra, stride, strict=True)):
            raise ArgumentError(
                f"{type(self).__name__}: output_size is {least} or up to stride - 1 more, for "
                f"stride={stride}, got {size}"
            )
        return extra


class Conv1d(_Conv, axes=1):
    """A convolution over one axis, (N, C, L) -> (N, O, L'); see ``Conv2d``.

    >>> tx.nn.Conv1d(2, 3, 3)(tx.ones((4, 2, 8))).shape
    (4, 3, 6)
    """


class Conv2d(_Conv, axes=2):
    """A convolution over two axes, (N, C, H, W) -> (N, O, H', W'); see ``functional.conv2d``.

    ``weight`` (O, C / groups, K₁, K₂) and ``bias`` (O) start from U(-b, b) with
    b = 1/√(C / groups · K₁ · K₂). ``padding_mode`` is "zeros", or the mode "reflect",
    "replicate" or "circular" of ``functional.pad``. Raises ShapeError,
    DTypeError, ArgumentError.

    >>> tx.nn.Conv2d(1, 8, 3, padding="same")(tx.ones((4, 1, 28, 28))).shape
    (4, 8, 28, 28)
    """


class Conv3d(_Conv, axes=3):
    """A convolution over three axes, (N, C, D, H, W) -> (N, O, D', H', W'); see ``Conv2d``.

    >>> tx.nn.Conv3d(1, 2, 2, stride=2)(tx.ones((1, 4, 4, 4))).shape
    (2, 2, 2, 2)
    """


class ConvTranspose1d(_ConvTranspose, axes=1):
    """The transpose of a convolution over one axis, (N, C, L) -> (N, O, L'); see
    ``ConvTranspose2d``.

    >>> tx.nn.ConvTranspose1d(2, 3, 3)(tx.ones((4, 2, 8))).shape
    (4, 3, 10)
    """


class ConvTranspose2d(_ConvTranspose, axes=2):
    """The transpose of a convolution over two axes, (N, C, H, W) -> (N, O, H', W'); see
    ``functional.conv_transpose2d``.

    ``weight`` (C, O / groups, K₁, K₂) and ``bias`` (O) start from U(-b, b) with
    b = 1/√(O / groups · K₁ · K₂). A call may pass ``output_size``, with or without (N, O),
    instead of ``output_padding``. Raises ShapeError, DTypeError, ArgumentError.

    >>> up = tx.nn.ConvTranspose2d(8, 1, 3, stride=2)
    >>> up(tx.ones((4, 8, 7, 7)), output_size=(16, 16)).shape
    (4, 1, 16, 16)
    """


class ConvTranspose3d(_ConvTranspose, axes=3):
    """The transpose of a convolution over three axes, (N, C, D, H, W) -> (N, O, D', H', W'); see
    ``ConvTranspose2d``.

    >>> tx.nn.ConvTranspose3d(1, 2, 2, stride=2)(tx.ones((1, 2, 2, 2))).shape
    (2, 4, 4, 4)
    """
