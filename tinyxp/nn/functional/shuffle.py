"""Pixel shuffle and channel shuffle."""

from tinyxp.core.operation import expect_tensors
from tinyxp.errors import ArgumentError, ShapeError
from tinyxp.ops.shaping import permute_dims, reshape

__all__ = ["channel_shuffle", "pixel_shuffle", "pixel_unshuffle"]


def _expect(name, factor, input, axes):
    expect_tensors(name, input)
    if not isinstance(factor, int) or factor < 1:
        raise ArgumentError(f"{name} expects a factor of 1 or more, got {factor!r}")
    if input.ndim < axes:
        raise ShapeError(f"{name} expects {axes} axes or more, got shape {input.shape}")


def pixel_shuffle(input, upscale_factor):
    """y[c, r h + i, r w + j] = x[r² c + r i + j, h, w] with r = ``upscale_factor``.

    Shapes: (..., r² C, H, W) -> (..., C, r H, r W). Raises ShapeError, ArgumentError.
    Source: Shi et al. 2016, eq. 4.

    >>> tx.nn.functional.pixel_shuffle(tx.asarray([[[1]], [[2]], [[3]], [[4]]]), 2)
    tensor([[[1, 2],
             [3, 4]]])
    """
    r = upscale_factor
    _expect("pixel_shuffle", r, input, 3)
    *stack, channels, height, width = input.shape
    if channels % (r * r):
        raise ShapeError(
            f"pixel_shuffle by {r} expects a multiple of {r * r} channels, got {input.shape}"
        )
    n, c = len(stack), channels // (r * r)
    x = reshape(input, (*stack, c, r, r, height, width))
    x = permute_dims(x, (*range(n), n, n + 3, n + 1, n + 4, n + 2))
    return reshape(x, (*stack, c, r * height, r * width), copy=True)


def pixel_unshuffle(input, downscale_factor):
    """Move pixels to channels, r = ``downscale_factor``: the inverse of ``pixel_shuffle``.

    Shapes: (..., C, r H, r W) -> (..., r² C, H, W). Raises ShapeError, ArgumentError.

    >>> tx.nn.functional.pixel_unshuffle(tx.asarray([[[1, 2], [3, 4]]]), 2).shape
    (4, 1, 1)
    """
    r = downscale_factor
    _expect("pixel_unshuffle", r, input, 3)
    *stack, c, height, width = input.shape
    if height % r or width % r:
        raise ShapeError(
            f"pixel_unshuffle by {r} expects height and width to be multiples of it, "
            f"got {input.shape}"
        )
    n, height, width = len(stack), height // r, width // r
    x = reshape(input, (*stack, c, height, r, width, r))
    x = permute_dims(x, (*range(n), n, n + 2, n + 4, n + 1, n + 3))
    return reshape(x, (*stack, c * r * r, height, width), copy=True)


def channel_shuffle(input, groups):
    """Move channel c of group g of ``groups`` to groups · c + g: (N, C, ...) -> (N, C, ...).

    Raises ShapeError, ArgumentError. Source: Zhang et al. 2018, sec. 3.1.

    >>> x = tx.reshape(tx.arange(6), (1, 6, 1))
    >>> tx.reshape(tx.nn.functional.channel_shuffle(x, 2), (6,))
    tensor([0, 3, 1, 4, 2, 5])
    """
    _expect("channel_shuffle", groups, input, 3)
    n, channels, *rest = input.shape
    if channels % groups:
        raise ShapeError(
            f"channel_shuffle in {groups} groups expects a multiple of {groups} channels, "
            f"got {input.shape}"
        )
    x = reshape(input, (n, groups, channels // groups, *rest))
    return reshape(permute_dims(x, (0, 2, 1, *range(3, x.ndim))), input.shape, copy=True)
