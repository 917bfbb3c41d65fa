"""The sources of the CUDA kernels, run on the CPU (cuda_on_cpu/), against their formulas.

What passes here computes the right numbers; test_cupy.py says on a GPU whether it runs there.
"""

import itertools
import shutil
import subprocess
from functools import partial

import numpy as np
import pytest

import tinyxp as tx
from tests.autograd.test_gradients import test_kernel_equals_formula as kernel_equals_formula
from tests.backends.cuda_on_cpu import COMPILER, expect_noticed, on_cpu
from tests.backends.test_cpu_kernels import orders
from tests.backends.test_halves import agree_with_float64
from tests.compare import agree_with_formula, use_kernels, value_and_gradients
from tests.registry import differentiable, example
from tinyxp import backends
from tinyxp.backends.common import philox
from tinyxp.backends.common.adamw import AdamWStep
from tinyxp.backends.cupy import launch as cuda_source
from tinyxp.backends.cupy.kernels import tiles as attention_tiles
from tinyxp.backends.cupy.kernels.dense import Kernels
from tinyxp.bench.tinyxp_models import build
from tinyxp.bench.workloads import GPT, Workload
from tinyxp.core.operation import OPS
from tinyxp.nn import functional as F
from tinyxp.nn.functional.attention import attend
from tinyxp.random import Generator

pytestmark = pytest.mark.skipif(COMPILER is None, reason="g++ is not installed")

PRECISIONS = [("float64", 1e-11), ("float32", 1e-5)]


@pytest.fixture(params=["forwards", "backwards"])
def kernels(request, monkeypatch):
    """The table in place of the numpy backend's own, threads run in either order."""
    if request.param == "backwards" and "float64" in request.node.callspec.params.values():
        pytest.skip("float32 tells of a missing barrier just as well")
    own = Kernels(on_cpu(request.param == "backwards"))
    table, use = own.table() | own.functions(), partial(use_kernels, monkeypatch)
    use(table)
    return use, table


def used(kernels, name, *arrays, **static):
    """That the kernel takes this case, and does not leave it to the formula."""
    assert kernels[1][name].forward(*arrays, **static) is not NotImplemented


def takes_all(table, name):
    """Let the kernel fail a test where it would leave a case to the formula."""
    own = table[name]

    def forward(*arrays, **static):
        found = own.forward(*arrays, **static)
        assert found is not NotImplemented
        return found

    table[name] = backends.Kernel(forward, own.vjp)


NAMES = sorted(Kernels(on_cpu()).table())
EXAMPLES = [(name, i) for name, i in differentiable() if name in NAMES]


@pytest.mark.parametrize(("name", "i"), EXAMPLES)
def test_the_registrys_examples(name, i, kernels):
    kernel_equals_formula("numpy", name, i)


IN_16_BITS = [(name, tx.bfloat16) for name in NAMES]
IN_16_BITS += [("layer_norm", tx.float16), ("gelu", tx.float16)]


@pytest.mark.parametrize(("name", "dtype"), IN_16_BITS, ids=repr)
def test_the_registrys_examples_in_16_bits(name, dtype, monkeypatch):
    """Against the formulas in float64, of inputs rounded to 16 bits."""
    kernel, taken = Kernels(on_cpu()).table()[name], []

    def forward(*arrays, **static):
        if arrays[0].dtype.name != dtype.name:
            return NotImplemented
        result = kernel.forward(*arrays, **static)
        taken.append(result is not NotImplemented)
        return result

    table = {name: backends.Kernel(forward, kernel.vjp)}
    monkeypatch.setitem(backends.get("numpy").__dict__, "kernels", table)
    agree_with_float64(name, dtype)
    assert any(taken)


BY_ROWS = {
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu by tanh": lambda x: F.gelu(x, approximate="tanh"),
    "softmax": lambda x: F.softmax(x, dim=-1),
    "log_softmax": lambda x: F.log_softmax(x, dim=-1),
    "layer_norm": lambda x: F.layer_norm(x, x.shape[-1:]),
    "rms_norm": lambda x: F.rms_norm(x, x.shape[-1:], eps=1e-5),
}


@pytest.mark.parametrize("name", BY_ROWS)
@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_elementwise_and_by_rows(name, dtype, tolerance, kernels):
    for shape in [(5,), (3, 4), (2, 3, 33), (2, 1000), (1, 1), (0, 4), (5, 2, 4, 3)]:
        if name == "layer_norm" and shape == (1, 1):
            continue  # of one number nothing is left but rounding
        if name in ("relu", "gelu", "gelu by tanh"):
            agree_with_formula(BY_ROWS[name], [np.asarray(0.7, dtype)], tolerance)
        x = np.random.default_rng(0).normal(size=shape).astype(dtype) * 3
        for laid_out in orders(x) if x.size < 100 else [x]:
            agree_with_formula(BY_ROWS[name], [laid_out], tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_views_that_begin_at_any_place(dtype, tolerance, kernels):
    """Where 16 bytes cannot be read at a time, and just behind where they can."""
    dropped = lambda x: F.dropout(x, 0.4, generator=Generator(7))  # noqa: E731
    x = np.random.default_rng(0).normal(size=75).astype(dtype)
    assert x.ctypes.data % 16 == 0
    for f in (F.relu, F.gelu, dropped):
        for first, end in ((0, 64), (0, 65), (0, 75), (1, 74), (3, 4), (4, 75)):
            g = lambda x, f=f, at=slice(first, end): f(x[at])  # noqa: E731
            agree_with_formula(g, [x], tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("shape", [(5, 7, 33), (1, 5), (150, 3), (2, 1000)])
def test_norms_with_weight_and_bias(dtype, tolerance, shape, kernels):
    rng, n = np.random.default_rng(1), shape[-1]
    x, w, b = (rng.normal(size=s).astype(dtype) for s in (shape, (n,), (n,)))
    agree_with_formula(lambda x, w, b: F.layer_norm(x, (n,), w, b), [x, w, b], tolerance)
    agree_with_formula(lambda x, w: F.layer_norm(x, (n,), w), [x, w], tolerance)
    agree_with_formula(lambda x, w: F.rms_norm(x, (n,), w, eps=1e-5), [x, w], tolerance)
    agree_with_formula(lambda x, b: F.layer_norm(x, (n,), None, b), [x, b], tolerance)
    both = x.shape[1:]
    if len(both) > 1:
        w, b = (rng.normal(size=both).astype(dtype) for _ in range(2))
        agree_with_formula(lambda x, w, b: F.layer_norm(x, both, w, b), [x, w, b], tolerance)


@pytest.mark.parametrize("shape", [(5,), (3, 1), (2, 700), (2, 4200), (0, 4)])
def test_softmax_of_special_rows(shape, kernels):
    """Infinite, masked and NaN: where the formula gives NaN, so does the kernel."""
    x = np.random.default_rng(2).normal(size=shape).astype("float32")
    for special in (np.nan, np.inf, -np.inf, 1e4, -1e4, 3e38):
        y = x.copy()
        y[..., :1] = special
        with np.errstate(all="ignore"):
            for f in (BY_ROWS["softmax"], BY_ROWS["log_softmax"]):
                agree_with_formula(f, [y], 1e-5)
    with np.errstate(all="ignore"):
        agree_with_formula(BY_ROWS["softmax"], [np.full_like(x, -np.inf)], 1e-5)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("classes", [1, 4, 700])
def test_cross_entropy(dtype, tolerance, reduction, classes, kernels):
    rng = np.random.default_rng(3)
    logits = rng.normal(size=(9, classes)).astype(dtype) * 5 + 100
    targets = rng.integers(0, classes, 9)
    for ignored, smoothing in itertools.product((-100, 2, int(targets[0])), (0.0, 0.2)):
        options = {"ignore_index": ignored, "label_smoothing": smoothing, "reduction": reduction}
        f = lambda x, t, options=options: F.cross_entropy(x, t, **options)  # noqa: E731
        used(kernels, "cross_entropy", logits, targets, **options)
        agree_with_formula(f, [logits, targets], 3 * tolerance)


def test_cross_entropy_of_rows_with_gaps_between_them(kernels):
    """As `linear` makes them for many classes: read where they lie, and so is the gradient."""
    wide = np.random.default_rng(3).normal(size=(9, 40)).astype("float32")
    f = lambda x: F.cross_entropy(x[:, :37], tx.asarray([1, 36, 0, 5, 9, 2, 3, 4, -100]))  # noqa: E731
    agree_with_formula(f, [wide], 1e-6)
    agree_with_formula(f, [np.asfortranarray(wide)], 1e-6)
    kernel = kernels[1]["cross_entropy"]
    options = {"ignore_index": -100, "label_smoothing": 0.0, "reduction": "mean"}
    y, residuals = kernel.forward(wide[:, :37], np.arange(9), **options)
    assert residuals[0].base is wide and y.dtype == "float32"
    gx, *_ = kernel.vjp(np.ones((), "float32"), residuals, (True, False))
    assert gx.shape == (9, 37) and gx.strides == wide.strides


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_autocast_has_cross_entropy_read_16_bits(dtype, kernels):
    """A loss in float32, and gradients to any order, without a cast before it."""
    use, table = kernels
    rng = np.random.default_rng(3)
    values, targets = tx.asarray(rng.normal(size=(9, 7))), tx.asarray(rng.integers(0, 7, 9))
    found = []
    for each in (table, {}):
        use(each)
        x = values.astype(dtype).requires_grad_()
        with tx.autocast(dtype=dtype):
            loss = F.cross_entropy(x, targets, label_smoothing=0.1)
        assert loss.dtype is tx.float32
        ops = {node.op.name for node in walk(loss)}
        assert ("astype" in ops) == (each is not table), ops
        (g,) = tx.autograd.grad(loss, x, create_graph=True)
        assert g.dtype is x.dtype
        (second,) = tx.autograd.grad((g.float() ** 2).sum(), x)
        found.append([loss.detach().numpy(), *(y.detach().float().numpy() for y in (g, second))])
    exact = F.cross_entropy(values.astype(dtype).double(), targets, label_smoothing=0.1).item()
    assert abs(found[0][0] - exact) < 1e-6
    eps = tx.finfo(getattr(tx, dtype)).eps
    for a, b in zip(*found, strict=True):
        assert np.abs(a - b).max() <= 2 * eps * np.abs(b).max()


def walk(y):
    """The nodes behind a tensor."""
    nodes, todo = [], [y._node]
    while todo:
        node = todo.pop()
        if hasattr(node, "op"):
            nodes.append(node)
            todo += node.parents
    return nodes


def test_cross_entropy_of_nothing_that_counts(kernels):
    logits, targets = np.zeros((3, 4), "float32"), np.full(3, -100)
    f = lambda x, t: F.cross_entropy(x, t)  # noqa: E731
    agree_with_formula(f, [logits, targets], 1e-6)


def test_a_target_that_is_no_class_reads_nothing_and_gives_nan(kernels):
    options = {"ignore_index": -100, "label_smoothing": 0.0, "reduction": "none"}
    forward = kernels[1]["cross_entropy"].forward
    y, _ = forward(np.zeros((3, 4), "float32"), np.array([1, 4, -1]), **options)
    assert np.isnan(y).tolist() == [False, True, True]


ATTENTIONS = [  # batch and heads, queries, keys, width
    ((2, 3), 6, 6, 5), ((1, 2), 3, 70, 16), ((1, 1), 70, 3, 8), ((2,), 33, 33, 4), ((), 65, 65, 64),
    ((1, 1), 1, 1, 1), ((1, 1), 40, 40, 96), ((1, 1), 20, 37, 128),
    ((2, 1, 2), 5, 5, 32),
]  # fmt: skip


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("case", ATTENTIONS, ids=str)
def test_attention(case, dtype, tolerance, causal, kernels):
    front, queries, keys, width = case
    rng = np.random.default_rng(4)
    q, k, v = (rng.normal(size=(*front, n, width)).astype(dtype) for n in (queries, keys, keys))
    if not (dtype == "float64" and width > 64):
        used(kernels, "attention", q, k, v, is_causal=causal, scale=0.5)
    f = lambda *xs: F.scaled_dot_product_attention(*xs, is_causal=causal)  # noqa: E731
    agree_with_formula(f, [q, k, v], 3 * tolerance)


def masks(front, queries, keys, dtype):
    """Boolean and floating masks that broadcast to (*front, queries, keys), some of them views;
    queries without any key too."""
    rng = np.random.default_rng(12)
    whole = (*front, queries, keys)
    shapes = {(keys,), (queries, 1), (queries, keys), whole}
    shapes |= {(*front[:-1], 1, 1, keys), (*front[-1:], queries, keys), (1,) * len(whole)}
    for shape in sorted(shape for shape in shapes if len(shape) <= len(whole)):
        seen = rng.random(shape) < 0.7
        if shape[-1] > 1:
            seen[(0,) * (len(shape) - 1)] = False
        added = np.where(seen, rng.normal(size=shape), -np.inf).astype(dtype)
        yield from (seen, added)
    yield np.asfortranarray(rng.random(whole) < 0.5)
    yield np.repeat(added, 2, axis=-1)[..., ::2]


@pytest.mark.parametrize(
    ("dtype", "tolerance", "p"),
    [("float64", 1e-11, 0.3), ("float32", 1e-5, 0.3), ("float32", 1e-5, 0.0)],
)
@pytest.mark.parametrize("case", [((2, 2), 5, 37), ((2,), 70, 9), ((), 3, 4), ((2, 1, 2), 3, 5)])
def test_attention_with_masks_and_dropout(case, dtype, tolerance, p, kernels):
    """The gradients of floating masks too."""
    takes_all(kernels[1], "attention")
    front, queries, keys = case
    rng = np.random.default_rng(11)
    q, k, v = (rng.normal(size=(*front, n, 6)).astype(dtype) for n in (queries, keys, keys))
    for i, mask in enumerate([None, None, *masks(front, queries, keys, dtype)]):
        parts, causal = [q, k, v] if mask is None else [q, k, v, mask], i % 4 in (0, 3)
        f = lambda q, k, v, mask=None, causal=causal: attend(  # noqa: E731
            q, k, v, mask, p, causal, 0.5, Generator(2**40 + 1)
        )
        agree_with_formula(f, parts, 3 * tolerance)


def test_attention_that_drops_nothing_or_all(kernels):
    x = np.random.default_rng(13).normal(size=(1, 2, 5, 6)).astype("float32")
    for p in (1e-12, 1.0):
        f = lambda x, p=p: attend(x, x, x, None, p, False, 0.5, Generator(1))  # noqa: E731
        agree_with_formula(f, [x], 1e-5)


def test_the_lowest_number_forbids_nothing_where_all_keys_have_it(kernels):
    x = np.random.default_rng(14).normal(size=(3, 5, 6)).astype("float32")
    mask = np.zeros((5, 5), "float32")
    mask[1], mask[2, :3] = np.finfo("float32").min, np.finfo("float32").min
    agree_with_formula(lambda x, m: attend(x, x, x, m, 0.0, False, 0.5), [x, mask], 1e-5)


def test_masks_that_are_left_to_the_formula(kernels):
    x, forward = np.ones((1, 2, 5, 6), "float32"), kernels[1]["attention"].forward
    for mask in (np.ones(5), np.ones(5, "int64")):  # another dtype
        assert forward(x, x, x, mask, is_causal=False, scale=1.0) is NotImplemented


def test_attention_reads_heads_where_they_lie(kernels):
    """Views of one product, as a model has them; the result lies as its heads are joined."""
    rng = np.random.default_rng(5)
    qkv = rng.normal(size=(2, 37, 3, 4, 8)).astype("float32").transpose(2, 0, 3, 1, 4)
    q, k, v = qkv
    f = lambda *xs: F.scaled_dot_product_attention(*xs, is_causal=True)  # noqa: E731
    agree_with_formula(f, [q, k, v], 1e-5)
    y, residuals = kernels[1]["attention"].forward(q, k, v, is_causal=True, scale=0.1)
    assert all(np.shares_memory(x, qkv) for x in residuals[:3])
    assert y.swapaxes(1, 2).flags.c_contiguous
    agree_with_formula(f, [x[..., ::2] for x in qkv], 1e-5)


def test_large_scores_and_nan_in_attention(kernels):
    x = np.random.default_rng(6).normal(size=(1, 1, 40, 8)).astype("float32")
    f = lambda *xs: F.scaled_dot_product_attention(*xs, is_causal=True, scale=30.0)  # noqa: E731
    agree_with_formula(f, [x, x, x], 1e-4)
    q = x.copy()
    q[0, 0, 7] = np.nan
    found = value_and_gradients(f, [q, x, x])[0]
    assert np.isnan(found).any(axis=-1)[0, 0].nonzero()[0].tolist() == [7]


def test_tiles_fit_every_width():
    for width, backward, extras in itertools.product(range(1, 129), (False, True), (False, True)):
        for itemsize in (4, 8):
            found = attention_tiles.tiles(width, itemsize, backward, extras)
            if found is None:
                assert itemsize == 8 and width > 64
                continue
            head = dict(found.defines)["HEAD"]
            assert head >= width and found.bytes <= 64 << 10
            assert 32 <= found.threads <= 1024
            assert head % (found.keys // 4) == head % (found.queries // 4) == 0
        for itemsize in (2, 4):
            found = attention_tiles.tensor_tiles(width, itemsize, backward, extras)
            assert dict(found.defines)["HEAD"] >= width and found.bytes <= 96 << 10


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("shape", [(5,), (4, 3), (3, 2, 70), (1, 1), (0, 4)])
def test_add_rows(dtype, tolerance, shape, kernels):
    """Places that repeat, in any order, against NumPy's; the same bits in both orders."""
    rng = np.random.default_rng(7)
    x = rng.normal(size=shape).astype(dtype)
    places = rng.integers(0, shape[0], 40) if shape[0] else np.zeros(0, int)
    values = rng.normal(size=(len(places), *shape[1:])).astype(dtype)
    expected = x.astype("float64")
    np.add.at(expected, places, values)
    found = [Kernels(on_cpu(order)).add_rows(x, places, values) for order in (False, True)]
    assert found[0].dtype == dtype and np.array_equal(*found)
    assert np.abs(found[0] - expected).max(initial=0) <= 10 * tolerance
    assert Kernels(on_cpu()).add_rows(x.astype(int), places, values.astype(int)) is NotImplemented
    x, values = (np.asfortranarray(part) * (1 + 2j * part) for part in (x, values))
    expected = x.copy()
    np.add.at(expected, places, values)
    found = Kernels(on_cpu()).add_rows(x, places, values)
    assert found.dtype == x.dtype and found.shape == x.shape
    assert np.abs(found - expected).max(initial=0) <= 100 * tolerance


@pytest.mark.parametrize("n", [0, 1, 4, 7, 5000])
@pytest.mark.parametrize("counter", [0, 2**32 - 2, 2**64 - 3, 2**96 + 2**64 - 1])
def test_random_bits_are_philoxs(n, counter, kernels):
    key = 0x9E3779B97F4A7C15
    expected = philox.random_bits(backends.get("numpy").xp, key, counter, n)
    found = kernels[1]["random_bits"](key, counter, n)
    assert found.dtype == expected.dtype and np.array_equal(found, expected)


@pytest.mark.parametrize("p", [0.0, 0.2, 1.0])
@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_dropout_leaves_out_the_same_as_everywhere(p, dtype, tolerance, kernels):
    for shape in ((5,), (3, 4), (7, 300), (0, 4), ()):
        x = np.random.default_rng(10).normal(size=shape).astype(dtype)
        f = lambda x: F.dropout(x, p, generator=Generator(2**40 + 3))  # noqa: E731
        agree_with_formula(f, [x], tolerance)
    for q in (p, np.float32(p)):  # which a kernel would read as another number
        f = lambda x, q=q: F.dropout(x.mT, q, generator=Generator(4))  # noqa: E731
        agree_with_formula(f, [np.ones((5, 3), dtype)], tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_adamw_in_one_launch(dtype, kernels):
    """Small, large, empty and strided parameters over ten steps, against the formula."""
    use, table = kernels
    shapes = [(3,), (90, 100), (), (2, 5), (40, 40), (0, 3)]
    found = []
    for each in (table, {}):
        use(each)
        rng = np.random.default_rng(8)
        params = [tx.asarray(rng.normal(size=s).astype(dtype)).requires_grad_() for s in shapes]
        params[4].array = np.asfortranarray(params[4].array)
        optimizer = tx.optim.AdamW(params, lr=0.01, weight_decay=0.1)
        for _ in range(10):
            for p in params:
                p.grad = tx.asarray(rng.normal(size=p.shape).astype(dtype))
            params[4].grad = tx.asarray(np.asfortranarray(params[4].grad.numpy()))
            optimizer.step()
        other = "float32" if dtype == "float64" else "float64"
        for p in params[:3]:  # whose state stays in the dtype in which it began
            p.array = np.asarray(p.array).astype(other)
            p.grad = tx.asarray(rng.normal(size=p.shape).astype(other))
        optimizer.step()
        found.append([p.detach().numpy() for p in params])
    for a, b in zip(*found, strict=True):
        assert a.dtype == b.dtype
        tolerance = 1e-12 if a.dtype == dtype == "float64" else 2e-6
        assert np.abs(a - b).max(initial=0) <= tolerance


@pytest.mark.parametrize("dtype", [tx.float32, tx.float64])
def test_training_steps_of_a_gpt(dtype, kernels, monkeypatch):
    """Through every kernel that a GPT uses, against the formulas: losses and parameters."""
    use, table = kernels
    numpy, reached = backends.get("numpy"), set()
    workload = Workload("gpt", "", GPT(2, 2, 16, 8, batch=3, vocabulary=11), 1, weight_decay=0.1)
    add_rows = Kernels(on_cpu()).add_rows

    def noting(name):
        kernel = table[name]
        if not hasattr(kernel, "vjp"):
            return lambda *args, **static: (reached.add(name), kernel(*args, **static))[1]

        def vjp(*args):
            reached.add(name)
            return kernel.vjp(*args)

        return backends.Kernel(kernel.forward, vjp)

    def losses():
        model = build(workload.model)
        model.load_state_dict(workload.weights(), strict=False)
        model.to(dtype=dtype)
        x, y = (tx.asarray(part) for part in workload.data())
        optimizer = tx.optim.AdamW(model.parameters(), weight_decay=0.1)
        found = []
        for _ in range(4):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x).flatten(0, -2), y.flatten())
            loss.backward()
            optimizer.step()
            found.append(loss.item())
        return found, [p.detach().numpy() for p in model.parameters()]

    with monkeypatch.context() as patch:
        patch.setitem(numpy.xp.__dict__, "index_add", add_rows)
        use({name: noting(name) for name in table})
        found, parameters = losses()
    use({})
    expected, theirs = losses()
    used_here = {"adamw", "cross_entropy", "gelu", "layer_norm", "linear", "self_attention"}
    assert reached == used_here | {"random_bits"}  # for the first weights
    tolerance = 1e-11 if dtype is tx.float64 else 1e-5
    np.testing.assert_allclose(found, expected, rtol=tolerance)
    assert found[-1] < found[0]
    for a, b in zip(parameters, theirs, strict=True):
        np.testing.assert_allclose(a, b, atol=10 * tolerance)


@pytest.mark.parametrize("dtype", [tx.bfloat16, tx.float16], ids=repr)
def test_sums_and_steps_in_16_bits(dtype):
    """3,000 ones added to a row; a step of AdamW, rounded once."""
    kernels = Kernels(on_cpu())
    ones, zero = tx.ones((3000, 2), dtype=dtype).array, tx.zeros((1, 2), dtype=dtype).array
    found = kernels.add_rows(zero, np.zeros(3000, int), ones)
    assert found.dtype == zero.dtype and (found == tx.asarray(3000.0, dtype=dtype).array).all()

    rng = np.random.default_rng(12)
    p, g = (tx.asarray(rng.normal(size=(7, 5)), dtype=dtype).array for _ in range(2))
    m, v = np.zeros_like(p), np.zeros_like(p)
    step = AdamWStep(0.9, 0.99, 1e-8, lr=0.01, weight_decay=0.1, step=1)
    (new,) = kernels.functions()["adamw"]([p], [g], [m], [v], step)
    exact, slope = p.astype("float64"), g.astype("float64")
    expected = exact * (1 - 0.01 * 0.1) - 0.01 * slope / (np.abs(slope) + 1e-8)
    half = tx.finfo(dtype).eps / 2
    assert new.dtype == m.dtype == v.dtype == p.dtype
    assert (np.abs(new - expected) <= 1.01 * half * np.abs(expected)).all()
    assert (np.abs(m - 0.1 * slope) <= 1.01 * half * np.abs(0.1 * slope)).all()


def test_autocast_of_a_gpt(monkeypatch):
    """Products, attention and GELU in bfloat16 by kernels, beside the formulas in float32."""
    numpy = backends.get("numpy")
    workload = Workload("gpt", "", GPT(1, 2, 16, 8, batch=3, vocabulary=11), 1, weight_decay=0.1)

    def losses(precision):
        model = build(workload.model)
        model.load_state_dict(workload.weights(), strict=False)
        x, y = (tx.asarray(part) for part in workload.data())
        optimizer = tx.optim.AdamW(model.parameters(), weight_decay=0.1)
        found = []
        for _ in range(3):
            optimizer.zero_grad()
            with tx.autocast(dtype=tx.bfloat16, enabled=precision):
                loss = F.cross_entropy(model(x).flatten(0, -2), y.flatten())
            loss.backward()
            optimizer.step()
            found.append(loss.item())
        return found

    table = Kernels(on_cpu()).table()
    taken = set()

    def noting(name, kernel):
        def forward(*arrays, **static):
            result = kernel.forward(*arrays, **static)
            if result is not NotImplemented:
                taken.add((name, arrays[0].dtype.name))
            return result

        return backends.Kernel(forward, kernel.vjp)

    noted = {name: noting(name, table[name]) for name in ("attention", "gelu", "linear")}
    monkeypatch.setitem(numpy.__dict__, "kernels", noted)
    found = losses(True)
    monkeypatch.setitem(numpy.__dict__, "kernels", {})
    np.testing.assert_allclose(found, losses(False), rtol=0.01)
    assert taken == {(name, "bfloat16") for name in noted}


@pytest.mark.parametrize("name", NAMES)
def test_an_example_reaches_each_kernel(name, kernels):
    taken = []
    for i in [i for n, i in EXAMPLES if n == name]:
        operands, static = example(name, i)
        static = OPS[name].static_defaults | static
        taken.append(kernels[1][name].forward(*operands, **static) is not NotImplemented)
    assert any(taken)


# -- the tests, tested ----------------------------------------------------------------------------


MUTANTS = [  # a text of the sources, what takes its place, and what must notice
    ("    __syncthreads();  // all have read the tiles before\n", "", "attention"),
    ("        __syncthreads();\n        for (int key = 0", "        for (int key = 0", "attention"),
    ("(causal && key > query)", "(causal && key > query + 1)", "attention"),
    ("total[i] *= shrink;", "", "attention"),
    ("query * row + key * column", "query * row + key", "masked"),
    ("!allowed[at]", "false", "masked"),
    ("total[i] == 0 ? 0 : 1", "false ? 0 : 1", "masked"),
    ("(factor * ds[i][j] - delta)", "(ds[i][j] - delta)", "masked"),
    ("        p[i][j] *= factor;", "", "masked"),
    ("4 * block + k - start;", "4 * (block - start / 4) + k;", "masked"),
    ("    __syncthreads();  // parts may be written again\n", "", "layer_norm"),
    ("block_sum(total) / n : 0;", "0 : 0;", "layer_norm"),
    ("s = s * exp(m - v) + 1;", "s = s + 1;", "softmax"),
    ("s *= exp(m - most), m = most;", "m = most;", "wide"),
    ("UNROLLED(k, 8) s += exp(v[k] - m);", "", "wide"),
    ("most = v[k] > most ? v[k] : most;", "most = v[k];", "wide"),
    ("(j == target ? 1 - e : 0)", "(j == target ? 1 : 0)", "cross_entropy"),
]


@pytest.mark.parametrize(("text", "instead", "name"), MUTANTS)
def test_a_broken_source_is_caught(text, instead, name, monkeypatch):
    rng = np.random.default_rng(9)
    x = rng.normal(size=(1, 1, 70, 64)).astype("float32")
    rows, targets = x[0, 0], rng.integers(0, 64, 70)
    cases = {
        "attention": (
            lambda q: F.scaled_dot_product_attention(q, q, q, is_causal=True),
            [x[..., :16]],
        ),
        "masked": (
            lambda q, m: attend(q, q, q, m, 0.3, False, 0.5, Generator(1)),
            [x[..., :37, :16], rng.random((37, 1)) < 0.5],
        ),
        "layer_norm": (lambda x: F.layer_norm(x, (700,)), [np.tile(rows[:3], 11)[:, :700]]),
        "softmax": (BY_ROWS["softmax"], [np.tile(rows, 9)]),
        "wide": (BY_ROWS["log_softmax"], [40 * rng.normal(size=(2, 9000)).astype("float32")]),
        "cross_entropy": (lambda x, t: F.cross_entropy(x, t, label_smoothing=0.1), [rows, targets]),
    }
    numpy = backends.get("numpy")
    texts = [cuda_source.source(f, "float32", ()) for f in ("rows.cu", "attention.cu")]
    assert any(text in whole for whole in texts)

    def check(library):
        table = Kernels(library).table()
        use = lambda table: monkeypatch.setitem(numpy.__dict__, "kernels", table)  # noqa: E731
        use(table)
        agree_with_formula(*cases[name], 3e-5)

    expect_noticed(check, text, instead)


# -- the real compiler ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(cuda_source.homes()))
def test_a_kernel_is_compiled_without_its_neighbours(name):
    file = cuda_source.homes()[name]
    whole, alone = (cuda_source.source(file, "float32", (), only) for only in (None, name))
    assert cuda_source.DECLARED.findall(alone) == [name]
    kernels = cuda_source.WHOLE.findall(whole)
    assert kernels == cuda_source.DECLARED.findall(whole)
    assert sum(alone.count(sign) for sign in "{[(") == sum(alone.count(sign) for sign in "}])")


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="nvcc is not installed")
@pytest.mark.parametrize("file", sorted({*cuda_source.homes().values()}))
@pytest.mark.parametrize("dtype", cuda_source.TYPES)
def test_nvcc_compiles_the_sources(file, dtype, tmp_path):
    """To machine code for Hopper, not optimised, with no word of complaint."""
    choose = attention_tiles.tiles
    if file.startswith("tensor"):
        if dtype == "float64":
            pytest.skip("tensor cores are for float32 and less")
        choose = attention_tiles.tensor_tiles
    chosen = choose(16, 8 if dtype == "float64" else 4, True, True)
    path = tmp_path / file
    path.write_text(cuda_source.source(file, dtype, chosen.defines), encoding="utf-8")
    command = ["nvcc", "-arch=sm_90", "-cubin", "-Xcicc", "-O0", "-Xptxas", "-O0"]
    command += ["-Werror", "all-warnings", "-o", "/dev/null", path]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
