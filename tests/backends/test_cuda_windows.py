"""Convolution and pooling by the CUDA kernels, run on the CPU as in test_cuda_kernels.py."""

import numpy as np
import pytest

import tinyxp as tx
from tests.backends.cuda_on_cpu import COMPILER, on_cpu
from tests.backends.test_cpu_kernels import CONVOLUTIONS, orders
from tests.backends.test_cuda_kernels import PRECISIONS, takes_all
from tests.compare import agree_with_formula, value_and_gradients
from tinyxp import backends
from tinyxp.backends.cupy import launch as cuda_source
from tinyxp.backends.cupy.kernels import convolution as cupy_conv_kernels
from tinyxp.backends.cupy.kernels.dense import Kernels
from tinyxp.nn import functional as F
from tinyxp.random import Generator

pytestmark = pytest.mark.skipif(COMPILER is None, reason="g++ is not installed")


@pytest.fixture
def kernels(monkeypatch):
    """The table in place of the numpy backend's own. Threads share nothing: one order will do."""
    table, numpy = Kernels(on_cpu()).table(), backends.get("numpy")
    use = lambda table: monkeypatch.setitem(numpy.__dict__, "kernels", table)  # noqa: E731
    use(table)
    return use, table


CASES = [  # batch, in, size, out, window, stride, padding, dilation, groups
    *CONVOLUTIONS,
    (3, 4, (5, 6), 7, (1, 1), 1, 0, 1, 1),  # a product, and nothing copied
    (3, 4, (5, 6), 6, (1, 1), 1, 0, 1, 2),
    (3, 4, (5, 6), 2, (1, 1), 2, 0, 1, 1),
    (2, 3, (5, 6), 2, (1, 1), 1, 1, 1, 1),
    (2, 2, (4, 5), 2, (2, 2), 5, 0, 1, 1),  # rows and columns that no window sees
    (2, 2, (9, 8), 2, (2, 3), (1, 2), (0, 2), (3, 2), 1),
    (5, 3, (6, 7), 6, (3, 2), (2, 1), (1, 2), (1, 2), 3),  # two filters to a channel
]


@pytest.fixture(params=[1 << 26, 300])
def at_a_time(request, monkeypatch):
    """The whole batch at a time, and a sample or two."""
    monkeypatch.setattr(cupy_conv_kernels, "MOST", request.param)


def operands(case, dtype, transposed=False):
    batch, channels, size, out, window, stride, padding, dilation, groups = case
    rng = np.random.default_rng(4)
    x = rng.normal(size=(batch, channels, *size)).astype(dtype)
    shape = (channels, out // groups) if transposed else (out, channels // groups)
    w = rng.normal(size=(*shape, *window)).astype(dtype)
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return x, w, rng.normal(size=out).astype(dtype), options


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_convolution(case, dtype, tolerance, at_a_time, kernels):
    takes_all(kernels[1], "conv")
    x, w, b, options = operands(case, dtype)
    conv = F.conv1d if x.ndim == 3 else F.conv2d
    f = lambda x, w, *b: conv(x, w, *b, **options)  # noqa: E731
    for parts in ([x, w, b], [np.asfortranarray(x), w[..., ::-1]]):
        agree_with_formula(f, parts, tolerance)


@pytest.mark.parametrize("case", [case for case in CASES if case[2][0] < 40], ids=str)
@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_transposed_convolution(case, dtype, tolerance, at_a_time, kernels):
    takes_all(kernels[1], "conv_transpose")
    x, w, b, options = operands(case, dtype, transposed=True)
    if options["padding"] == 4:
        options["padding"] = 1  # else nothing is left
    conv = F.conv_transpose1d if x.ndim == 3 else F.conv_transpose2d
    for more in (0, 1):
        options["output_padding"] = more * int(min(np.atleast_1d(options["stride"])) > 1)
        f = lambda x, w, *b: conv(x, w, *b, **options)  # noqa: E731
        agree_with_formula(f, [x, w, b][: 3 - more], tolerance)


def test_depthwise_convolutions_of_large_batches(kernels, monkeypatch):
    """So many samples at a time as can be counted."""
    x, w, b, options = operands((25, 2, (4, 5), 4, (2, 2), 1, 0, 1, 2), "float64")
    monkeypatch.setattr(cupy_conv_kernels, "INDICES", 200)
    agree_with_formula(lambda *xs: F.conv2d(*xs, **options), [x, w, b], 1e-11)
    x = np.repeat(x, 2, axis=1)
    agree_with_formula(lambda x, w: F.conv_transpose2d(x, w, groups=2), [x, w], 1e-11)


def test_gradients_come_in_any_order(kernels):
    x, w, b, options = operands(CASES[1], "float32")
    agree_with_formula(
        lambda *xs: F.conv2d(*xs, **options).permute_dims((3, 0, 2, 1)), [x, w, b], 1e-5
    )
    for pool in (F.max_pool2d, F.avg_pool2d):
        agree_with_formula(lambda x, pool=pool: pool(x, 2).permute_dims((3, 0, 2, 1)), [x], 1e-5)


POOLS = [(2,), (2, 1), (3, 2, 1), (2, 3), ((2, 3),), (3, (2, 1), (0, 1))]


@pytest.mark.parametrize("options", [*POOLS, (2, 2, 0, 2), (3, 2, 1, 1, True)], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_max_pool(options, dtype, kernels):
    """Ties, infinities and NaN too."""
    takes_all(kernels[1], "max_pool")
    rng = np.random.default_rng(5)
    x = rng.integers(0, 4, size=(2, 3, 7, 8)).astype(dtype)
    x[0, 0, :2] = -np.inf
    x[1, 1, 3:5, 3:5] = x[0, 2, 0, 0] = np.nan
    for laid_out in orders(x):
        agree_with_formula(lambda x: F.max_pool2d(x, *options), [laid_out], 1e-6)
    if all(isinstance(n, int) for n in options):
        agree_with_formula(lambda x: F.max_pool1d(x, *options), [x[0]], 1e-6)


@pytest.mark.parametrize(
    "options",
    [*POOLS, (3, 2, 1, True), (3, 2, 1, True, False), ((3, 2), 2, 1, False, True, 7)],
    ids=str,
)
@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_avg_pool(options, dtype, tolerance, kernels):
    takes_all(kernels[1], "avg_pool")
    x = np.random.default_rng(6).normal(size=(2, 3, 7, 8)).astype(dtype)
    for laid_out in orders(x):
        agree_with_formula(lambda x: F.avg_pool2d(x, *options), [laid_out], tolerance)
    if len(options) < 6 and all(isinstance(n, int) for n in options):
        agree_with_formula(lambda x: F.avg_pool1d(x, *options), [x[0]], tolerance)


def test_what_is_left_to_the_formula(kernels):
    """Three axes, no samples, integers: the kernel says so, and the result is the formula's."""
    table = kernels[1]
    rng = np.random.default_rng(7)
    static = {"stride": (1,) * 3, "dilation": (1,) * 3, "groups": 1}
    x, w = rng.normal(size=(2, 2, 3, 3, 3)), rng.normal(size=(2, 2, 2, 2, 2))
    cases = [
        ("conv", [x, w], static | {"padding": ((0, 0),) * 3}, F.conv3d),
        ("max_pool", [x], {"columns": (((0,),),) * 3}, lambda x: F.max_pool3d(x, 2)),
        ("max_pool", [x[:0]], {"columns": (((0,),),)}, lambda x: F.max_pool3d(x, 2)),
        ("conv", [x[:0, :, 0], w[..., 0]], static | {"padding": ((0, 0),) * 2}, F.conv2d),
    ]
    for name, parts, options, f in cases:
        if len(options) > 1:
            options = options | {"stride": (1,) * (parts[0].ndim - 2)}
        assert table[name].forward(*parts, **options) is NotImplemented
        agree_with_formula(f, parts, 1e-11)
    integers = np.arange(24).reshape(2, 3, 4)
    assert table["max_pool"].forward(integers, columns=(((0,),),)) is NotImplemented


def test_what_is_copied_to_the_device_is_copied_once():
    windows = cupy_conv_kernels.Windows(on_cpu())
    x = np.ones((2, 4), "float32")
    for _ in range(3):
        windows.max_pool(x, columns=(((0, 2), (1, 3)),))
        windows.avg_pool(x, (2,), (2,), ((0, 0),), ((2,),))
    assert len(windows.tables) == 2


def test_training_steps_of_a_cnn(kernels):
    """Strides, groups, both poolings and a transpose, against the formulas: losses and weights."""
    use, table = kernels
    for name in ("avg_pool", "conv", "conv_transpose", "max_pool"):
        takes_all(table, name)
    rng = np.random.default_rng(8)
    x, targets = tx.asarray(rng.normal(size=(4, 2, 12, 10))), tx.asarray(rng.integers(0, 3, 4))

    def trained():
        g, nn = Generator(5), tx.nn
        model = nn.Sequential(
            *(nn.Conv2d(2, 6, 3, padding="same", generator=g), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(6, 6, 3, 2, 1, groups=3, generator=g), nn.ReLU()),
            *(nn.ConvTranspose2d(6, 4, 2, 2, generator=g), nn.AvgPool2d(3, 1, 1)),
            *(nn.Flatten(), nn.Linear(4 * 6 * 6, 3, generator=g)),
        ).to(dtype=tx.float64)
        optimizer, losses = tx.optim.SGD(model.parameters(), lr=0.1), []
        for _ in range(3):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), targets)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return [np.asarray(losses), *(p.detach().numpy() for p in model.parameters())]

    fused = trained()
    use({})
    for a, b in zip(fused, trained(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)
    assert fused[0][-1] < fused[0][0]


MUTANTS = [  # a text of the source, what takes its place, and what must notice
    ("i * (int)dh - (int)top", "i - (int)top", "conv"),
    ("sw + j * (int)dw", "sw + (int)dw", "conv"),
    ("down % (int)sh ||", "", "conv"),
    ("bias ? (A)bias[channel] : 0", "0", "conv_transpose"),
    ("down < 0 || down >= h", "down >= h", "depthwise"),
    ("across >= 0 && across < w", "across < w", "depthwise"),
    ("image / (unsigned)of * h", "image * h", "depthwise"),
    ("(image * of + k) * out_h", "image * of * out_h", "depthwise"),
    (
        "row < h && column >= 0 && column < w)\n                sum",
        "row < h)\n                sum",
        "depthwise",
    ),
    ("n * filters + filter", "n + filter", "depthwise"),
    ("value > largest", "value >= largest", "max_pool"),
    (" || value != value", "", "max_pool"),
    ("== row * (int)w + column)", ">= 0)", "max_pool"),
    ("p <= LAST(row, (int)sh, (int)out_h)", "p < LAST(row, (int)sh, (int)out_h)", "avg_pool"),
    ("column > 0 ? column : 0; j < last", "0; j < last", "avg_pool"),
]


@pytest.mark.parametrize(("text", "instead", "name"), MUTANTS)
def test_a_broken_source_is_caught(text, instead, name, kernels):
    x, w, b, options = operands(CASES[1], "float32")
    tied, wide = np.round(x), np.concatenate([w, w[:2]])[:, :1]
    tied[0, 0, 2] = np.nan
    cases = {
        "conv": (lambda *xs: F.conv2d(*xs, **options), [x, w, b]),
        "conv_transpose": (lambda *xs: F.conv_transpose2d(*xs), [x, w[:4], b[:2]]),
        "depthwise": (lambda x, w: F.conv2d(x, w, padding=1, groups=4), [x, wide]),
        "max_pool": (lambda x: F.max_pool2d(x, 3, 1), [tied]),
        "avg_pool": (lambda x: F.avg_pool2d(x, 3, 1), [x]),
    }
    assert text in cuda_source.source("windows.cu", "float32", ())
    use = kernels[0]
    table = Kernels(on_cpu(change=lambda whole: whole.replace(text, instead))).table()
    use(table)
    assert len(value_and_gradients(*cases[name])) > 1
    with pytest.raises(AssertionError):
        agree_with_formula(*cases[name], 3e-5)
