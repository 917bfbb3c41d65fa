"""Pixel shuffle and channel shuffle; see ``functional`` for formulas and sources."""

from tinyxp.nn import functional as F
from tinyxp.nn.fields import FunctionalModule

__all__ = ["ChannelShuffle", "PixelShuffle", "PixelUnshuffle"]


class PixelShuffle(FunctionalModule, function=F.pixel_shuffle):
    """Move channels to pixels: (..., r² C, H, W) -> (..., C, r H, r W); see ``functional``.

    >>> tx.nn.PixelShuffle(3)(tx.zeros((1, 9, 4, 4))).shape
    (1, 1, 12, 12)
    """

    upscale_factor: int


class PixelUnshuffle(FunctionalModule, function=F.pixel_unshuffle):
    """Move pixels to channels: (..., C, r H, r W) -> (..., r² C, H, W); see ``functional``.

    >>> tx.nn.PixelUnshuffle(3)(tx.zeros((1, 1, 12, 12))).shape
    (1, 9, 4, 4)
    """

    downscale_factor: int


class ChannelShuffle(FunctionalModule, function=F.channel_shuffle):
    """Interleave the channels of all groups: (N, C, ...) -> (N, C, ...); see ``functional``.

    >>> tx.nn.ChannelShuffle(2)(tx.zeros((1, 4, 2, 2))).shape
    (1, 4, 2, 2)
    """

    groups: int
