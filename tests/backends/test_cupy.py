"""What only a GPU can tell: the kernels where they are meant to run, and a whole training step.

Elsewhere these skip. test_cuda_kernels.py runs the same sources on the CPU, and the backend
fixture of all other tests takes CuPy in where there is one.
"""

import itertools
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest

import tinyxp as tx
from tests.backends.test_cpu_kernels import orders
from tests.backends.test_cuda_kernels import ATTENTIONS, BY_ROWS, masks
from tests.backends.test_cuda_windows import CASES, POOLS, operands
from tests.backends.test_parity import MATMULS
from tests.backends.test_tensor_attention import DTYPES, as_exact_as_its_operands
from tests.compare import agree_with_formula
from tests.conftest import reason_missing
from tests.registry import call, differentiable, example, is_floating, tensors
from tinyxp import backends
from tinyxp.backends.common import philox
from tinyxp.bench.tinyxp_models import build
from tinyxp.bench.workloads import GPT, Workload
from tinyxp.data import RandomWindows
from tinyxp.errors import BackendError, CaptureError, IndexingError, OutOfMemoryError
from tinyxp.nn import functional as F
from tinyxp.nn.functional.attention import attend
from tinyxp.optim.lr_scheduler import cosine_with_warmup
from tinyxp.random import Generator
from tinyxp.train import Trainer, decay_groups

WHY = reason_missing("cupy")
if WHY is not None:
    pytest.skip(f"cupy: {WHY}", allow_module_level=True)
# float32 sums differ in their order; float64 is where a wrong formula cannot hide
TOLERANCES = [("float64", 1e-11), ("float32", 2e-5)]
SMALL = Workload("gpt", "", GPT(2, 2, 32, 16, batch=4, vocabulary=17), 1, weight_decay=0.1)


@pytest.fixture(autouse=True)
def on_cupy():
    with tx.backend("cupy"):
        yield


# -- kernels ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BY_ROWS)
@pytest.mark.parametrize(("dtype", "tolerance"), TOLERANCES)
def test_elementwise_and_by_rows(name, dtype, tolerance):
    shapes = [(5,), (3, 4), (2, 3, 33), (70, 1000), (3, 50257), (1, 1), (0, 4), (5, 2, 4, 3)]
    for shape in shapes:
        if name == "layer_norm" and shape == (1, 1):
            continue
        x = np.random.default_rng(0).normal(size=shape).astype(dtype) * 3
        for laid_out in orders(x) if x.size < 3000 else [x]:
            agree_with_formula(BY_ROWS[name], [laid_out], tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), TOLERANCES)
@pytest.mark.parametrize("shape", [(5, 7, 33), (1, 5), (4000, 3), (300, 768)])
def test_norms_with_weight_and_bias(dtype, tolerance, shape):
    rng, n = np.random.default_rng(1), shape[-1]
    x, w, b = (rng.normal(size=s).astype(dtype) for s in (shape, (n,), (n,)))
    agree_with_formula(lambda x, w, b: F.layer_norm(x, (n,), w, b), [x, w, b], tolerance)
    agree_with_formula(lambda x, w: F.rms_norm(x, (n,), w, eps=1e-5), [x, w], tolerance)
    agree_with_formula(lambda x, w, b: F.linear(x, w, b), [x, w[None, :], b[:1]], tolerance)


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [*TOLERANCES, ("float16", 2e-3), ("bfloat16", 1.5e-2)]
)
@pytest.mark.parametrize("sizes", [(5, 4, 3), (1, 1, 1), (2, 33, 7), (300, 64, 128), (0, 3, 2)])
def test_linear(sizes, dtype, tolerance):
    """cuBLASLt's, bias and all, against float64; of views, at places that are less aligned too."""
    rows, width, out = sizes
    rng = np.random.default_rng(2)
    x, w, b = (rng.normal(size=s) for s in ((rows, width + 3), (out, width + 1), (2 * out,)))
    ours = [tx.asarray(part, dtype=getattr(tx, dtype)) for part in (x, w, b)]
    with tx.backend("numpy"):
        exact = [tx.asarray(part.numpy().astype("float64")) for part in ours]
    for at, through in itertools.product((0, 1), (lambda x: x, lambda x: (x.mT + 0).mT)):
        found, expected = [
            F.linear(x[:, at : at + width], through(w)[:, at : at + width], b[at::2][:out]).numpy()
            for x, w, b in (ours, exact)
        ]
        assert found.dtype.name == dtype
        error = np.abs(found.astype("float64") - expected).max(initial=0)
        assert error <= tolerance * np.abs(expected).max(initial=1)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_logits_lie_in_rows_that_begin_at_good_places(dtype):
    """Those of 1,027 classes; in autocast too, where cross-entropy reads 16 bits. By float64."""
    rng = np.random.default_rng(4)
    x, w = rng.normal(size=(2, 9, 64)), rng.normal(size=(1027, 64)) / 8
    targets = rng.integers(0, 1027, (2, 9))
    found = []
    for backend in ("cupy", "numpy"):
        with tx.backend(backend):
            kind = tx.float32 if backend == "cupy" else tx.float64
            leaves = [tx.asarray(part, dtype=kind, requires_grad=True) for part in (x, w)]
            halves = backend == "cupy" and dtype != "float32"
            with tx.autocast(dtype=dtype) if halves else nullcontext():
                logits = F.linear(*leaves)
                loss = F.cross_entropy(logits.flatten(0, 1), tx.asarray(targets).flatten())
            loss.backward()
            found.append([loss.detach().numpy(), *(part.grad.numpy() for part in leaves)])
        if backend == "cupy":
            assert logits.array.strides[1] % 16 == 0 and loss.dtype is tx.float32
    eps = tx.finfo(getattr(tx, dtype)).eps
    for a, b in zip(*found, strict=True):
        assert np.abs(a - b).max() <= 8 * eps * np.abs(b).max()


@pytest.mark.parametrize(("dtype", "tolerance"), TOLERANCES)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("case", [*ATTENTIONS, ((2, 3), 300, 300, 64)], ids=str)
def test_attention(case, dtype, tolerance, causal):
    front, queries, keys, width = case
    rng = np.random.default_rng(4)
    q, k, v = (rng.normal(size=(*front, n, width)).astype(dtype) for n in (queries, keys, keys))
    f = lambda *xs: F.scaled_dot_product_attention(*xs, is_causal=causal)  # noqa: E731
    agree_with_formula(f, [q, k, v], 3 * tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), TOLERANCES)
@pytest.mark.parametrize("p", [0.0, 0.3])
@pytest.mark.parametrize("case", [((2, 3), 5, 37), ((2,), 300, 150), ((2, 1, 2), 3, 5)])
def test_attention_with_masks_and_dropout(case, p, dtype, tolerance):
    front, queries, keys = case
    rng = np.random.default_rng(11)
    q, k, v = (rng.normal(size=(*front, n, 48)).astype(dtype) for n in (queries, keys, keys))
    for i, mask in enumerate([None, None, *masks(front, queries, keys, dtype)]):
        f = lambda q, k, v, mask=None, causal=i % 4 in (0, 3): attend(  # noqa: E731
            q, k, v, mask, p, causal, 0.5, Generator(2**40 + 1)
        )
        agree_with_formula(f, [q, k, v] if mask is None else [q, k, v, mask], 3 * tolerance)


# of three widths, for each of which it is compiled anew
ON_TENSOR_CORES = [case for case in ATTENTIONS if case[-1] in (5, 16, 64, 128)]
ON_TENSOR_CORES += [((2, 3), 300, 300, 64)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("case", ON_TENSOR_CORES, ids=str)
def test_attention_on_tensor_cores(case, dtype, causal):
    """Of TF32 and 16 bits; with a mask and dropout too."""
    front, queries, keys, width = case
    rng = np.random.default_rng(4)
    q, k, v = (rng.normal(size=(*front, n, width)) for n in (queries, keys, keys))
    f = lambda *xs: F.scaled_dot_product_attention(*xs, is_causal=causal)  # noqa: E731
    as_exact_as_its_operands(f, [q, k, v], dtype)
    seen = rng.random((queries, keys)) < 0.7
    f = lambda q, k, v, seen: attend(q, k, v, seen, 0.3, causal, 0.5, Generator(3))  # noqa: E731
    as_exact_as_its_operands(f, [q, k, v, seen], dtype)


@pytest.mark.parametrize(("dtype", "tolerance"), TOLERANCES)
@pytest.mark.parametrize("case", [*CASES, (9, 16, (33, 35), 24, (3, 3), 1, 1, 1, 2)], ids=str)
def test_convolution(case, dtype, tolerance):
    x, w, b, options = operands(case, dtype)
    conv = F.conv1d if x.ndim == 3 else F.conv2d
    agree_with_formula(lambda *xs: conv(*xs, **options), [x, w, b], 3 * tolerance)
    agree_with_formula(
        lambda *xs: conv(*xs, **options), [np.asfortranarray(x), w[..., ::-1]], 3 * tolerance
    )
    x, w, b, options = operands(case, dtype, transposed=True)
    options["padding"] = 0
    conv = F.conv_transpose1d if x.ndim == 3 else F.conv_transpose2d
    agree_with_formula(lambda *xs: conv(*xs, **options), [x, w, b], 3 * tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), TOLERANCES)
@pytest.mark.parametrize("options", [*POOLS, (3, 2, 1)], ids=str)
def test_pooling(options, dtype, tolerance):
    rng = np.random.default_rng(12)
    x = rng.integers(0, 4, size=(4, 5, 37, 41)).astype(dtype)
    x[1, 1, 3:5, 3:5] = np.nan
    agree_with_formula(lambda x: F.max_pool2d(x, *options), [x], tolerance)
    agree_with_formula(
        lambda x: F.avg_pool2d(x, *options), [rng.normal(size=x.shape).astype(dtype)], tolerance
    )


@pytest.mark.parametrize(("dtype", "tolerance"), TOLERANCES)
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_cross_entropy(dtype, tolerance, reduction):
    rng = np.random.default_rng(3)
    for rows, classes in ((9, 4), (33, 50257)):
        logits = rng.normal(size=(rows, classes)).astype(dtype) * 5
        targets = rng.integers(0, classes, rows)
        for ignored, smoothing in itertools.product((-100, int(targets[0])), (0.0, 0.2)):
            options = {"ignore_index": ignored, "label_smoothing": smoothing}
            options["reduction"] = reduction
            f = lambda x, t, options=options: F.cross_entropy(x, t, **options)  # noqa: E731
            agree_with_formula(f, [logits, targets], 3 * tolerance)


def test_attention_never_holds_a_matrix_of_queries_by_keys():
    """8,192 queries and keys of 4 heads are 1 GiB of float32; a tenth of it has to do."""
    x = tx.asarray(np.ones((1, 4, 8192, 64), "float32"), requires_grad=True)
    tx.cuda.empty_cache()
    before = tx.cuda.memory_reserved()
    F.scaled_dot_product_attention(x, x, x, is_causal=True).sum().backward()
    mask = tx.asarray(np.arange(8192) < 5000)
    F.scaled_dot_product_attention(x, x, x, mask, dropout_p=0.1).sum().backward()
    tx.cuda.synchronize()
    assert tx.cuda.memory_reserved() - before < 100 << 20


def test_random_bits_are_philoxs():
    kernel = backends.get("cupy").functions["random_bits"]
    for counter in (0, 2**64 - 3, 2**96 + 2**64 - 1):
        expected = philox.random_bits(backends.get("numpy").xp, 2**63 + 5, counter, 5001)
        assert np.array_equal(kernel(2**63 + 5, counter, 5001).get(), expected)
    a = Generator(3).uniform((4, 5)).numpy()
    with tx.backend("numpy"):
        assert np.array_equal(a, Generator(3).uniform((4, 5)).numpy())


@pytest.mark.parametrize(("name", "i"), differentiable())
def test_the_whole_registry_in_float32(name, i):
    """Value and gradients within 1e-4 of the largest number; in float64 test_parity.py asks
    for 1e-12."""
    operands, static = example(name, i)
    single = {"f": "float32", "c": "complex64"}
    singles = [x.astype(single[x.dtype.kind]) if is_floating(x) else x for x in operands]
    found = registered(name, singles, static)
    with tx.backend("numpy"):
        expected = registered(name, singles, static)
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        scale = np.abs(b).max(initial=1)
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-4 * scale, err_msg=name)


def registered(name, operands, static):
    leaves = [
        x.requires_grad_() if is_floating(a) else x
        for x, a in zip(tensors(operands), operands, strict=True)
    ]
    y = call(name, leaves, static)
    parts = y if isinstance(y, tuple) else (y,)
    y = tx.concat([part.flatten() for part in parts if "floating" in part.dtype.kind])
    weights = np.random.default_rng(9).normal(size=y.shape)
    y.backward(tx.asarray(weights, dtype=y.dtype))
    return [y.detach().numpy()] + [
        x.grad.numpy() for x in leaves if isinstance(x, tx.Tensor) and x.requires_grad
    ]


# -- products --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("a", "b"), MATMULS, ids=str)
@pytest.mark.parametrize(("dtype", "tolerance"), TOLERANCES)
def test_products_of_views(a, b, dtype, tolerance):
    rng = np.random.default_rng(5)
    for flip_a, flip_b in itertools.product((False, True), repeat=2):
        parts = []
        for shape, flip in ((a, flip_a and len(a) > 1), (b, flip_b and len(b) > 1)):
            x = rng.normal(size=(*shape[:-2], shape[-1], shape[-2]) if flip else shape)
            parts.append((x.astype(dtype), flip))
        found = [tx.asarray(x) for x, _ in parts]
        found = [x.mT if flip else x for x, (_, flip) in zip(found, parts, strict=True)]
        expected = np.matmul(*[x.swapaxes(-1, -2) if flip else x for x, flip in parts])
        np.testing.assert_allclose((found[0] @ found[1]).numpy(), expected, atol=10 * tolerance)


@pytest.mark.parametrize(("a", "b"), MATMULS, ids=str)
@pytest.mark.parametrize("dtype", [tx.float16, tx.bfloat16], ids=repr)
def test_products_in_16_bits(a, b, dtype):
    """Of views too; rounded once from a sum in float32."""
    rng = np.random.default_rng(5)
    x, w = (tx.asarray(rng.normal(size=shape), dtype=dtype) for shape in (a, b))
    turned = tx.clone(x.mT).mT if len(a) > 1 else x  # in memory the other way
    expected = np.matmul(*[part.numpy().astype("float64") for part in (x, w)])
    for y in (x @ w, turned @ w):
        assert y.dtype is dtype
        off = np.abs(y.numpy().astype("float64") - expected).max(initial=0)
        assert off <= tx.finfo(dtype).eps * np.abs(expected).max(initial=1)


def test_tf32_is_a_choice():
    """TF32 has 10 bits after the point: factors of 1 + 2⁻¹² become 1, in "high" and not else."""
    x = tx.asarray(np.full((64, 64), 1 + 2.0**-12, "float32"))
    errors = {}
    try:
        for name in ("highest", "high", "medium"):
            tx.set_float32_matmul_precision(name)
            exact = 64 * (1 + 2.0**-12) ** 2
            errors[name] = [
                abs((y.numpy() / exact - 1).max()) for y in (x @ x, tx.stack([x, x]) @ x.mT)
            ]
    finally:
        tx.set_float32_matmul_precision("highest")
    assert max(errors["highest"]) < 1e-6
    assert all(1e-6 < error < 2e-2 for name in ("high", "medium") for error in errors[name])


# -- a training step -------------------------------------------------------------------------------


def trained(steps, dtype, seen=None):
    """Losses and parameters of a GPT, from the same weights and batch everywhere. ``seen``: what
    came before the steps is removed from this list, and what comes after them stands behind "end".
    """
    seen = [] if seen is None else seen
    model = build(SMALL.model)
    model.load_state_dict(SMALL.weights(), strict=False)
    model.to(dtype=dtype)
    x, y = (tx.asarray(part) for part in SMALL.data())
    optimizer = tx.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1)
    losses = []
    seen.clear()
    for _ in range(steps):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x).flatten(0, -2), y.flatten())
        loss.backward()
        tx.optim.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.detach())
    seen.append("end")
    return [x.item() for x in losses], [p.detach().numpy() for p in model.parameters()]


@pytest.mark.parametrize(("dtype", "bound"), [(tx.float64, 1e-9), (tx.float32, 2e-2)])
def test_a_hundred_steps_agree_with_numpy(dtype, bound):
    """Losses to this share, parameters to this difference. In float32 a step's rounding grows:
    NumPy and PyTorch on one CPU end 2.5e-3 apart."""
    losses, parameters = trained(100, dtype)
    with tx.backend("numpy"):
        expected, theirs = trained(100, dtype)
    np.testing.assert_allclose(losses, expected, rtol=bound)
    assert losses[-1] < 0.5 * losses[0]
    for a, b in zip(parameters, theirs, strict=True):
        np.testing.assert_allclose(a, b, atol=bound)


def test_two_runs_give_the_same_bits():
    first, again = trained(20, tx.float32), trained(20, tx.float32)
    assert first[0] == again[0]
    for a, b in zip(first[1], again[1], strict=True):
        assert np.array_equal(a, b)


def test_a_training_step_waits_for_nothing(monkeypatch):
    """All that brings a value to the host is noted; within a step there must be none."""
    import cupy

    seen = []
    for name in ("get", "item", "tolist", "__bool__", "__float__", "__int__"):
        own = getattr(cupy.ndarray, name)

        def counted(self, *args, own=own, name=name, **options):
            seen.append(name)
            return own(self, *args, **options)

        monkeypatch.setattr(cupy.ndarray, name, counted, raising=False)
    own_asnumpy = cupy.asnumpy
    backend = backends.get("cupy")
    monkeypatch.setitem(
        backend.__dict__, "to_numpy", lambda x: (seen.append("to_numpy"), own_asnumpy(x))[1]
    )
    with tx.cuda.checks_later():
        trained(2, tx.float32, seen)
    assert seen[0] == "end" and "to_numpy" in seen  # the losses are read afterwards
    trained(1, tx.float32, seen)
    assert "__bool__" in seen[: seen.index("end")]  # outside of checks_later an index is looked at


# -- CUDA graphs -----------------------------------------------------------------------------------


def test_one_linear_layer_is_captured():
    """cuBLAS under capture, in a graph of its own: the same bits, from new inputs each time."""
    layer = tx.nn.Linear(64, 48)
    graph = tx.capture(lambda x: layer(x).sum(axis=0))
    for k in range(3):
        x = Generator(k).uniform((32, 64))
        assert np.array_equal(graph(x).numpy(), layer(x).sum(axis=0).detach().numpy())


def graphed(graph, steps, dtype, dropout, precision="highest", make=tx.optim.AdamW, **options):
    """Losses and parameters of a GPT, its steps replayed or not, each on a batch of its own."""
    tx.set_float32_matmul_precision(precision)
    tx.manual_seed(3)
    model = build(replace(SMALL.model, dropout=dropout))
    model.load_state_dict(SMALL.weights(), strict=False)
    model.to(dtype=dtype)
    optimizer = make(decay_groups(model.parameters(), 0.1), lr=1e-3, **options)
    schedule = cosine_with_warmup(optimizer, min(10, steps), steps)
    rng, losses = np.random.default_rng(0), []

    def step(x, y):
        optimizer.zero_grad()
        loss = model.loss((x, y))
        loss.backward()
        norm = tx.optim.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.detach(), norm

    take = tx.capture(step) if graph else step
    with tx.cuda.checks_later():
        for _ in range(steps):
            x, y = (tx.asarray(rng.integers(0, 17, (4, 16))) for _ in range(2))
            losses.append([part.item() for part in take(x, y)])
            schedule.step()
    tx.set_float32_matmul_precision("highest")
    return losses, [p.detach().numpy() for p in model.parameters()], take


@pytest.mark.parametrize(
    ("dtype", "dropout", "precision"),
    [(tx.float32, 0.2, "highest"), (tx.float32, 0.0, "high"), (tx.float64, 0.2, "highest")],
)
def test_a_hundred_replays_are_a_hundred_steps_bit_for_bit(dtype, dropout, precision):
    """With dropout, a schedule and clipping."""
    losses, parameters, _ = graphed(True, 100, dtype, dropout, precision)
    expected, theirs, _ = graphed(False, 100, dtype, dropout, precision)
    assert losses == expected and len({loss for loss, _ in losses}) == 100
    for a, b in zip(parameters, theirs, strict=True):
        assert np.array_equal(a, b)


def test_a_wrong_index_in_a_replay_is_told_with_the_next_value():
    _, _, take = graphed(True, 2, tx.float32, 0.0)
    x = tx.asarray(np.zeros((4, 16), "int64"))
    loss, _ = take(x, x + 17)
    with pytest.raises(IndexingError, match="index 17 is out of range for 17 classes"):
        loss.item()
    take(x, x)[0].item()  # it is told once, and the graph goes on


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda x: x.sum().item(), "reads numbers out of a tensor"),
        (lambda x: x if (x > 0).any().item() else -x, "after it has begun to change"),
        (lambda x: x[x > 0], "this step cannot be captured"),
        (lambda x: x + tx.asarray(np.ones(4, "float32")), "this step cannot be captured"),
        (lambda x: tx.linalg.inv(x[:, None] * x + tx.eye(4)), "this step cannot be captured"),
        (lambda x: tx.randn(4) + x, "random numbers that the host draws"),
    ],
)
def test_what_no_graph_holds_is_told_and_harms_nothing(act, words):
    p = tx.ones(4).requires_grad_()
    optimizer = tx.optim.AdamW([p])

    def step(x):
        optimizer.zero_grad()
        (p * x).sum().backward()
        optimizer.step()
        return act(x)

    with pytest.raises(CaptureError, match=words):
        tx.capture(step)(tx.asarray([1.0, -2.0, 3.0, 4.0]))
    assert p.detach().numpy().tolist() == [1, 1, 1, 1] and p.grad is None
    assert (tx.ones(3) @ tx.ones(3)).item() == 3  # the device is as good as new


@pytest.mark.parametrize(
    ("make", "options"), [(tx.optim.SGD, {"momentum": 0.9}), (tx.optim.AdamW, {"amsgrad": True})]
)
def test_an_optimizer_steps_between_two_graphs(make, options):
    losses, parameters, _ = graphed(True, 10, tx.float32, 0.2, make=make, **options)
    expected, theirs, _ = graphed(False, 10, tx.float32, 0.2, make=make, **options)
    assert losses == expected
    for a, b in zip(parameters, theirs, strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize(
    "options", [{}, {"on_nan": "skip", "ema": 0.9}, {"precision": "float16"}], ids=str
)
def test_a_trainers_graph_gives_the_same_bits(options):
    """Where it looks at each step too, and leaves out one that has no finite gradients."""
    ends = []
    for capture in (False, True):
        tx.manual_seed(5)
        model = build(replace(SMALL.model, dropout=0.1))
        model.load_state_dict(SMALL.weights(), strict=False)
        optimizer = tx.optim.AdamW(model.parameters(), lr=1e-3)
        schedule = cosine_with_warmup(optimizer, 2, 12)
        usual = {"grad_clip": 1.0, "capture": capture, "accumulate": 2, "log_every": 4}
        trainer = Trainer(model, optimizer, scheduler=schedule, **usual, **options)
        windows = iter(RandomWindows(np.arange(400) % 17, 16, 4, Generator(1)))
        batches = [(*next(windows), tx.ones(())) for _ in range(24)]
        batches[15] = (*[part[:3] for part in batches[15][:2]], batches[15][2])  # without the graph
        if options:
            batches[7] = (*batches[7][:2], tx.asarray(tx.nan))
        trainer.fit(batches, lambda batch, m=model: m.loss(batch[:2]) * batch[2], 12)
        found = [*model.parameters(), *(trainer.average or model).parameters()]
        ends.append([p.detach().numpy() for p in found])
        assert all(np.isfinite(part).all() for part in ends[-1])
    for a, b in zip(*ends, strict=True):
        assert np.array_equal(a, b)


# -- errors ----------------------------------------------------------------------------------------


def test_a_wrong_index_is_told_with_the_next_value():
    logits = tx.zeros((3, 4))
    with tx.cuda.checks_later():
        loss = F.cross_entropy(logits, tx.asarray([0, 4, 1]))
    with pytest.raises(IndexingError, match="cross_entropy: index 4 is out of range for 4 classes"):
        loss.item()
    with pytest.raises(IndexingError, match="index 4 is out of range"):
        F.cross_entropy(logits, tx.asarray([0, 4, 1]))


def test_out_of_memory_says_who_holds_it():
    kept = tx.zeros((1 << 20,))
    with pytest.raises(OutOfMemoryError, match="asked for .*arrays hold .*Try a smaller batch"):
        tx.zeros((1 << 44,))
    assert kept.sum().item() == 0
    assert "x (1048576,) float32" in tx.cuda.memory_summary(rows=100)


def test_there_is_a_device_and_no_other():
    assert tx.cuda.is_available() and tx.cuda.get_device_name()
    with pytest.raises(BackendError, match="has no device 'cuda:99'"):
        tx.zeros(2, device="cuda:99")
