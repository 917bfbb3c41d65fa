"""Padding, resampling and grids against PyTorch, where PyTorch's own samples are silent: options,
ends, empty and single axes, and what both refuse."""

import numpy as np
import pytest

import tinyxp as tx
from tests.helpers import each
from tests.nn.pytorch import agree, alike, torch
from tests.nn.test_nn_layers import refused, refused_module, same_module
from tinyxp.nn import functional as F

TF = torch.nn.functional

# -- padding ----------------------------------------------------------------------------------


@each("mode", ["constant", "reflect", "replicate", "circular"])
@each("width", [(0, 0), (4, 0), (2, 3), (-1, 3), (3, -2), (-2, -2)])
def test_pad(mode, width, backend, rng):
    alike("pad", rng.normal(size=(2, 5)), pad=width, mode=mode)
    alike("pad", rng.normal(size=(2, 1, 6, 5)).transpose(1, 0, 3, 2), pad=(1, 0, *width), mode=mode)
    alike("pad", rng.normal(size=(0, 2, 5)), pad=width, mode=mode)


def test_pad_of_any_axes(backend, rng):
    alike("pad", rng.normal(size=(2, 3)), pad=(1, -1, -2, 4), value=2.5)
    alike("pad", rng.normal(size=(2, 3)), pad=())
    alike("pad", rng.normal(size=(3,)), pad=(-3, 1))
    for x in (np.asarray([[1, 2, 3]]), np.asarray([[True, False, True]])):
        for mode in ("constant", "circular"):
            ours, theirs = F.pad(tx.asarray(x), (1, 2), mode), TF.pad(torch.tensor(x), (1, 2), mode)
            assert ours.dtype.name == str(theirs.dtype)[6:] and ours.tolist() == theirs.tolist()
    z = rng.normal(size=(2, 4)) + 1j
    ours, theirs = (
        F.pad(tx.asarray(z), (3, 1), "reflect"),
        TF.pad(torch.tensor(z), (3, 1), "reflect"),
    )
    assert ours.tolist() == theirs.tolist()


@each("axes", [1, 2, 3])
@each("kind", ["Constant", "Zero", "Reflection", "Replication", "Circular"])
def test_padding_modules(kind, axes, backend, rng):
    value = (1.5,) if kind == "Constant" else ()
    for padding in (1, (0, 2, -1, 1, 2, 0)[: 2 * axes]):
        same_module(f"{kind}Pad{axes}d", (padding, *value), rng.normal(size=(2, *[3] * axes)))


# -- resampling -------------------------------------------------------------------------------


@each("mode", ["bilinear", "bicubic", "lanczos"])
@each("align_corners", [False, True])
@each("size", [(3, 4), (1, 20), (7, 9), (11, 2), (1, 1)])
def test_antialiased(mode, align_corners, size, backend, rng):
    if mode == "lanczos" and align_corners:
        return
    options = {"mode": mode, "align_corners": align_corners, "antialias": True}
    x = rng.normal(size=(2, 1, 7, 9))
    alike("interpolate", x, size=size, **options)
    if not align_corners:
        alike("interpolate", x, scale_factor=(0.37, 1.9), **options)


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "area", "bilinear", "bicubic"])
def test_interpolate_at_its_ends(mode, backend, rng):
    for shape, size in (((1, 2, 1, 5), (4, 1)), ((0, 2, 3, 3), (2, 5)), ((1, 1, 1, 1), (3, 3))):
        alike("interpolate", rng.normal(size=shape), size=size, mode=mode)
    x = rng.normal(size=(2, 1, 6, 5)).transpose(1, 0, 3, 2)
    alike("interpolate", x, scale_factor=(2.5, 0.3), mode=mode)
    alike("interpolate", x, size=8, mode=mode)
    alike("interpolate", x, scale_factor=1.3, mode=mode, recompute_scale_factor=True)
    if mode.startswith("bi"):
        alike("interpolate", x, size=(1, 7), mode=mode, align_corners=True)


@pytest.mark.parametrize(("mode", "axes"), [("linear", 1), ("bilinear", 2), ("trilinear", 3)])
def test_a_scale_that_keeps_the_length(mode, axes, backend, rng):
    x = rng.normal(size=(1, 2, *(3, 2, 7)[:axes]))
    alike("interpolate", x, scale_factor=1.3, mode=mode)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_an_antialiased_scale_that_keeps_the_length(mode, backend, rng):
    """The gradient is 1 too; PyTorch's is that of a resampling."""
    x = tx.asarray(rng.normal(size=(1, 2, 3, 2)), requires_grad=True)
    y = F.interpolate(x, scale_factor=1.3, mode=mode, antialias=True)
    assert y.tolist() == x.tolist()
    y.sum().backward()
    assert x.grad.tolist() == np.ones(x.shape).tolist()


def test_an_area_holds_only_its_own_infinities(backend):
    alike("interpolate", np.asarray([[[np.inf, 1.0, 2.0, np.nan, 3.0]]]), size=3, mode="area")


@pytest.mark.parametrize("n", [3, 10, 100, 1000])
def test_nearest_reads_the_same_elements(n, backend):
    x = np.arange(n, dtype="float32")[None, None]  # in float64 PyTorch's gradient goes to others
    for m in (1, 2, 7, n - 1, n, n + 1, 3 * n + 1):
        for mode in ("nearest", "nearest-exact"):
            options = {"size": m, "mode": mode}
            agree(
                lambda x, options=options: F.interpolate(x, **options),
                lambda x, options=options: TF.interpolate(x, **options),
                x,
                dtype="float32",
            )
    wide = tx.asarray(x, dtype=tx.float64)
    expected = TF.interpolate(torch.tensor(x).double(), size=2 * n - 1)
    assert F.interpolate(wide, size=2 * n - 1).tolist() == expected.tolist()


def test_a_gradient_goes_to_the_element_that_was_read(backend):
    """At twice the length by an odd scale, PyTorch's goes to others (3 places: 2, 2, 2)."""
    x = tx.asarray([[[5.0, 6.0, 7.0]]], requires_grad=True)
    y = F.interpolate(x, scale_factor=2.3)
    assert (
        y.tolist() == TF.interpolate(torch.tensor([[[5.0, 6.0, 7.0]]]), scale_factor=2.3).tolist()
    )
    y.sum().backward()
    assert x.grad.tolist() == [[[3.0, 2.0, 1.0]]]


@each(
    ("name", "make"),
    [
        ("Upsample", (None, 2.5)),
        ("Upsample", ((3, 7),)),
        ("Upsample", (None, (2, 1.5), "bicubic", True)),
        ("Upsample", (None, 1.7, "bilinear", False, True)),
        ("UpsamplingNearest2d", (None, 2)),
        ("UpsamplingNearest2d", (5,)),
        ("UpsamplingBilinear2d", (None, 2)),
        ("UpsamplingBilinear2d", ((5, 3),)),
        ("PixelShuffle", (2,)),
        ("PixelUnshuffle", (2,)),
        ("ChannelShuffle", (2,)),
        ("Identity", (3,)),
    ],
)
def test_modules_of_images(name, make, backend, rng):
    same_module(name, make, rng.normal(size=(2, 8, 4, 6)))


def test_shuffles_of_any_leading_axes(backend, rng):
    alike("pixel_shuffle", rng.normal(size=(4, 2, 3)), upscale_factor=2)
    alike("pixel_shuffle", rng.normal(size=(2, 1, 3, 4, 2, 3)), upscale_factor=2)
    alike("pixel_unshuffle", rng.normal(size=(2, 1, 3, 6)), downscale_factor=3)
    alike("channel_shuffle", rng.normal(size=(2, 6, 3)), groups=3)
    alike("channel_shuffle", rng.normal(size=(2, 6, 1, 2, 3)), groups=2)


# -- grids ------------------------------------------------------------------------------------


@pytest.mark.parametrize("align_corners", [None, True])
@pytest.mark.parametrize("size", [(2, 1, 3, 4), (1, 3, 1, 5), (2, 1, 2, 1, 3)])
@pytest.mark.filterwarnings("ignore")
def test_affine_grid(size, align_corners, backend, rng):
    k = len(size) - 2
    theta = rng.normal(size=(size[0], k, k + 1))
    alike("affine_grid", theta, size=size, align_corners=align_corners)


@each("mode", ["bilinear", "nearest", "bicubic"])
@each("padding_mode", ["zeros", "border", "reflection"])
@each("align_corners", [False, True])
def test_grid_sample(mode, padding_mode, align_corners, backend, rng):
    options = {"mode": mode, "padding_mode": padding_mode, "align_corners": align_corners}
    far = rng.uniform(-4, 4, size=(2, 3, 4, 2))
    alike("grid_sample", rng.normal(size=(2, 3, 5, 1)), far, **options)
    x = rng.normal(size=(2, 4, 5, 3)).transpose(0, 3, 1, 2)
    alike("grid_sample", x, far, **options)
    for shape, grid in (
        ((0, 2, 3, 3), (0, 2, 2, 2)),
        ((1, 0, 3, 3), (1, 2, 2, 2)),
        ((1, 2, 3, 3), (1, 0, 2, 2)),
    ):
        alike("grid_sample", np.ones(shape), np.zeros(grid), **options)
    if mode != "bicubic":
        far = rng.uniform(-3, 3, size=(1, 2, 3, 2, 3))
        alike("grid_sample", rng.normal(size=(1, 2, 3, 4, 2)), far, **options)


@pytest.mark.parametrize("padding_mode", ["border", "reflection"])
def test_the_gradient_at_the_outermost_pixels(padding_mode, backend, rng):
    """The identity with align_corners reads the centres of the pixels, on their border too."""
    places = np.stack(np.meshgrid([-1.0, 0.25, 1.0], [-1.0, 0.25, 1.0]), axis=-1)[None]
    options = {"padding_mode": padding_mode, "align_corners": True}
    alike("grid_sample", rng.normal(size=(1, 2, 5, 5)), places, **options)


# -- what both refuse -------------------------------------------------------------------------

Z = np.zeros
INDICES = np.asarray([0, 1])
REFUSED = [
    ("pad", [Z((2, 3)), (1,)], {}),
    ("pad", [Z((2, 3)), (1, 1, 1, 1, 1, 1)], {}),
    ("pad", [Z((2, 3)), (-2, -2)], {}),
    ("pad", [Z((2, 3)), (-4, 4)], {}),
    ("pad", [Z((2, 3)), (1.0, 1.0)], {}),
    ("pad", [Z((2, 3)), (1, 1), "mirror"], {}),
    ("pad", [Z((2, 3)), (1, 1), "reflect", 3.0], {}),
    ("pad", [Z((2, 3)), (3, 0), "reflect"], {}),
    ("pad", [Z((2, 3)), (0, 4), "circular"], {}),
    ("pad", [Z((2, 3)), (-2, -1), "replicate"], {}),
    ("pad", [Z((2, 0)), (1, 1), "replicate"], {}),
    ("pad", [Z((2, 3)), (1, 1, 1, 1), "reflect"], {}),
    ("pad", [Z((3,)), (1, 1), "reflect"], {}),
    ("interpolate", [Z((1, 1, 3))], {}),
    ("interpolate", [Z((1, 1, 3))], {"size": 3, "scale_factor": 2.0}),
    ("interpolate", [Z((1, 1, 3))], {"size": (3, 3)}),
    ("interpolate", [Z((1, 1, 3))], {"scale_factor": (3.0, 3.0)}),
    ("interpolate", [Z((1, 1, 3))], {"size": 2.5}),
    ("interpolate", [Z((1, 1, 3))], {"size": 0}),
    ("interpolate", [Z((1, 1, 0))], {"size": 2}),
    ("interpolate", [Z((1, 1, 3))], {"scale_factor": 0.1}),
    ("interpolate", [Z((1, 1, 3))], {"scale_factor": "2"}),
    ("interpolate", [Z((1, 1, 3))], {"scale_factor": float("nan")}),
    ("interpolate", [Z((1, 3))], {"size": 2}),
    ("interpolate", [Z((1, 1, 3))], {"size": 2, "mode": "bilinear"}),
    ("interpolate", [Z((1, 1, 3, 3))], {"size": 2, "mode": "linear"}),
    ("interpolate", [Z((1, 1, 3))], {"size": 2, "mode": "cubic"}),
    ("interpolate", [Z((1, 1, 3))], {"size": 2, "align_corners": True}),
    ("interpolate", [Z((1, 1, 3))], {"size": 2, "recompute_scale_factor": True}),
    ("interpolate", [Z((1, 1, 3))], {"size": 2, "mode": "linear", "antialias": True}),
    ("interpolate", [Z((1, 1, 3, 3))], {"size": 2, "mode": "lanczos"}),
    ("interpolate", [INDICES[None, None]], {"size": 2, "mode": "linear"}),
    ("pixel_shuffle", [Z((3, 2, 2)), 2], {}),
    ("pixel_shuffle", [Z((2, 2)), 1], {}),
    ("pixel_shuffle", [Z((4, 2, 2)), 0], {}),
    ("pixel_unshuffle", [Z((1, 3, 2)), 2], {}),
    ("pixel_unshuffle", [Z((1, 2, 2)), -1], {}),
    ("channel_shuffle", [Z((1, 3, 2)), 2], {}),
    ("channel_shuffle", [Z((1, 4, 2)), 0], {}),
    ("affine_grid", [Z((1, 2, 3)), (2, 1, 3, 3)], {}),
    ("affine_grid", [Z((1, 3, 4)), (1, 1, 3, 3)], {}),
    ("affine_grid", [Z((1, 2, 3)), (1, 1, 3)], {}),
    ("affine_grid", [Z((1, 2, 3)), 4], {}),
    ("affine_grid", [Z((1, 2, 3)), (1, 1, 0, 3)], {}),
    ("affine_grid", [Z((1, 2, 3), int), (1, 1, 2, 3)], {}),
    ("grid_sample", [Z((1, 1, 3, 3)), Z((2, 2, 2, 2))], {}),
    ("grid_sample", [Z((1, 1, 3, 3)), Z((1, 2, 2, 3))], {}),
    ("grid_sample", [Z((1, 1, 3, 3)), Z((1, 2, 2, 2), "float32")], {}),
    ("grid_sample", [Z((1, 1, 0, 3)), Z((1, 2, 2, 2))], {}),
    ("grid_sample", [Z((1, 1, 3)), Z((1, 2, 1))], {}),
    ("grid_sample", [Z((1, 1, 3, 3)), Z((1, 2, 2, 2))], {"mode": "linear"}),
    ("grid_sample", [Z((1, 1, 3, 3)), Z((1, 2, 2, 2))], {"padding_mode": "wrap"}),
    ("grid_sample", [Z((1, 1, 3, 3, 3)), Z((1, 2, 2, 2, 3))], {"mode": "bicubic"}),
]


@pytest.mark.filterwarnings("ignore")
@each("i", range(len(REFUSED)))
def test_what_both_refuse(i, backend):
    refused(*REFUSED[i])


@pytest.mark.parametrize(
    ("name", "make", "shapes"),
    [
        ("ReflectionPad2d", (1,), ((3, 3),)),
        ("ReplicationPad1d", (1,), ((1, 2, 3, 3),)),
        ("Upsample", (), ((1, 1, 3),)),
    ],
)
def test_what_modules_of_both_refuse(name, make, shapes, backend):
    refused_module(name, make, shapes)


@pytest.mark.filterwarnings("ignore:invalid value")  # of Inf - Inf
@each("align_corners", [False, True])
@each("padding_mode", ["zeros", "border", "reflection"])
@each("mode", ["bilinear", "nearest", "bicubic"])
def test_places_that_are_nan_or_inf_are_read_as_in_pytorch(
    mode, padding_mode, align_corners, backend
):
    image = np.arange(4.0, 16.0).reshape(1, 1, 3, 4)
    grid = np.zeros((1, 2, 4, 2))
    grid[0, 0, :, 0] = grid[0, 1, :, 1] = np.nan, np.inf, -np.inf, 0.3
    options = {"padding_mode": padding_mode, "align_corners": align_corners}
    wanted = torch.nn.functional.grid_sample(
        torch.tensor(image), torch.tensor(grid), mode, **options
    )
    result = F.grid_sample(tx.asarray(image), tx.asarray(grid), mode, **options)
    np.testing.assert_allclose(result.numpy(), wanted.numpy(), rtol=1e-12)
