"""Convolution, pooling and folding against PyTorch, beyond its samples: empty batches, axes of
length 1, views, ties, second derivatives, and what modules add; in float64, on every backend."""

import functools
import math

import numpy as np
import pytest

import tinyxp as tx
from tests.helpers import each
from tests.nn import pytorch
from tests.nn.pytorch import torch
from tinyxp import nn
from tinyxp.errors import ArgumentError, DTypeError, IndexingError, ShapeError, TinyError

F, TF = nn.functional, torch.nn.functional
DIMENSIONS = (1, 2, 3)
# second derivatives, too, unless a call says curved=False
agree, alike = (functools.partial(f, curved=True) for f in (pytorch.agree, pytorch.alike))
LENGTHS = (5, 6, 7)


def agree_modules(ours, theirs, x, **options):
    """Two modules of one state, their parameters among the inputs."""
    pair = (lambda y, m=m: m(y, **options) for m in (ours, theirs))
    pytorch.agree(*pair, x, modules=(ours, theirs))


# -- convolution ------------------------------------------------------------------------------


def operands(
    rng, n, *, batch=2, channels=4, out=6, groups=1, size=2, spatial=None, transposed=False
):
    x = rng.normal(size=(batch, channels, *(spatial or LENGTHS[:n])))
    parts = (channels, out // groups) if transposed else (out, channels // groups)
    weight = rng.normal(size=(*parts, *((size,) * n if isinstance(size, int) else size)))
    return x, weight, rng.normal(size=(out,))


@each("n", DIMENSIONS)
@each("batch", [0, 1])
@each("transposed", [False, True])
def test_convolutions_of_empty_and_single_batches(n, batch, transposed, backend, rng):
    name = f"conv_transpose{n}d" if transposed else f"conv{n}d"
    arrays = operands(rng, n, batch=batch, transposed=transposed, groups=2)
    alike(name, *arrays, groups=2, stride=2, padding=1)


@pytest.mark.parametrize("n", DIMENSIONS)
@pytest.mark.parametrize("transposed", [False, True])
def test_convolutions_over_axes_of_length_1(n, transposed, backend, rng):
    name = f"conv_transpose{n}d" if transposed else f"conv{n}d"
    single = operands(rng, n, channels=1, out=1, spatial=(1,) * n, size=1, transposed=transposed)
    alike(name, *single)
    padded = operands(rng, n, channels=1, spatial=(1,) * n, size=3, transposed=transposed)
    alike(name, *padded, padding=1)


@pytest.mark.parametrize("transposed", [False, True])
def test_convolutions_of_views(transposed, backend, rng):
    name = "conv_transpose2d" if transposed else "conv2d"
    x, weight, bias = operands(rng, 2, groups=2, size=(2, 3), transposed=transposed)
    back = np.argsort((0, 3, 1, 2))  # as images with their channels last come
    options = {"stride": (2, 1), "padding": (0, 1), "groups": 2}
    agree(
        lambda x, w, b: getattr(F, name)(
            tx.permute_dims(x, (0, 3, 1, 2)), tx.matrix_transpose(w), b[::2], **options
        ),
        lambda x, w, b: getattr(TF, name)(x.permute(0, 3, 1, 2), w.mT, b[::2], **options),
        x.transpose(back),
        weight.swapaxes(-1, -2),
        np.repeat(bias, 2),
    )


@each("n", DIMENSIONS)
@each("size", [1, 2, 3])
def test_padding_to_the_same_size(n, size, backend, rng):
    x, weight, bias = operands(rng, n, size=size)
    alike(f"conv{n}d", x, weight, bias, padding="same", dilation=2)
    alike(f"conv{n}d", x[0], weight, padding="valid")


@pytest.mark.parametrize(
    "options",
    [
        {"stride": 3, "padding": 2, "dilation": 2, "groups": 2},
        {"stride": (1, 3), "padding": (2, 0), "dilation": (2, 1), "groups": 2},
        {"stride": 4, "groups": 2},  # places that no window meets
    ],
)
@pytest.mark.parametrize("transposed", [False, True])
def test_convolutions_with_options(options, transposed, backend, rng):
    name = "conv_transpose2d" if transposed else "conv2d"
    x, weight, bias = operands(rng, 2, groups=2, transposed=transposed, spatial=(6, 7))
    alike(name, x, weight, bias, **options)
    alike(name, x[0], weight, **options)


def test_output_padding_up_to_the_dilation(backend, rng):
    arrays = operands(rng, 2, transposed=True)
    alike("conv_transpose2d", *arrays, stride=(1, 2), dilation=(3, 1), output_padding=(2, 1))


def test_complex_convolutions(backend, rng):
    x, weight, bias = (a + 1j * rng.normal(size=a.shape) for a in operands(rng, 2))
    for name, w, b in (("conv2d", weight, bias), ("conv_transpose2d", weight[:4], bias[:4])):
        y = getattr(F, name)(*(tx.asarray(a) for a in (x, w, b)), stride=2)
        expected = getattr(TF, name)(*(torch.from_numpy(a) for a in (x, w, b)), stride=2)
        np.testing.assert_allclose(np.asarray(y), expected.numpy(), rtol=1e-12)


def test_convolutions_of_integers(backend):
    x, weight = np.arange(24).reshape(2, 3, 4), np.arange(12).reshape(2, 3, 2) - 5
    y = F.conv1d(tx.asarray(x), tx.asarray(weight))
    assert y.dtype is tx.int64
    np.testing.assert_array_equal(
        np.asarray(y), TF.conv1d(torch.from_numpy(x), torch.from_numpy(weight)).numpy()
    )


# -- modules with parameters ------------------------------------------------------------------


def pair(name, *args, **options):
    """A module of each library with one state, in float64."""
    theirs = getattr(torch.nn, name)(*args, **options).double()
    ours = getattr(nn, name)(*args, **options).to(dtype=tx.float64)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


@each("n", DIMENSIONS)
@each("padding", [1, "same", "valid", (2, 1, 0)])
@each("mode", ["zeros", "reflect", "replicate", "circular"])
def test_padding_modes(n, padding, mode, backend, rng):
    padding = padding[:n] if isinstance(padding, tuple) else padding
    ours, theirs = pair(f"Conv{n}d", 2, 3, 2, padding=padding, dilation=2, padding_mode=mode)
    assert ours.extra_repr() == theirs.extra_repr()
    x = rng.normal(size=(2, 2, *LENGTHS[:n]))
    agree_modules(ours, theirs, x)
    agree_modules(ours, theirs, x[1])


@pytest.mark.parametrize("n", DIMENSIONS)
@pytest.mark.parametrize("whole", [False, True])
def test_sizes_of_transposed_convolutions(n, whole, backend, rng):
    ours, theirs = pair(f"ConvTranspose{n}d", 4, 2, 3, 3, 1, dilation=2, groups=2, bias=False)
    assert ours.extra_repr() == theirs.extra_repr()
    x = rng.normal(size=(2, 4, *(3,) * n))
    for size in (9, 10, 11):
        named = [2, 2, *(size,) * n] if whole else (size,) * n
        agree_modules(ours, theirs, x, output_size=named)
    if not whole:
        agree_modules(ours, theirs, x[0], output_size=(10,) * n)
    for size in (8, 12):
        with pytest.raises(ArgumentError, match="output_size"):
            ours(tx.asarray(x), output_size=(size,) * n)


@pytest.mark.parametrize("name", ["Conv", "ConvTranspose"])
@pytest.mark.parametrize("n", DIMENSIONS)
def test_first_values_have_the_bounds_of_pytorch(name, n):
    args = 8, 12, (5, 3, 2)[:n]
    ours = getattr(nn, f"{name}{n}d")(*args, groups=4, generator=tx.random.Generator(0))
    theirs = getattr(torch.nn, f"{name}{n}d")(*args, groups=4)
    fan_in, _ = torch.nn.init._calculate_fan_in_and_fan_out(theirs.weight)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert p.shape == tuple(q.shape)
        values = np.asarray(p.detach()) * math.sqrt(fan_in)
        assert -1 <= values.min() < -0.5
        assert 0.5 < values.max() <= 1
        if p.ndim > 1:  # a uniform distribution has the variance 1/3
            assert abs(values.var() - 1 / 3) < 5 * math.sqrt(4 / 45 / values.size)
    assert theirs.weight.abs().max() <= 1 / math.sqrt(fan_in)


def test_a_network_for_images(backend, rng):
    layers = [
        ("Conv2d", 1, 4, 3),
        ("ReLU",),
        ("MaxPool2d", 2),
        ("Conv2d", 4, 6, 3),
        ("ReLU",),
        ("AdaptiveAvgPool2d", 2),
        ("Flatten",),
        ("Linear", 24, 5),
    ]
    theirs = torch.nn.Sequential(*(getattr(torch.nn, name)(*args) for name, *args in layers))
    ours = nn.Sequential(*(getattr(nn, name)(*args) for name, *args in layers))
    theirs, ours = theirs.double(), ours.to(dtype=tx.float64)
    ours.load_state_dict(theirs.state_dict())
    agree_modules(ours, theirs, rng.normal(size=(3, 1, 14, 14)))


# -- pooling ----------------------------------------------------------------------------------

POOLS = [
    ("max_pool", {"kernel_size": 3, "stride": 2, "padding": 1}),
    ("max_pool", {"kernel_size": 2, "dilation": 2, "ceil_mode": True, "return_indices": True}),
    ("avg_pool", {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}),
    ("avg_pool", {"kernel_size": 3, "padding": 1, "count_include_pad": False}),
    ("lp_pool", {"kernel_size": 3, "stride": 2, "norm_type": 2, "ceil_mode": True}),
    ("lp_pool", {"kernel_size": 2, "norm_type": 4}),
    ("adaptive_avg_pool", {"output_size": 3}),
    ("adaptive_max_pool", {"output_size": 3, "return_indices": True}),
]


@each("n", DIMENSIONS)
@each(("name", "options"), POOLS)
def test_pooling_of_batches(n, name, options, backend, rng):
    x = rng.normal(size=(2, 3, *LENGTHS[:n]))
    alike(f"{name}{n}d", x, **options)
    alike(f"{name}{n}d", x[0], **options)
    alike(f"{name}{n}d", x[:0], **options)


@each(("name", "options"), POOLS)
def test_pooling_of_views(name, options, backend, rng):
    agree(
        lambda x: getattr(F, f"{name}2d")(tx.permute_dims(x, (0, 3, 2, 1)), **options),
        lambda x: getattr(TF, f"{name}2d")(x.permute(0, 3, 2, 1), **options),
        rng.normal(size=(2, 6, 5, 3)),
    )


@each("n", DIMENSIONS)
@each("name", ["max_pool", "avg_pool", "lp_pool"])
def test_pooling_of_axes_of_length_1(n, name, backend, rng):
    x = rng.normal(size=(1, 1, *(1,) * n))
    options = {"norm_type": 2} if name == "lp_pool" else {}
    alike(f"{name}{n}d", x, kernel_size=1, **options)
    if name == "max_pool" or (name == "avg_pool" and n < 3):  # which PyTorch refuses for n = 3
        alike(f"{name}{n}d", x, kernel_size=3, padding=1)
    alike(f"adaptive_{'max' if name == 'max_pool' else 'avg'}_pool{n}d", x, output_size=2)


@pytest.mark.parametrize("name", ["max_pool2d", "avg_pool2d"])
def test_a_stride_of_numpy(name, backend, rng):
    alike(name, rng.normal(size=(1, 2, 5, 5)), kernel_size=np.int64(2), stride=np.int64(1))


@pytest.mark.parametrize("n", DIMENSIONS)
@pytest.mark.parametrize("name", ["max_pool", "adaptive_max_pool"])
def test_the_first_of_equal_maxima_has_the_gradient(n, name, backend, rng):
    x = rng.integers(0, 2, size=(2, 3, *LENGTHS[:n])) * 1.0  # as after a ReLU
    options = {"kernel_size": 3, "stride": 2, "padding": 1} if name == "max_pool" else {}
    options = options or {"output_size": 3}
    alike(f"{name}{n}d", x, return_indices=True, **options)
    alike(f"{name}{n}d", x * 0, return_indices=True, **options)


@pytest.mark.filterwarnings("ignore:invalid value")  # of sums with inf and -inf, in the comparison
@pytest.mark.parametrize("n", DIMENSIONS)
@pytest.mark.parametrize("name", ["max_pool", "adaptive_max_pool"])
def test_maxima_of_special_values(n, name, backend, rng):
    x = rng.choice([math.nan, math.inf, -math.inf, -1.0, 0.0], size=(4, 3, *LENGTHS[:n]))
    x[0] = -math.inf  # a margin must not be taken for the maximum
    options = {"kernel_size": 3, "stride": 2, "padding": 1} if name == "max_pool" else {}
    options = options or {"output_size": 3}
    alike(f"{name}{n}d", x, return_indices=True, curved=False, **options)


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8"])
def test_maxima_of_integers(dtype, backend, rng):
    x = rng.integers(0, 9, size=(2, 5, 6)).astype(dtype)
    y, places = F.max_pool2d(tx.asarray(x), 3, 2, 1, return_indices=True)
    z, there = TF.max_pool2d(torch.from_numpy(x), 3, 2, 1, return_indices=True)
    np.testing.assert_array_equal(np.asarray(y), z.numpy())
    np.testing.assert_array_equal(np.asarray(places), there.numpy())
    assert y.dtype.name == dtype


@pytest.mark.filterwarnings("ignore:invalid value")
@each("n", DIMENSIONS)
@each("value", [math.inf, -math.inf, math.nan])
def test_means_near_special_values(n, value, backend, rng):
    x = rng.normal(size=(2, 3, *LENGTHS[:n]))
    x[(0, 0, *(1,) * n)] = value  # stays in the windows that hold it
    alike(f"avg_pool{n}d", x, kernel_size=2, stride=1, curved=False)
    alike(f"adaptive_avg_pool{n}d", x, output_size=3, curved=False)


@each("n", DIMENSIONS)
@each("size", [1, 9, None])
def test_adaptive_sizes(n, size, backend, rng):
    x = rng.normal(size=(2, 3, *LENGTHS[:n]))
    out = (4, 3, LENGTHS[0] if size is None and n == 1 else size)[-n:]
    alike(f"adaptive_avg_pool{n}d", x, output_size=out)
    alike(f"adaptive_max_pool{n}d", x, output_size=out, return_indices=True)
    y = getattr(F, f"adaptive_avg_pool{n}d")(given := tx.asarray(x), None)
    assert y is not given
    np.testing.assert_array_equal(np.asarray(y), x)


@pytest.mark.parametrize("name", ["adaptive_avg_pool2d", "adaptive_max_pool2d"])
def test_adaptive_pooling_to_nothing(name, backend, rng):
    x = rng.normal(size=(2, 3, 5, 6))
    given = tx.asarray(x, requires_grad=True)
    y, z = getattr(F, name)(given, (0, 2)), getattr(TF, name)(torch.from_numpy(x), (0, 2))
    assert y.shape == tuple(z.shape)
    y.sum().backward()  # which PyTorch refuses for means
    np.testing.assert_array_equal(np.asarray(given.grad), 0 * x)


@pytest.mark.filterwarnings("error")
@each("n", DIMENSIONS)
@each("norm_type", [1, 2, 3.5, math.inf, -math.inf])
def test_norms_of_windows_of_zeros(n, norm_type, backend, rng):
    x = abs(rng.normal(size=(2, 3, *(4,) * n))) + 0.5
    x[0] = 0.0
    alike(f"lp_pool{n}d", x, kernel_size=2, norm_type=norm_type, curved=False)


@pytest.mark.parametrize("n", DIMENSIONS)
def test_unpooling(n, backend, rng):
    x = rng.normal(size=(2, 3, *LENGTHS[:n]))

    def back(f):
        def run(x):
            y, places = getattr(f, f"max_pool{n}d")(x, 2, return_indices=True)
            return getattr(f, f"max_unpool{n}d")(y, places, 2, output_size=LENGTHS[:n])

        return run

    agree(back(F), back(TF), x)
    agree(back(F), back(TF), x[0])


def test_unpooling_to_one_place_twice(backend, rng):
    x, places = rng.normal(size=(1, 2, 3)), np.asarray([[[0, 0, 3], [2, 2, 2]]])
    alike("max_unpool1d", x, places, kernel_size=2, curved=False)


@pytest.mark.parametrize("n", [2, 3])
def test_fractional_windows_are_those_of_pytorch(n, backend, rng):
    x, u = rng.normal(size=(2, 3, *(9, 10, 11)[:n])), rng.random((2, 3, n))
    name, size, out = f"fractional_max_pool{n}d", (2, 3, 2)[:n], (4, 3, 5)[:n]
    for inputs, samples in ((x, u), (x[0], u[:1])):
        agree(
            lambda x, u: getattr(F, name)(
                x, size, out, return_indices=True, _random_samples=u.detach()
            ),
            lambda x, u: getattr(TF, name)(
                x, size, out, return_indices=True, _random_samples=u.detach()
            ),
            inputs,
            samples,
            curved=False,
        )


@pytest.mark.parametrize("n", [2, 3])
def test_fractional_windows_are_drawn(n, backend, rng):
    x, name = rng.normal(size=(2, 3, *(9, 10, 11)[:n])), f"fractional_max_pool{n}d"
    u = torch.from_numpy(
        np.array(tx.random.Generator(3).uniform((2, 3, n), dtype=tx.float64)),
    )
    drawn = {"output_ratio": (0.5,) * n, "return_indices": True}
    agree(
        lambda x: getattr(F, name)(x, 2, generator=tx.random.Generator(3), **drawn),
        lambda x: getattr(TF, name)(x, 2, _random_samples=u, **drawn),
        x,
    )
    module = getattr(nn, f"FractionalMaxPool{n}d")
    agree(
        module(2, output_ratio=0.5, generator=tx.random.Generator(3)),
        lambda x: getattr(TF, name)(x, 2, output_ratio=(0.5,) * n, _random_samples=u),
        x,
    )


# -- folding ----------------------------------------------------------------------------------

FOLDS = [
    {"kernel_size": 2},
    {"kernel_size": (2, 3), "stride": (2, 1), "padding": (1, 2), "dilation": (2, 1)},
    {"kernel_size": 1, "stride": 3},
]


@pytest.mark.parametrize("options", FOLDS)
def test_folding(options, backend, rng):
    x = rng.normal(size=(2, 3, 6, 7))
    alike("unfold", x, **options)
    alike("unfold", x[0], **options)
    alike("unfold", x[:0], **options)
    columns = rng.normal(size=TF.unfold(torch.from_numpy(x), **options).shape)
    alike("fold", columns, output_size=(6, 7), **options)
    alike("fold", columns[0], output_size=(6, 7), **options)
    modules = pair("Unfold", **options), pair("Fold", (6, 7), **options)
    for (ours, theirs), inputs in zip(modules, (x, columns), strict=True):
        assert ours.extra_repr() == theirs.extra_repr()
        agree_modules(ours, theirs, inputs)


# -- modules without parameters ---------------------------------------------------------------


@pytest.mark.parametrize("n", DIMENSIONS)
def test_what_modules_say(n):
    for name, *args in [
        ("MaxPool", 3, 2, 1),
        ("MaxPool", 3),
        ("MaxUnpool", 2),
        ("AvgPool", 2, None, 1),
        ("LPPool", 2, 3),
        ("AdaptiveAvgPool", (3, None, 2)[:n]),
        ("AdaptiveMaxPool", 4),
    ]:
        ours, theirs = (getattr(module, f"{name}{n}d")(*args) for module in (nn, torch.nn))
        assert ours.extra_repr() == theirs.extra_repr()


@pytest.mark.parametrize("n", DIMENSIONS)
def test_unpooling_modules(n, backend, rng):
    x = rng.normal(size=(2, 3, *LENGTHS[:n]))

    def back(library):
        pool = getattr(library, f"MaxPool{n}d")(2, return_indices=True)
        unpool = getattr(library, f"MaxUnpool{n}d")(2)
        return lambda x: unpool(*pool(x), output_size=x.shape)

    agree(back(nn), back(torch.nn), x)


# -- errors -----------------------------------------------------------------------------------

X, W = tx.zeros((2, 4, 5, 5)), tx.zeros((6, 4, 3, 3))
BAD = [
    (lambda: F.conv2d(X, tx.zeros((6, 3, 3, 3))), ShapeError, "expects 3 channels"),
    (lambda: F.conv2d(X[0, 0], W), ShapeError, r"\(5, 5\)"),
    (lambda: F.conv2d(X, W, tx.zeros(4)), ShapeError, r"bias \(6,\)"),
    (lambda: F.conv2d(X, W, dilation=3), ShapeError, "does not fit"),
    (lambda: F.conv2d(X, W, groups=4), ShapeError, "groups=4"),
    (lambda: F.conv2d(X, W, stride=0), ArgumentError, "stride"),
    (lambda: F.conv2d(X, W, stride=1.5), DTypeError, "stride"),
    (lambda: F.conv2d(X, W, stride=(1, 1, 1)), ArgumentError, "stride"),
    (lambda: F.conv2d(X, W, padding="full"), ArgumentError, "'full'"),
    (lambda: F.conv2d(X, W, padding="same", stride=2), ArgumentError, "stride=1"),
    (lambda: F.conv2d(X, tx.astype(W, tx.float64)), DTypeError, "one dtype"),
    (lambda: F.conv2d(X, np.zeros((6, 4, 3, 3))), DTypeError, "expects Tensors"),
    (lambda: F.conv_transpose2d(X, W), ShapeError, "expects 6 channels"),
    (lambda: F.conv_transpose2d(X, W[:4], output_padding=1), ArgumentError, "output_padding"),
    (lambda: F.conv_transpose2d(X, W[:4], padding=4), ShapeError, "pad less"),
    (lambda: F.max_pool2d(X, 6), ShapeError, "does not fit"),
    (lambda: F.max_pool2d(X, 2, padding=2), ArgumentError, "half of the window"),
    (lambda: F.max_pool2d(tx.zeros((2, 0, 5, 5)), 2), ShapeError, "none empty"),
    (lambda: F.max_pool1d(tx.zeros((1, 1)), 2, 1, 1, 2), ArgumentError, "no element"),
    (lambda: F.avg_pool2d(X, 2, divisor_override=0), ArgumentError, "divisor_override"),
    (lambda: F.avg_pool2d(tx.astype(X, tx.int64), 2), DTypeError, "floating"),
    (lambda: F.lp_pool2d(X, 0, 2), ArgumentError, "norm_type"),
    (lambda: F.adaptive_avg_pool2d(X, (1, 2, 3)), ArgumentError, "output_size"),
    (lambda: F.adaptive_avg_pool2d(tx.astype(X, tx.int64), 1), DTypeError, "floating"),
    (lambda: F.adaptive_max_pool2d(X, -1), ArgumentError, "output_size"),
    (lambda: F.max_unpool2d(X, tx.zeros(X.shape), 2), DTypeError, "integer"),
    (lambda: F.max_unpool2d(X, 100 + tx.zeros(X.shape, dtype=tx.int64), 2), IndexingError, "100"),
    (lambda: F.max_unpool2d(X, tx.zeros((1,), dtype=tx.int64), 2), ShapeError, "one shape"),
    (
        lambda: F.max_unpool2d(X, tx.zeros(X.shape, dtype=tx.int64), 2, output_size=(12, 10)),
        ShapeError,
        "output_size",
    ),
    (
        lambda: F.max_unpool2d(X, tx.zeros(X.shape, dtype=tx.int64), 2, output_size=1.5),
        DTypeError,
        "output_size",
    ),
    (lambda: F.fractional_max_pool2d(X, 2), ArgumentError, "output_ratio"),
    (
        lambda: F.fractional_max_pool2d(X, 2, 2, _random_samples=[0.5]),
        DTypeError,
        "expects Tensors, got list",
    ),
    (lambda: F.fractional_max_pool2d(X, 3, 4), ShapeError, "at most"),
    (lambda: F.fractional_max_pool2d(X, 2, output_ratio=1.5), ArgumentError, "output_ratio"),
    (
        lambda: F.fractional_max_pool2d(X, 2, 2, _random_samples=tx.zeros((2, 4, 3))),
        ShapeError,
        "_random_samples",
    ),
    (lambda: F.unfold(X, 6), ShapeError, "does not fit"),
    (lambda: F.unfold(X[0, 0], 2), ShapeError, "unfold expects"),
    (lambda: F.fold(tx.zeros((1, 8, 9)), (5, 5), 2), ShapeError, "4 x 4 windows"),
    (lambda: F.fold(tx.zeros((1, 7, 16)), (5, 5), 2), ShapeError, "kernel_size"),
    (lambda: nn.Conv2d(4, 6, 3, groups=4), ArgumentError, "groups"),
    (lambda: nn.Conv2d(4, 6, 3, padding_mode="full"), ArgumentError, "padding_mode"),
    (lambda: nn.Conv2d(4, 6, 3, padding="full"), ArgumentError, "'full'"),
    (lambda: nn.Conv2d(4, 6, 3, 2, padding="same"), ArgumentError, "stride=1"),
    (lambda: nn.ConvTranspose2d(4, 6, 3, padding_mode="circular"), ArgumentError, "zeros"),
    (lambda: nn.FractionalMaxPool2d(2), ArgumentError, "output_ratio"),
    (lambda: nn.FractionalMaxPool2d(2, output_ratio=1.5), ArgumentError, "output_ratio"),
]


@each(("run", "kind", "words"), BAD)
def test_bad_calls(run, kind, words):
    with pytest.raises(TinyError, match=words) as caught:
        run()
    assert type(caught.value) is kind
