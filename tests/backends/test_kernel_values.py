"""NaN and infinity in any array that a kernel gets: where its formula loses none, nor does it."""

import math

import numpy as np
import pytest

import tinyxp as tx
from tests.backends.cuda_on_cpu import COMPILER
from tests.backends.test_cpu_kernels import TABLES
from tests.backends.test_layouts import (
    CUDA,
    NUMPY,
    PRECISIONS,
    by_formula,
    by_kernel,
    cases,
    formulas,
    in_precision,
)
from tests.helpers import each
from tinyxp.backends import Kernel
from tinyxp.core.operation import OPS
from tinyxp.core.tape import fit
from tinyxp.nn import functional as F

__all__ = ["formulas"]  # the fixture
pytestmark = pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")  # of NaN and infinity


def alike(a, b, tolerance, finite_alike=False):
    """Whether NaN and infinities stand in the same places, and all else is close. ``finite_alike``:
    whether numbers are finite in the same places, whatever stands in the others."""
    a, b = np.array(a), np.array(b)
    if finite_alike:
        a[~np.isfinite(a)], b[~np.isfinite(b)] = np.nan, np.nan
    return np.allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True)


def poisoned(arrays, g):
    """Each floating array in turn, and g, with one number that is NaN or infinite."""
    for k, x in enumerate([*arrays, g]):
        if x is None or x.dtype.kind != "f" or not x.size:
            continue
        for value in (math.nan, math.inf, -math.inf):
            for place in {0, 7 % x.size, x.size - 1}:
                new = x.copy()
                new.reshape(-1)[place] = value
                yield (
                    k,
                    value,
                    [*arrays[:k], new, *arrays[k + 1 :]][: len(arrays)],
                    (new if k == len(arrays) else g),
                )


def complaints(name, kernel, dtype, roughly):
    """Where a kernel and its formula part. Gradients of NaN have NaN in the same places; of an
    infinity they are finite in the same places, as where infinities meet, order decides between
    NaN and infinity. ``roughly``: they are finite all, or not all, in both."""
    for i, (operands, static) in enumerate(cases(name)):
        plain = in_precision(operands, dtype)
        *_, g0 = by_formula(name, plain, static)
        needs = tuple(x is not None and x.dtype.kind == "f" for x in plain)
        needs += OPS[name].absent[len(needs) :]
        for k, value, arrays, g in poisoned(plain, g0):
            ignoring = name == "cross_entropy" and static["ignore_index"] in arrays[1]
            if ignoring and k == 0 and not math.isnan(value):
                continue  # of an ignored row PyTorch's gradient, too, is NaN, and the formula's 0
            right, slopes, _ = by_formula(name, arrays, static, g)
            found = by_kernel(kernel, arrays, static, g, needs)
            if found is None:
                continue
            what, tolerance = f"{name} {i} {dtype}, {value} in {k}", 4 * PRECISIONS[dtype]
            if not alike(found[0], right, tolerance):
                yield f"{what}: the value"
            pairs = [
                (fit(NUMPY.xp, a, b.shape, b.dtype), b)
                for a, b in zip(found[1], slopes, strict=False)
                if b is not None
            ]
            if roughly:
                ours, theirs = (
                    all(np.isfinite(x).all() for x in part) for part in zip(*pairs, strict=True)
                )
                if ours != theirs:
                    yield f"{what}: gradients"
                continue
            for j, (a, b) in enumerate(pairs):
                if not alike(a, b, tolerance, finite_alike=not math.isnan(value)):
                    yield f"{what}: gradient {j}"


@pytest.mark.parametrize(("table", "dtype"), [("numpy", "float64"), ("numba", "float32")])
def test_a_kernel_loses_no_nan_and_no_infinity(table, dtype, formulas):
    if TABLES[table] is None:
        pytest.skip("numba is not installed: pip install numba")
    kernels = {name: x for name, x in TABLES[table].items() if isinstance(x, Kernel)}
    wrong = [text for name, x in kernels.items() for text in complaints(name, x, dtype, False)]
    assert not wrong, "\n".join(wrong[:40])


@pytest.mark.skipif(COMPILER is None, reason="g++ is not installed")
@pytest.mark.parametrize("name", ["attention", "cross_entropy", "gelu", "layer_norm", "softmax"])
def test_a_cuda_kernel_loses_no_nan_and_no_infinity(name, formulas):
    """On the CPU. Tiles that a causal query never comes to are not read: their NaN stays out of
    its gradient."""
    wrong = [*complaints(name, CUDA[name], "float32", True)]
    assert not wrong, "\n".join(wrong[:40])


# -- attention, where PyTorch is the judge ---------------------------------------------------------


def nan_rows(x):
    return np.isnan(np.asarray(x.detach())).any(-1).tolist()


@each("where", ["key", "value"])
@each("number", [math.nan, math.inf, -math.inf])
@each("form", ["boolean", "added", "causal"])
def test_what_stands_in_a_masked_key_is_what_pytorch_makes_of_it(where, number, form, backend):
    """A mask is added, so that NaN stays NaN; of later keys none is looked at."""
    torch = pytest.importorskip("torch")
    q, k, v = np.random.default_rng(0).normal(size=(3, 2, 2, 4, 8)).astype("float32")
    (k if where == "key" else v)[..., 3, 0] = number
    allowed = np.arange(4) < 3
    masks = {"boolean": allowed, "added": np.where(allowed, 0, -np.inf).astype("float32")}
    found = []
    for library, attend in (
        (torch, torch.nn.functional.scaled_dot_product_attention),
        (tx, F.scaled_dot_product_attention),
    ):
        given = [library.asarray(x.copy()) for x in (q, k, v)]
        mask = masks.get(form)
        mask = None if mask is None else library.asarray(np.broadcast_to(mask, (4, 4)).copy())
        found.append(nan_rows(attend(*given, attn_mask=mask, is_causal=form == "causal")))
    assert found[0] == found[1]
