"""Channels and pixels rearranged, as modules; see ``functional`` for the formulas."""

from typing import Any

from tinyxp.core.tensor import Tensor
from tinyxp.nn import functional as F
from tinyxp.nn.module import Module

__all__ = ["ChannelShuffle", "PixelShuffle", "PixelUnshuffle"]


class PixelShuffle(Module):
    """Channels as pixels: (..., r² C, H, W) -> (..., C, r H, r W); see ``functional``.

    >>> tx.nn.PixelShuffle(3)(tx.zeros((1, 9, 4, 4))).shape
    (1, 1, 12, 12)
    """

    def __init__(self, upscale_factor: int) -> None:
        super().__init__()
        self.upscale_factor = upscale_factor

    def forward(self, input: Tensor) -> Any:
        return F.pixel_shuffle(input, self.upscale_factor)

    def extra_repr(self) -> str:
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(Module):
    """Pixels as channels: (..., C, r H, r W) -> (..., r² C, H, W); see ``functional``.

    >>> tx.nn.PixelUnshuffle(3)(tx.zeros((1, 1, 12, 12))).shape
    (1, 9, 4, 4)
    """

    def __init__(self, downscale_factor: int) -> None:
        super().__init__()
        self.downscale_factor = downscale_factor

    def forward(self, input: Tensor) -> Any:
        return F.pixel_unshuffle(input, self.downscale_factor)

    def extra_repr(self) -> str:
        return f"downscale_factor={self.downscale_factor}"


class ChannelShuffle(Module):
    """Channels of all groups in turn: (N, C, ...) -> (N, C, ...); see ``functional``.

    >>> tx.nn.ChannelShuffle(2)(tx.zeros((1, 4, 2, 2))).shape
    (1, 4, 2, 2)
    """

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, input: Tensor) -> Any:
        return F.channel_shuffle(input, self.groups)

    def extra_repr(self) -> str:
        return f"groups={self.groups}"
