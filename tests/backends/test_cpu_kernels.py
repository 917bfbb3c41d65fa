"""The numpy backend's kernels, NumPy's own and numba's, against the formulas they stand for."""

import itertools
from contextlib import suppress
from functools import partial

import numpy as np
import pytest

import tinyxp as tx
from tests.compare import (
    agree_with_formula,
    as_one,
    formulas,
    use_kernels,
    value_and_gradients,
)
from tinyxp import backends
from tinyxp.backends.common.philox import random_bits
from tinyxp.backends.numpy import backend as numpy_backend
from tinyxp.backends.numpy.kernels import random as numpy_random
from tinyxp.errors import BackendError
from tinyxp.nn import functional as F


def table(fast):
    """The kernels and functions of the numpy backend, a kernel and those after it as one."""
    kernels = {name: as_one(kernel) for name, kernel in numpy_backend.kernels(fast).items()}
    return kernels | numpy_backend.functions(fast)


TABLES = {"numpy": table(False), "numba": None}
with suppress(BackendError):
    TABLES["numba"] = table(True)
    from tinyxp.backends.numpy.compiled import random as numba_random


@pytest.fixture(params=TABLES)
def kernels(request, monkeypatch):
    """Each table of kernels in turn; the tests put {} in its place to get the formulas."""
    if TABLES[request.param] is None:
        pytest.skip("numba is not installed: pip install numba")
    if request.param == "numba":
        monkeypatch.setattr(numba_random, "FEW", 64)  # else few of these arrays were large enough
    use = partial(use_kernels, monkeypatch)
    use(TABLES[request.param])
    return use, TABLES[request.param]


PRECISIONS = [("float64", 1e-11), ("float32", 1e-5)]
SHAPES = [(5,), (3, 4), (2, 3, 70), (40, 1000), (1, 1), (0, 4), (5, 2, 4, 3)]


def orders(x):
    """The same numbers laid out in memory in several ways."""
    yield x
    yield np.asfortranarray(x)
    wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
    wide[..., ::2] = x
    yield wide[..., ::2]
    if x.ndim == 4:
        yield np.ascontiguousarray(x.transpose(2, 1, 3, 0)).transpose(
            3, 1, 0, 2
        )  # as conv leaves it


ELEMENTWISE = {
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu by tanh": lambda x: F.gelu(x, approximate="tanh"),
    "softmax": lambda x: F.softmax(x, dim=-1),
    "layer_norm": lambda x: F.layer_norm(x, x.shape[-1:]),
}


@pytest.mark.parametrize("name", ELEMENTWISE)
@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_elementwise_and_by_rows(name, dtype, tolerance, shape, kernels):
    if name == "layer_norm" and shape == (1, 1):
        return  # of one number nothing is left but rounding
    x = np.random.default_rng(0).normal(size=shape).astype(dtype) * 3
    agree_with_formula(ELEMENTWISE[name], [x], tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_layer_norm_with_weight_and_bias(dtype, tolerance, kernels):
    rng = np.random.default_rng(1)
    x, w, b = (rng.normal(size=s).astype(dtype) for s in ((50, 7, 33), (33,), (33,)))
    agree_with_formula(lambda x, w, b: F.layer_norm(x, (33,), w, b), [x, w, b], tolerance)
    agree_with_formula(lambda x, w: F.layer_norm(x, (33,), w), [x, w], tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("causal", [False, True])
def test_attention(dtype, tolerance, causal, kernels):
    rng = np.random.default_rng(2)
    for lengths in ((6, 6), (3, 7), (7, 3)):
        q, k = (rng.normal(size=(2, 3, n, 5)).astype(dtype) for n in lengths)
        v = rng.normal(size=(2, 3, lengths[1], 4)).astype(dtype)
        f = lambda *xs: F.scaled_dot_product_attention(*xs, is_causal=causal)  # noqa: E731
        agree_with_formula(f, [q, k, v], tolerance)
    heads = rng.normal(size=(2, 6, 3, 5)).astype(dtype).transpose(0, 2, 1, 3)  # as a model has them
    agree_with_formula(f, [heads, heads, heads], tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("masked", [False, True])
def test_attention_with_dropout(dtype, tolerance, masked, kernels):
    rng = np.random.default_rng(3)

    def f(q, k, v, mask=None):
        options = {"attn_mask": mask, "dropout_p": 0.3, "generator": tx.random.Generator(5)}
        return F.scaled_dot_product_attention(q, k, v, is_causal=not masked, **options)

    for n in (5, 41):
        arrays = [rng.normal(size=(2, 3, n, 5)).astype(dtype) for _ in range(3)]
        agree_with_formula(f, [*arrays, rng.random((n, n)) < 0.7] if masked else arrays, tolerance)


# -- random words, and dropout by them -------------------------------------------------------------

PART = 4 * numpy_random.BLOCKS  # words that are made at a time


@pytest.mark.parametrize("n", [0, 1, 6, 4095, 4096, 4101, 5000, PART, PART + 1, 2 * PART + 257])
@pytest.mark.parametrize("counter", [0, 2**32 - 5, 2**64 - 3, 2**128 - 2])
def test_random_words_are_philoxs(n, counter, kernels):
    key = 2**63 + 2**33 + 5
    found = kernels[1]["random_bits"](key, counter, n)
    assert found.dtype == np.int64
    assert np.array_equal(found, random_bits(backends.get("numpy").xp, key, counter, n))


@pytest.mark.parametrize("p", [1e-12, 0.3, 1.0])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(), (5,), (0, 4), (40, 129), (9, 2, 30, 11)])
def test_dropout_has_the_bits_of_its_formula(p, dtype, shape, kernels):
    x = np.random.default_rng(4).normal(size=shape).astype(dtype)
    if x.size > 4 and p < 1:  # else the formula warns of ∞ · 0
        x.flat[:4] = np.inf, -np.inf, np.nan, -0.0
    f = lambda x: F.dropout(x, p, generator=tx.random.Generator(6))  # noqa: E731
    for laid_out in orders(x) if shape else [x]:
        agree_with_formula(f, [laid_out], 0)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_cross_entropy(dtype, tolerance, reduction, kernels):
    rng = np.random.default_rng(3)
    logits, targets = rng.normal(size=(9, 4)).astype(dtype) * 5, rng.integers(0, 4, 9)
    for ignored, smoothing in itertools.product((-100, 2), (0.0, 0.2)):
        options = {"ignore_index": ignored, "label_smoothing": smoothing, "reduction": reduction}
        f = lambda x, t, options=options: F.cross_entropy(x, t, **options)  # noqa: E731
        agree_with_formula(f, [logits, targets], tolerance)


CONVOLUTIONS = [
    # batch, in, size, out, window, stride, padding, dilation, groups
    (3, 4, (7, 9), 6, (3, 3), 1, 1, 1, 1),
    (3, 4, (7, 9), 6, (3, 2), 2, (1, 0), (2, 1), 2),
    (2, 4, (8, 8), 4, (3, 3), 1, 1, 1, 4),
    (5, 1, (8, 8), 3, (2, 2), (1, 2), 0, 1, 1),
    (2, 3, (40, 40), 5, (5, 5), 1, 2, 1, 1),  # more rows than the cache takes at a time
    (2, 3, (11,), 4, (3,), 2, 1, 1, 1),
    (1, 2, (5,), 2, (5,), 1, 4, 1, 2),
]


@pytest.mark.parametrize("case", CONVOLUTIONS)
@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_convolution(case, dtype, tolerance, kernels):
    batch, channels, size, out, window, stride, padding, dilation, groups = case
    rng = np.random.default_rng(4)
    x = rng.normal(size=(batch, channels, *size)).astype(dtype)
    w = rng.normal(size=(out, channels // groups, *window)).astype(dtype)
    b = rng.normal(size=out).astype(dtype)
    conv = F.conv1d if len(size) == 1 else F.conv2d
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    f = lambda x, w, *b: conv(x, w, *b, **options)  # noqa: E731
    for parts in ([x, w, b], [x, w], [np.asfortranarray(x), w[..., ::-1], b]):
        agree_with_formula(f, parts, tolerance)


@pytest.mark.parametrize("options", [(2,), (2, 1), (3, 2, 1), (2, 3), (2, 2, 0, 2), ((2, 3),)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_max_pool(options, dtype, kernels):
    """Ties and infinities too."""
    rng = np.random.default_rng(5)
    for size in ((7, 8), (6, 12)):
        x = rng.integers(0, 4, size=(5, 3, *size)).astype(dtype)
        x[0, 0, :2] = -np.inf
        for laid_out in orders(x):
            agree_with_formula(lambda x: F.max_pool2d(x, *options), [laid_out], 1e-6)
    if options != ((2, 3),):
        agree_with_formula(lambda x: F.max_pool1d(x, *options), [x[0]], 1e-6)


def test_nan_is_not_lost(kernels):
    """Where the formula gives NaN, so does the kernel, value and gradient."""
    x = np.random.default_rng(6).normal(size=(2, 4, 4)).astype("float32")
    x[0, 1, 2] = np.nan
    pooled = lambda x: F.max_pool2d(x[:, None].permute_dims((3, 1, 0, 2)), 1) * 1  # noqa: E731
    functions = [*ELEMENTWISE.values(), lambda x: F.max_pool2d(x, 2), pooled]
    for f in functions:
        fused = value_and_gradients(f, [x])
        with formulas():
            plain = value_and_gradients(f, [x])
        for a, b in zip(fused, plain, strict=True):
            assert np.array_equal(np.isnan(a), np.isnan(b)), f


def test_relu_stops_even_infinite_gradients(kernels):
    x = tx.asarray([-1.0, 0.0, 2.0], requires_grad=True)
    F.relu(x).backward(tx.asarray([np.inf, np.nan, 3.0]))
    assert x.grad.tolist() == [0.0, 0.0, 3.0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_adamw_in_batches_of_small_parameters(dtype, kernels):
    """Small, large and strided parameters in one step, against the formula over ten steps."""
    use, table = kernels
    shapes = [(3,), (200, 300), (), (2, 5), (40, 40)]
    found = []
    for each in (table, {}):
        use(each)
        rng = np.random.default_rng(7)
        params = [tx.asarray(rng.normal(size=s).astype(dtype)).requires_grad_() for s in shapes]
        optimizer = tx.optim.AdamW(params, lr=0.01, weight_decay=0.1)
        for _ in range(10):
            for p in params:
                p.grad = tx.asarray(rng.normal(size=p.shape).astype(dtype))
            params[4].grad = tx.asarray(np.asfortranarray(params[4].grad.numpy()))
            optimizer.step()
        found.append([p.detach().numpy() for p in params])
    for a, b in zip(*found, strict=True):
        assert np.abs(a - b).max() <= (1e-12 if dtype == "float64" else 2e-6)
