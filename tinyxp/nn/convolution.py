"""Convolutions and their transposes, with the sizes and first values of torch.nn."""

from typing import Any

from tinyxp.core.tensor import Tensor
from tinyxp.errors import ArgumentError
from tinyxp.nn import functional as F
from tinyxp.nn import init
from tinyxp.nn.functional.checks import numbers
from tinyxp.nn.functional.convolution import margins, transposed_size
from tinyxp.nn.module import Module
from tinyxp.nn.parameter import Parameter
from tinyxp.ops.creation import empty
from tinyxp.random import Generator

__all__ = [
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
]

Sizes = int | tuple[int, ...]


class _Convolution(Module):
    """What convolutions over any number of axes share: sizes, parameters and how they are shown."""

    axes: int
    transposed = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes,
        padding: Sizes | str,
        dilation: Sizes,
        output_padding: Sizes,
        groups: int,
        bias: bool,
        padding_mode: str,
        device: str | None,
        dtype: Any,
        generator: Generator | None,
    ) -> None:
        super().__init__()
        name, n = type(self).__name__, self.axes
        numbers(name, "groups", groups, 1, 1)
        if in_channels % groups or out_channels % groups:
            raise ArgumentError(
                f"{name}: groups must divide the channels, got {groups} for in_channels="
                f"{in_channels} and out_channels={out_channels}"
            )
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = numbers(name, "kernel_size", kernel_size, n, 1)
        self.stride = numbers(name, "stride", stride, n, 1)
        self.dilation = numbers(name, "dilation", dilation, n, 1)
        self.output_padding = numbers(name, "output_padding", output_padding, n, 0)
        self.padding: tuple[int, ...] | str
        if isinstance(padding, str):
            if padding not in ("same", "valid"):
                raise ArgumentError(
                    f"{name}: padding is 'same', 'valid' or numbers, got {padding!r}"
                )
            if padding == "same" and any(s != 1 for s in self.stride):
                raise ArgumentError(f"{name}: padding='same' needs stride=1, got {self.stride}")
            self.padding = padding
        else:
            self.padding = numbers(name, "padding", padding, n, 0)
        self.padding_mode = padding_mode
        shape = (in_channels, out_channels) if self.transposed else (out_channels, in_channels)
        weight = empty(
            (shape[0], shape[1] // groups, *self.kernel_size), device=device, dtype=dtype
        )
        self.weight = Parameter(weight)
        self.register_parameter(
            "bias", Parameter(empty(out_channels, device=device, dtype=dtype)) if bias else None
        )
        self.reset_parameters(generator)

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw the first values anew."""
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
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes | str = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: str | None = None,
        dtype: Any = None,
        *,
        generator: Generator | None = None,
    ) -> None:
        if padding_mode not in ("zeros", "reflect", "replicate", "circular"):
            raise ArgumentError(
                f"{type(self).__name__}: padding_mode is 'zeros', 'reflect', 'replicate' or "
                f"'circular', got {padding_mode!r}"
            )
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            0,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
            generator,
        )

    def forward(self, input: Tensor) -> Any:
        conv = getattr(F, f"conv{self.axes}d")
        padding: Any = self.padding
        if self.padding_mode != "zeros":
            name = type(self).__name__
            pairs = margins(name, padding, self.kernel_size, self.stride, self.dilation)
            flat = tuple(p for pair in reversed(pairs) for p in pair)  # F.pad begins with the last
            input, padding = F.pad(input, flat, mode=self.padding_mode), 0
        return conv(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class _ConvTranspose(_Convolution):
    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes = 0,
        output_padding: Sizes = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Sizes = 1,
        padding_mode: str = "zeros",
        device: str | None = None,
        dtype: Any = None,
        *,
        generator: Generator | None = None,
    ) -> None:
        if padding_mode != "zeros" or isinstance(padding, str):
            raise ArgumentError(
                f"{type(self).__name__} knows padding_mode='zeros' and padding by numbers, "
                f"got {padding_mode!r} and {padding!r}"
            )
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            output_padding,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
            generator,
        )

    def forward(self, input: Tensor, output_size: Any = None) -> Any:
        extra = self.output_padding
        if output_size is not None:
            extra = self._for_size(input, tuple(output_size))
        conv = getattr(F, f"conv_transpose{self.axes}d")
        return conv(
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            extra,
            self.groups,
            self.dilation,
        )

    def _for_size(self, input: Tensor, size: tuple[int, ...]) -> tuple[int, ...]:
        """The output_padding with which the output gets this size."""
        n = self.axes
        if len(size) == input.ndim:
            size = size[-n:]
        none = (0,) * n
        least = transposed_size(
            input.shape[-n:], self.kernel_size, self.stride, self.padding, none, self.dilation
        )
        extra = tuple(m - usual for m, usual in zip(size, least, strict=False))
        if len(size) != n or any(not 0 <= m < s for m, s in zip(extra, self.stride, strict=True)):
            raise ArgumentError(
                f"{type(self).__name__}: output_size is {least} or up to stride - 1 more, for the "
                f"stride {self.stride}, got {size}"
            )
        return extra


class Conv1d(_Conv):
    """A convolution over one axis, (N, C, L) -> (N, O, L'); see ``Conv2d``.

    >>> tx.nn.Conv1d(2, 3, 3)(tx.ones((4, 2, 8))).shape
    (4, 3, 6)
    """

    axes = 1


class Conv2d(_Conv):
    """A convolution over two axes, (N, C, H, W) -> (N, O, H', W'); see ``functional.conv2d``.

    ``weight`` (O, C / groups, K₁, K₂) and ``bias`` (O) start from U(-b, b) with
    b = 1/√(C / groups · K₁ · K₂). ``padding_mode`` fills the margin with zeros, or as
    ``functional.pad`` does in the modes "reflect", "replicate" and "circular". Raises ShapeError,
    DTypeError, ArgumentError.

    >>> tx.nn.Conv2d(1, 8, 3, padding="same")(tx.ones((4, 1, 28, 28))).shape
    (4, 8, 28, 28)
    """

    axes = 2


class Conv3d(_Conv):
    """A convolution over three axes, (N, C, D, H, W) -> (N, O, D', H', W'); see ``Conv2d``.

    >>> tx.nn.Conv3d(1, 2, 2, stride=2)(tx.ones((1, 4, 4, 4))).shape
    (2, 2, 2, 2)
    """

    axes = 3


class ConvTranspose1d(_ConvTranspose):
    """The transpose of a convolution over one axis, (N, C, L) -> (N, O, L'); see
    ``ConvTranspose2d``.

    >>> tx.nn.ConvTranspose1d(2, 3, 3)(tx.ones((4, 2, 8))).shape
    (4, 3, 10)
    """

    axes = 1


class ConvTranspose2d(_ConvTranspose):
    """The transpose of a convolution over two axes, (N, C, H, W) -> (N, O, H', W'); see
    ``functional.conv_transpose2d``.

    ``weight`` (C, O / groups, K₁, K₂) and ``bias`` (O) start from U(-b, b) with
    b = 1/√(O / groups · K₁ · K₂). A call may name the ``output_size``, with or without (N, O), in
    place of ``output_padding``. Raises ShapeError, DTypeError, ArgumentError.

    >>> up = tx.nn.ConvTranspose2d(8, 1, 3, stride=2)
    >>> up(tx.ones((4, 8, 7, 7)), output_size=(16, 16)).shape
    (4, 1, 16, 16)
    """

    axes = 2


class ConvTranspose3d(_ConvTranspose):
    """The transpose of a convolution over three axes, (N, C, D, H, W) -> (N, O, D', H', W'); see
    ``ConvTranspose2d``.

    >>> tx.nn.ConvTranspose3d(1, 2, 2, stride=2)(tx.ones((1, 2, 2, 2))).shape
    (2, 4, 4, 4)
    """

    axes = 3
