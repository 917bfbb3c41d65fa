"""Attention on tensor cores (tensor_attention.cu), run on the CPU (cuda_on_cpu/), against the
formula in float64. Whether a GPU's tensor cores do the same, test_cupy.py says there."""

import math
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

import tinyxp as tx
from tests.backends.cuda_on_cpu import COMPILER, expect_noticed, on_cpu
from tests.backends.test_cuda_kernels import ATTENTIONS, masks
from tests.compare import formulas, value_and_gradients
from tests.helpers import each
from tinyxp import backends
from tinyxp.backends.cupy import launch as cuda_source
from tinyxp.backends.cupy.kernels.dense import Kernels
from tinyxp.nn import functional as F
from tinyxp.nn.functional.attention import attend
from tinyxp.random import Generator

pytestmark = pytest.mark.skipif(COMPILER is None, reason="g++ is not installed")

# half a unit in the last place of a product's operands, each rounded once or twice
UNITS = {"float32": 2**-11, "float16": 2**-11, "bfloat16": 2**-8}
DTYPES = {"float32": tx.float32, "float16": tx.float16, "bfloat16": tx.bfloat16}


@contextmanager
def tf32():
    tx.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        tx.set_float32_matmul_precision("highest")


def as_exact_as_its_operands(f, arrays, dtype, pairs=0):
    """The backend in use, of inputs rounded to ``dtype``, beside the formula in float64. Of a mask
    that is repeated, the gradient sums up the errors of ``pairs`` of queries and keys."""
    xs = [tx.asarray(x) if x.dtype == bool else tx.asarray(x, dtype=DTYPES[dtype]) for x in arrays]
    with tf32():
        found = value_and_gradients(f, xs)
    with formulas():
        plain = [x.numpy() for x in xs]
        expected = value_and_gradients(
            f, [x if x.dtype == bool else x.astype("float64") for x in plain]
        )
    for k, (a, b) in enumerate(zip(found, expected, strict=True)):
        error = np.abs(a.astype("float64") - b).max(initial=0) / np.abs(b).max(initial=1)
        summed = max(1, pairs / b.size) ** 0.5 if k == 4 else 1
        assert error <= 6 * UNITS[dtype] * summed, f"part {k}: {error / UNITS[dtype]:.1f} units"


def takes_and_agrees(f, arrays, dtype, library=None, pairs=0):
    """That the kernels take this case, and are right."""
    own, launched = Kernels(library or on_cpu()).table()["attention"], []

    def forward(*operands, **static):
        found = own.forward(*operands, **static)
        launched.append(found is not NotImplemented and found[1][6].family)
        return found

    with pytest.MonkeyPatch.context() as patch:
        table = {"attention": backends.Kernel(forward, own.vjp)}
        patch.setitem(backends.get("numpy").__dict__, "kernels", table)
        as_exact_as_its_operands(f, arrays, dtype, pairs)
    assert launched == ["tensor_attention"]


# Whether causal, and whether the threads run backwards, in which a missing barrier shows: float32
# tells of it. float16 and bfloat16 differ in their products alone, so each has one of the masks.
RUNS = [("float32", causal, backwards) for causal in (False, True) for backwards in (False, True)]
RUNS += [("float16", False, False), ("bfloat16", True, False)]


@pytest.mark.parametrize("case", ATTENTIONS, ids=str)
@each(("dtype", "causal", "backwards"), RUNS)
def test_attention(case, dtype, causal, backwards):
    front, queries, keys, width = case
    rng = np.random.default_rng(4)
    q, k, v = (rng.normal(size=(*front, n, width)) for n in (queries, keys, keys))
    f = lambda *xs: F.scaled_dot_product_attention(*xs, is_causal=causal)  # noqa: E731
    takes_and_agrees(f, [q, k, v], dtype, on_cpu(backwards))


@pytest.mark.parametrize(("dtype", "p"), [("float32", 0.3), ("bfloat16", 0.3), ("bfloat16", 0.0)])
@pytest.mark.parametrize("case", [((2, 2), 5, 37), ((2,), 70, 9), ((2, 1, 2), 3, 5)])
def test_masks_and_dropout(case, dtype, p):
    """The gradients of floating masks too."""
    front, queries, keys = case
    rng = np.random.default_rng(11)
    q, k, v = (rng.normal(size=(*front, n, 6)) for n in (queries, keys, keys))
    for i, mask in enumerate([None, None, *masks(front, queries, keys, "float64")]):
        parts, causal = [q, k, v] if mask is None else [q, k, v, mask], i % 4 in (0, 3)
        if mask is None and p == 0:
            continue
        f = lambda q, k, v, mask=None, causal=causal: attend(  # noqa: E731
            q, k, v, mask, p, causal, 0.5, Generator(2**40 + 1)
        )
        takes_and_agrees(f, parts, dtype, pairs=math.prod(front) * queries * keys)


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_where_they_lie(dtype):
    """Of 16 bytes at a time, and of places between, as views of one product have them."""
    rng = np.random.default_rng(5)
    for width, skipped in ((16, 0), (16, 1), (12, 0), (5, 0)):
        whole = rng.normal(size=(2, 37, 3, 4, width + skipped))

        def f(x, skipped=skipped):
            q, k, v = tx.permute_dims(x[..., skipped:], (2, 0, 3, 1, 4))
            return F.scaled_dot_product_attention(q, k, v, is_causal=True)

        takes_and_agrees(f, [whole], dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_large_scores(dtype):
    """Weights of 0 and 1, and of what exp cannot hold."""
    x = np.random.default_rng(6).integers(-2, 3, size=(1, 1, 40, 8)).astype("float64")
    f = lambda q, k, v: F.scaled_dot_product_attention(q, k, v, scale=30.0)  # noqa: E731
    takes_and_agrees(f, [x, 2 * x, x[..., ::-1]], dtype)


def test_who_goes_to_tensor_cores():
    """float32 where TF32 is allowed, 16 bits always, on GPUs that have them; float64 never."""

    def family(dtype, tensor_cores=True):
        table = Kernels(replace(on_cpu(), tensor_cores=lambda: tensor_cores)).table()
        x = tx.ones((1, 1, 4, 8), dtype=dtype).array
        return table["attention"].forward(x, x, x, is_causal=False, scale=1.0)[1][6].family

    assert family(tx.float32) == family(tx.float64) == "attention"
    assert family(tx.bfloat16) == family(tx.float16) == "tensor_attention"
    assert family(tx.bfloat16, tensor_cores=False) == "attention"
    with tf32():
        assert family(tx.float32) == "tensor_attention"
        assert family(tx.float64) == family(tx.float32, tensor_cores=False) == "attention"


MUTANTS = [  # a text of the source, what takes its place, and whether with a mask and dropout
    ("        __syncthreads();  // all have read the tiles before\n", "", False),
    (
        "        DRAW(drawn, ROWS, COLUMNS);\n        __syncthreads();\n        Sums s",
        "Sums s",
        False,
    ),
    ("first_key + wide - 1 > first_query", "false", False),
    ("total[half] *= shrink;", "", False),
    ("sums[j][2 * half + i] *= shrink", "sums[j][2 * half + i] *= 1", False),
    ("LANE % 4 * 2 + i % 2) * PITCH", "LANE % 4 + i % 2 * 4) * PITCH", False),
    ("multiply(sums[2 * j + 1], left, right[2]", "multiply(sums[2 * j + 1], left, right[0]", False),
    ("[j] = tf32((float)numbers[j]);", "[j] = tf32((float)numbers[0]);", False),
    ("facts[query][1];", "1;", False),
    (" - facts[query][2])", ")", False),
    ("p * drawn[row][column]", "p", True),
    ("weight * factor : 0", "weight : 0", True),
    ("total[half] == 0 ? 0 : 1", "false ? 0 : 1", True),
]


@pytest.mark.parametrize(("text", "instead", "masked"), MUTANTS)
def test_a_broken_source_is_caught(text, instead, masked):
    assert text in cuda_source.text("tensor_attention.cu")
    rng = np.random.default_rng(9)
    x = rng.normal(size=(1, 1, 140, 16))
    arrays = [x]
    f = lambda q: F.scaled_dot_product_attention(q, q, q, is_causal=True)  # noqa: E731
    if masked:
        arrays = [x[:, :, :37], rng.random((37, 1)) < 0.5]
        f = lambda q, m: attend(q, q, q, m, 0.3, False, 0.5, Generator(1))  # noqa: E731
    expect_noticed(lambda library: takes_and_agrees(f, arrays, "float32", library), text, instead)
