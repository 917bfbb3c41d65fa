"""Autocast and loss scaling, beside PyTorch's; training in mixed precision."""

import gc
import threading
import weakref

import numpy as np
import pytest

import tinyxp as tx
from tests.compare import close
from tests.conftest import reason_missing
from tinyxp import nn
from tinyxp.core.tape import edge_of, graph_order
from tinyxp.errors import ArgumentError, BackendError, DTypeError, GradientError
from tinyxp.nn import functional as F
from tinyxp.train import Trainer

BACKENDS = [name for name in ("numpy", "torch", "cupy") if reason_missing(name) is None]
BF16, F16, F32 = tx.bfloat16, tx.float16, tx.float32


@pytest.fixture(params=BACKENDS)
def backend(request):
    """Each backend that has numbers of 16 bits."""
    with tx.backend(request.param):
        yield request.param


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


X, W, B, IMAGES, WINDOW = (
    normal(*shape) for shape in ((4, 6), (3, 6), (3,), (2, 2, 5, 5), (3, 2, 3, 3))
)
HEADS, CLASSES = normal(2, 2, 4, 8), np.asarray([0, 2, 1, 2])
# tinyxp's function, PyTorch's (None: it chooses otherwise), and their operands. On a CPU PyTorch's
# list of float32 is a short one: of what stands on it for CUDA alone only the value is compared.
LOWER = {
    "matmul": (tx.matmul, "matmul", (X, X.T)),
    "linear": (F.linear, "nn.functional.linear", (X, W, B)),
    "conv1d": (F.conv1d, "nn.functional.conv1d", (IMAGES[:, :, 0], WINDOW[:, :, 0])),
    "conv2d": (F.conv2d, "nn.functional.conv2d", (IMAGES, WINDOW)),
    "conv_transpose2d": (
        F.conv_transpose2d,
        "nn.functional.conv_transpose2d",
        (IMAGES, WINDOW[:2]),
    ),
    "attention": (
        F.scaled_dot_product_attention,
        "nn.functional.scaled_dot_product_attention",
        (HEADS, HEADS, HEADS),
    ),
    "einsum": (
        lambda a, b: tx.einsum("ij,kj->ik", a, b),
        lambda a, b: _torch().einsum("ij,kj->ik", a, b),
        (X, X),
    ),
    "tensordot": (
        lambda a, b: tx.tensordot(a, b, axes=1),
        lambda a, b: _torch().tensordot(a, b, 1),
        (X, X.T),
    ),
    "bilinear": (F.bilinear, None, (X, X, normal(2, 6, 6))),
}
FLOAT32 = {
    "exp": (tx.exp, "exp", (X,)),
    "log": (lambda x: tx.log(x * x + 1), lambda x: (x * x + 1).log(), (X,)),
    "pow": (lambda x: (x * x) ** 1.5, lambda x: (x * x) ** 1.5, (X,)),
    "sum": (tx.sum, "sum", (X,)),
    "prod": (tx.prod, "prod", (X,)),
    "mean": (tx.mean, "mean", (X,)),
    "cumulative_sum": (lambda x: tx.cumulative_sum(x, axis=1), lambda x: x.cumsum(1), (X,)),
    "softmax": (lambda x: F.softmax(x, dim=-1), lambda x: x.softmax(-1), (X,)),
    "log_softmax": (lambda x: F.log_softmax(x, dim=-1), lambda x: x.log_softmax(-1), (X,)),
    "layer_norm": (
        lambda x: F.layer_norm(x, (6,)),
        lambda x: _torch().nn.functional.layer_norm(x, (6,)),
        (X,),
    ),
    "vector_norm": (tx.linalg.vector_norm, "linalg.vector_norm", (X,)),
    "cross_entropy": (F.cross_entropy, "nn.functional.cross_entropy", (X, CLASSES)),
    "mse_loss": (F.mse_loss, "nn.functional.mse_loss", (X, X * 2)),
    "nll_loss": (F.nll_loss, "nn.functional.nll_loss", (X, CLASSES)),
    "kl_div": (
        lambda a, b: F.kl_div(a, b, reduction="sum"),
        lambda a, b: _torch().nn.functional.kl_div(a, b, reduction="sum"),
        (X, X * X),
    ),
}
WHATEVER = {
    "add": (tx.add, "add", (X, X)),
    "multiply": (tx.multiply, "mul", (X, X)),
    "tanh": (tx.tanh, "tanh", (X,)),
    "relu": (F.relu, "relu", (X,)),
    "gelu": (F.gelu, "nn.functional.gelu", (X,)),
    "sigmoid": (tx.sigmoid, "sigmoid", (X,)),
    "max": (tx.max, "max", (X,)),
    "transpose": (lambda x: x.mT, lambda x: x.mT, (X,)),
}


def _torch():
    return pytest.importorskip("torch")


def theirs(name):
    found = _torch()
    for part in name.split("."):
        found = getattr(found, part)
    return found


@pytest.mark.parametrize("name", [*LOWER, *FLOAT32, *WHATEVER])
def test_operations_choose_as_pytorchs_do(name, backend):
    """Of float32 operands and of bfloat16 ones: the result's dtype, its value, and gradients in the
    operands' own dtypes."""
    torch = _torch()
    ours, other, arrays = (LOWER | FLOAT32 | WHATEVER)[name]
    other = theirs(other) if isinstance(other, str) else other
    for dtype in (F32, BF16):
        xs = [tx.asarray(a) for a in arrays]
        xs = [x.to(dtype).requires_grad_() if x.dtype is F32 else x for x in xs]
        with tx.autocast(dtype=BF16):
            y = ours(*xs)
        expected = BF16 if name in LOWER else F32 if name in FLOAT32 else dtype
        assert y.dtype is expected
        tx.sum(y * y).backward()
        assert all(x.grad.dtype is dtype for x in xs if x.requires_grad)
        if other is None:
            continue
        parts = [torch.tensor(x.detach().float().numpy()) if x.requires_grad else
                 torch.tensor(x.numpy()) for x in xs]  # fmt: skip
        parts = [p.to(getattr(torch, dtype.name)).requires_grad_() if p.is_floating_point() else p
                 for p in parts]  # fmt: skip
        with torch.autocast("cpu", dtype=torch.bfloat16):
            z = other(*parts)
        if name in LOWER or dtype is F32:
            assert str(z.dtype) == f"torch.{y.dtype.name}"
        z.float().square().sum().backward()
        close(y.float(), z.float(), 4 * tx.finfo(BF16).eps)
        for x, p in zip(xs, parts, strict=True):
            if x.requires_grad:
                close(x.grad.float(), p.grad.float(), 8 * tx.finfo(BF16).eps)


def test_blocks_nest_and_decorate_and_end():
    x = tx.asarray(X)
    with tx.autocast(dtype=BF16):
        with tx.autocast(dtype=F16):
            assert (x @ x.mT).dtype is F16
            with tx.autocast(enabled=False):
                assert (x @ x.mT).dtype is F32 and not tx.amp.is_autocast_enabled()
        assert (x @ x.mT).dtype is BF16
        assert (x.double() @ x.mT).dtype is tx.float64  # a wide operand is not made narrow
        assert (tx.asarray([1, 2]) @ tx.asarray([3, 4])).item() == 11
        with pytest.raises(ZeroDivisionError), tx.autocast(enabled=False):
            _ = 1 / 0
        assert tx.amp.is_autocast_enabled()

    @tx.autocast("cuda")
    def product(n):
        return product(n - 1) if n else (x @ x.mT).dtype

    assert product(2) is F16
    with tx.autocast(enabled=False), tx.autocast("cpu"):
        assert (x @ x.mT).dtype is BF16
    assert (x @ x.mT).dtype is F32 and not tx.amp.is_autocast_enabled()


def test_blocks_belong_to_their_thread():
    """One object, entered in two threads in turns; a third thread is in no block."""
    block, x, found = tx.autocast(dtype=BF16), tx.asarray(X), {}
    inside, done = threading.Event(), threading.Event()

    def other():
        with block:
            inside.set()
            done.wait(10)
            found["other"] = (x @ x.mT).dtype
        found["after"] = (x @ x.mT).dtype

    thread = threading.Thread(target=other)
    thread.start()
    inside.wait(10)
    assert (x @ x.mT).dtype is F32
    with block:
        assert (x @ x.mT).dtype is BF16
    done.set()
    thread.join()
    assert found == {"other": BF16, "after": F32}


def test_a_weight_is_cast_once_in_a_block_and_given_back():
    w = tx.asarray(W, requires_grad=True)
    x = tx.asarray(X)
    with tx.autocast(dtype=BF16):
        a, b = F.linear(x, w), F.linear(x * 2, w)
    nodes = graph_order([edge_of(a), edge_of(b)])
    assert sum(w is edge for node in nodes for edge in getattr(node, "parents", ())) == 1
    (a.float().sum() + b.float().sum()).backward()
    np.testing.assert_allclose(w.grad.numpy(), np.tile(3 * X.sum(0), (3, 1)), rtol=2e-2, atol=2e-2)
    alive = weakref.ref(w)
    del a, b, w, nodes
    gc.disable()
    try:
        assert alive() is None
    finally:
        gc.enable()


def test_a_cast_is_not_used_for_other_values():
    """A step inside the block, a second backward pass, and a block under no_grad before."""
    w, x = tx.asarray([[1.0, 2.0]], requires_grad=True), tx.asarray([[1.0, 1.0]])
    optimizer = tx.optim.SGD([w], lr=1.0)
    with tx.autocast(dtype=BF16):
        with tx.no_grad():
            assert F.linear(x, w).item() == 3
        for expected in (3, 1, -1):
            loss = F.linear(x, w).float().sum()
            assert loss.item() == expected
            loss.backward()
            F.linear(x, w).float().sum().backward(retain_graph=True)
            w.grad = w.grad / 2
            optimizer.step()
            optimizer.zero_grad()
    assert w.tolist() == [[-2.0, -1.0]]


def test_what_is_run_again_chooses_again(backend):
    """tx.recompute, whose second run comes after the block; second derivatives."""
    found = []
    for wrapped in (False, True):
        tx.manual_seed(0)
        layer, last = nn.Sequential(nn.Linear(6, 3), nn.Tanh()), nn.Linear(3, 3)
        x = tx.asarray(X, requires_grad=True)
        with tx.autocast(dtype=BF16):
            # a weight cast before the checkpoint, which must not share it, and one cast in it
            first = layer(x)
            f = nn.Sequential(*layer, last)
            y = tx.recompute(f, x) if wrapped else f(x)
            loss = (y * first).sum()
        (g,) = tx.autograd.grad(loss, [x], create_graph=True)
        assert g.dtype is F32
        tx.sum(g * g).backward()
        found.append([g.detach().numpy(), layer[0].weight.grad.numpy(), x.grad.numpy()])
    for a, b in zip(*found, strict=True):
        # in bfloat16 parts are added up in another order
        assert np.abs(a - b).max() <= 2 * tx.finfo(BF16).eps * np.abs(a).max()


def test_wrong_options_are_told():
    with pytest.raises(DTypeError, match=r"tx\.bfloat16 or tx\.float16, got tinyxp\.float32"):
        tx.autocast(dtype=F32)
    with pytest.raises(ArgumentError, match="'cpu' or 'cuda', or left out, got 'tpu'"):
        tx.autocast("tpu")
    with pytest.raises(ArgumentError, match="backoff_factor between 0 and 1"):
        tx.amp.GradScaler(backoff_factor=2.0)
    with pytest.raises(ArgumentError, match="precision expects"):
        Trainer(nn.Linear(1, 1), None, precision="half")


# -- GradScaler -----------------------------------------------------------------------------------

SCALE = {"init_scale": 8.0, "growth_factor": 3.0, "backoff_factor": 0.25, "growth_interval": 2}


def test_the_scaler_goes_pytorchs_way():
    """The same gradients, some infinite: scales, parameters and states, a state loaded between."""
    torch = _torch()
    factors = [1.0, 2.0, np.inf, 1.0, np.nan, 1.0, 3.0, 1.0, 2.0]
    ours, other = tx.asarray([1.0, 2.0], requires_grad=True), torch.tensor([1.0, 2.0])
    other.requires_grad_()
    pairs = [
        (ours, tx.optim.SGD([ours], lr=0.1, momentum=0.9), tx.amp.GradScaler(**SCALE)),
        (
            other,
            torch.optim.SGD([other], lr=0.1, momentum=0.9),
            torch.amp.GradScaler("cpu", **SCALE),
        ),
    ]
    for i, factor in enumerate(factors):
        for w, optimizer, scaler in pairs:
            optimizer.zero_grad()
            scaler.scale((w * factor).sum()).backward()
            if i % 2:
                scaler.unscale_(optimizer)
            scaler.step(optimizer)
            scaler.update()
        assert pairs[0][2].get_scale() == pairs[1][2].get_scale()
        assert pairs[0][2].state_dict() == pairs[1][2].state_dict()
        np.testing.assert_allclose(ours.tolist(), other.tolist(), rtol=1e-5)
        if i == 4:
            fresh = tx.amp.GradScaler()
            fresh.load_state_dict(pairs[1][2].state_dict())
            pairs[0] = (*pairs[0][:2], fresh)
    assert pairs[0][2].get_scale() == 8 * 3 / 4 / 4 * 3 * 3


def test_calls_of_the_scaler_out_of_turn_are_told():
    w = tx.asarray([1.0], requires_grad=True)
    optimizer, scaler = tx.optim.SGD([w], lr=0.5), tx.amp.GradScaler(**SCALE)
    with pytest.raises(GradientError, match=r"update\(\) expects scaler\.step"):
        scaler.update()
    scaler.scale(w.sum()).backward()
    scaler.unscale_(optimizer)
    assert w.grad.item() == 1
    with pytest.raises(GradientError, match=r"unscale_\(\) has already been called"):
        scaler.unscale_(optimizer)
    scaler.step(optimizer)
    for again in (scaler.unscale_, scaler.step):
        with pytest.raises(GradientError, match=r"step\(\) has already been called"):
            again(optimizer)
    scaler.update(new_scale=5.0)
    assert (w.item(), scaler.get_scale()) == (0.5, 5.0)
    half = w.detach().half().requires_grad_()
    half.grad = half.detach()
    with pytest.raises(DTypeError, match="gradients in float16 cannot be unscaled"):
        scaler.unscale_(tx.optim.SGD([half], lr=1.0))
    with pytest.raises(ArgumentError, match="lacks _growth_tracker, backoff_factor"):
        scaler.load_state_dict({})
    off = tx.amp.GradScaler(enabled=False)
    optimizer.zero_grad()
    off.scale(w.sum()).backward()
    off.step(optimizer)
    off.update()
    assert (w.item(), off.get_scale(), off.state_dict()) == (0.0, 1.0, {})


# -- training -------------------------------------------------------------------------------------


def model_and_batch(kind):
    rng = np.random.default_rng(3)
    tx.manual_seed(0)
    if kind == "mlp":
        model = nn.Sequential(nn.Linear(8, 32), nn.GELU(), nn.LayerNorm(32), nn.Linear(32, 4))
        x, y = rng.normal(size=(32, 8)).astype("float32"), rng.integers(0, 4, 32)
    else:
        from tinyxp.models.transformer import GPT, Config

        model = GPT(Config(n_layer=2, n_head=2, n_embd=16, block_size=8), 11)
        x = rng.integers(0, 11, (4, 8))
        y = (x * 3 + 1) % 11
    return model, tx.asarray(x), tx.asarray(y)


def train(kind, precision, steps=12):
    model, x, y = model_and_batch(kind)
    before = {name: p.detach() for name, p in model.named_parameters()}
    trainer = Trainer(model, tx.optim.AdamW(model.parameters(), lr=1e-2), precision=precision)
    losses, dtypes = [], set()

    def loss_of(batch):
        logits = model(batch)
        dtypes.add(logits.dtype)
        loss = F.cross_entropy(logits.flatten(0, -2), y.flatten())
        losses.append(loss.item())
        return loss

    trainer.threads = 1
    trainer.fit([x] * steps, loss_of, steps)
    for name, p in model.named_parameters():
        assert p.dtype is F32 and not bool((p == before[name]).all()), name
    return losses, dtypes, trainer


@pytest.mark.parametrize("kind", ["mlp", "gpt"])
def test_training_in_mixed_precision_ends_near_float32s_loss(kind, backend):
    exact, dtypes, _ = train(kind, None)
    assert dtypes == {F32} and exact[-1] < 0.8 * exact[0]
    for precision, tolerance in (("bfloat16", 0.05), ("float16", 0.01)):
        losses, dtypes, _ = train(kind, precision)
        assert dtypes == {getattr(tx, precision)}
        assert abs(losses[-1] - exact[-1]) < tolerance
        assert losses != exact


def test_float16_overflows_and_recovers(backend):
    """A scale that is much too large is halved until gradients are finite; nothing is changed by
    the steps that are left out, and training then goes on."""
    model, x, y = model_and_batch("mlp")
    optimizer = tx.optim.AdamW(model.parameters(), lr=1e-2)
    scaler = tx.amp.GradScaler(init_scale=2.0**30, growth_interval=1000)
    losses, skipped = [], 0
    for _ in range(30):
        optimizer.zero_grad()
        with tx.autocast(dtype=F16):
            loss = F.cross_entropy(model(x), y)
        with np.errstate(all="ignore"):
            scaler.scale(loss).backward()
        before = [p.detach() for p in model.parameters()]
        scale = scaler.get_scale()
        scaler.step(optimizer)
        scaler.update()
        still = all(bool((p == q).all()) for p, q in zip(model.parameters(), before, strict=True))
        assert still == (scaler.get_scale() < scale)
        skipped += still
        losses.append(loss.item())
    assert 5 < skipped < 20 and scaler.get_scale() == 2.0 ** (30 - skipped)
    assert losses[skipped] == losses[0] and losses[-1] < 0.8 * losses[0]


def test_a_trainer_in_float16_goes_on_with_its_scale(tmp_path):
    """Its scale, which an overflow has halved, is in the checkpoint."""
    from tinyxp.train import Run

    def fit(run, steps):
        model, x, y = model_and_batch("mlp")
        options = {"precision": "float16", "loss_scale": 2.0**26, "threads": 1, "save_every": 4}
        trainer = Trainer(model, tx.optim.SGD(model.parameters(), lr=0.1), run=run, **options)
        trainer.fit([x] * steps, lambda x: F.cross_entropy(model(x), y), steps)
        return trainer, [p.detach().numpy() for p in model.parameters()]

    whole, expected = fit(Run.create(tmp_path / "whole", {"model": "x"}), 12)
    fit(Run.create(tmp_path / "parts", {"model": "x"}), 8)
    resumed, found = fit(Run(tmp_path / "parts", resumed=True), 12)
    assert whole.loss_scale == resumed.loss_scale < 2.0**26
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def test_without_ml_dtypes_the_command_that_installs_it(monkeypatch):
    from tinyxp import backends
    from tinyxp.backends.numpy import backend as numpy_backend

    monkeypatch.setitem(__import__("sys").modules, "ml_dtypes", None)
    fresh = numpy_backend.load()
    with pytest.raises(BackendError, match="ml_dtypes.* pip install ml_dtypes"):
        fresh.dtype("bfloat16")
    with backends.using(fresh):
        assert tx.zeros(2, dtype=F16).dtype is F16
        with pytest.raises(BackendError, match="ml_dtypes"):
            tx.zeros(2, dtype=BF16)
