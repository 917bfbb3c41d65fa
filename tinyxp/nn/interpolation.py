"""Upsampling; see ``functional.interpolate`` for formulas and sources."""

from tinyxp.nn import functional as F
from tinyxp.nn.fields import FunctionalModule

__all__ = ["Upsample", "UpsamplingBilinear2d", "UpsamplingNearest2d"]

Sizes = int | tuple[int, ...] | None
Scales = float | tuple[float, ...] | None


class Upsample(FunctionalModule, function=F.interpolate):
    """Resample x to another size: (N, C, d₁, …) -> (N, C, D₁, …); see ``functional.interpolate``.

    >>> tx.nn.Upsample(scale_factor=2)(tx.asarray([[[1.0, 2.0]]]))
    tensor([[[1., 1., 2., 2.]]])
    """

    size: Sizes = None
    scale_factor: Scales = None
    mode: str = "nearest"
    align_corners: bool | None = None
    recompute_scale_factor: bool | None = None

    def __post_init__(self) -> None:
        self.name, factor = type(self).__name__, self.scale_factor
        if isinstance(factor, (tuple, list)):
            self.scale_factor = tuple(float(each) for each in factor)
        else:
            self.scale_factor = float(factor) if factor else None

    def extra_repr(self) -> str:
        by_scale = self.scale_factor is not None
        given = f"scale_factor={self.scale_factor!r}" if by_scale else f"size={self.size!r}"
        return f"{given}, mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """``Upsample`` of images with the mode "nearest".

    >>> tx.nn.UpsamplingNearest2d(scale_factor=2)(tx.ones((1, 3, 4, 5))).shape
    (1, 3, 8, 10)
    """

    def __init__(self, size: Sizes = None, scale_factor: Scales = None) -> None:
        super().__init__(size, scale_factor)


class UpsamplingBilinear2d(Upsample):
    """``Upsample`` of images with the mode "bilinear" and ``align_corners``.

    >>> tx.nn.UpsamplingBilinear2d(scale_factor=2)(tx.ones((1, 3, 4, 5))).shape
    (1, 3, 8, 10)
    """

    def __init__(self, size: Sizes = None, scale_factor: Scales = None) -> None:
        super().__init__(size, scale_factor, "bilinear", align_corners=True)
