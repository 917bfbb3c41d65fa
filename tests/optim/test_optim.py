"""Optimizers, schedules and clipping against PyTorch, and what immutable values promise."""

import copy
import pickle

import numpy as np
import pytest

import tinyxp as tx
from tests.helpers import each
from tinyxp import backends, optim
from tinyxp.errors import (
    ArgumentError,
    BackendError,
    DTypeError,
    GradientError,
    ShapeError,
)
from tinyxp.optim import lr_scheduler

SHAPES = [(4, 3), (3,), (), (2, 0)]

CASES = [
    ("SGD", {"lr": 0.05}),
    ("SGD", {"lr": 0.05, "momentum": 0.9}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "dampening": 0.5, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.001, "maximize": True, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.01}),
    ("Adam", {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.01, "amsgrad": True}),
    ("Adam", {"lr": 0.01, "maximize": True}),
    ("AdamW", {"lr": 0.01}),
    ("AdamW", {"lr": 0.01, "betas": (0.8, 0.95), "weight_decay": 0.3}),
    ("AdamW", {"lr": 0.01, "amsgrad": True, "weight_decay": 0.1}),
    ("AdamW", {"lr": 0.01, "maximize": True}),
    ("NAdam", {"lr": 0.01, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("RAdam", {"lr": 0.01, "betas": (0.9, 0.9)}),
    ("Adamax", {"lr": 0.01}),
    ("Adagrad", {"lr": 0.01, "lr_decay": 0.1, "initial_accumulator_value": 0.1}),
    ("RMSprop", {"lr": 0.01, "centered": True, "momentum": 0.9}),
    ("Adadelta", {"lr": 0.5}),
    ("ASGD", {"lr": 0.01, "lambd": 0.1, "t0": 3}),
    ("Rprop", {"lr": 0.01}),
    ("Lion", {"lr": 0.01, "weight_decay": 0.1}),
    ("Muon", {"lr": 0.01}),
]
IDS = [f"{name}-{'-'.join(options)}" for name, options in CASES]


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="PyTorch is the reference here")


def values(seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape) for shape in SHAPES]


def leaves(dtype=tx.float64, seed=0, name=""):
    """Parameters of all shapes; for Muon the matrices."""
    arrays = [x for x in values(seed) if name != "Muon" or x.ndim == 2]
    return [tx.asarray(x, dtype=dtype, requires_grad=True) for x in arrays]


def groups(params, options):
    """Two groups: the second with its own learning rate."""
    return [{"params": params[:2]}, {"params": params[2:], "lr": options["lr"] / 2}]


def descend(params, optimizer, steps, start=0, set_to_none=True):
    """Steps on a bowl whose slope is another at every step; parameter 1 joins at step 3."""
    for i in range(start, start + steps):
        optimizer.zero_grad(set_to_none=set_to_none)
        loss = sum(
            ((k + 1) * (p - np.cos(i)) ** 2).sum() for k, p in enumerate(params) if k != 1 or i >= 3
        )
        loss.backward()
        optimizer.step()


def arrays(params):
    return [p.detach().numpy() for p in params]


def assert_close(params, expected, tolerance=1e-6):
    for p, q in zip(arrays(params), arrays(expected), strict=True):
        np.testing.assert_allclose(p, q, rtol=tolerance, atol=tolerance)


@each(("name", "options"), CASES)
def test_resumed_run_equals_one_run(name, options, backend):
    whole, first = leaves(tx.float32, name=name), leaves(tx.float32, name=name)
    one = getattr(optim, name)(whole, **options)
    descend(whole, one, 10)
    before = getattr(optim, name)(first, **options)
    descend(first, before, 4)
    state = copy.deepcopy(before.state_dict())
    kept = before.state_dict()
    second = [tx.asarray(p, requires_grad=True) for p in arrays(first)]
    descend(first, before, 2, start=4)  # going on changes no state that was handed out
    for i, values_of_one in kept["state"].items():
        for key, value in values_of_one.items():
            expected = state["state"][i][key]
            assert np.all(np.asarray(value) == np.asarray(expected)), (i, key)
    after = getattr(optim, name)(second, **options)
    after.load_state_dict(kept)
    descend(second, after, 6, start=4)
    for p, q in zip(arrays(second), arrays(whole), strict=True):
        assert p.tobytes() == q.tobytes()


@each(("name", "options"), CASES)
def test_a_saved_graph_is_not_changed_by_a_step(name, options, backend):
    p = tx.asarray([[1.0, 2.0]], requires_grad=True)
    optimizer = getattr(optim, name)([p], **options)
    for _ in range(3):
        value = p.detach().numpy()
        loss = (p * p).sum()
        p.grad = g = tx.asarray([[0.5, -0.5]])
        kept = g.numpy()
        optimizer.step()
        assert (g.numpy() == kept).all()  # the gradient may be another's too
        assert (p.detach().numpy() != value).all()
        p.grad = None
        loss.backward()
        np.testing.assert_array_equal(p.grad.numpy(), 2 * value)


@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_kernel_equals_formula(name, backend, monkeypatch):
    current = backends.current()
    if "adamw" not in current.functions:
        pytest.skip(f"{backend} has no kernel for adamw")
    for dtype, tolerance in ((tx.float64, 1e-12), (tx.float32, 1e-5)):
        fused, plain = leaves(dtype), leaves(dtype)
        for params in (fused, plain):  # a transposed array is flattened rightly too
            params[0].array = params[0].array.T
            with monkeypatch.context() as patch:
                if params is plain:
                    patch.setitem(current.__dict__, "functions", {})
                descend(params, getattr(optim, name)(params, lr=0.01), 20)
        assert_close(fused, plain, tolerance)


def test_parameters_of_two_backends():
    pytest.importorskip("array_api_strict", reason="needs a second backend")
    a = tx.asarray([1.0], requires_grad=True)
    with tx.backend("strict"):
        b = tx.asarray([1.0], requires_grad=True)
    optimizer = optim.AdamW([a, b], lr=0.1)
    for p in (a, b):
        (p * p).sum().backward()
    optimizer.step()
    assert a.tolist() == pytest.approx(b.tolist())
    assert (a.backend.name, b.backend.name) == ("numpy", "strict")
    with pytest.raises(BackendError, match="get_total_norm"):
        optim.clip_grad_norm_([a, b], 1.0)


def test_state_in_pytorchs_layout():
    params = leaves()
    optimizer = optim.Adam(groups(params, {"lr": 0.1}), lr=0.1)
    descend(params, optimizer, 2)
    state = optimizer.state_dict()
    assert [group["params"] for group in state["param_groups"]] == [[0, 1], [2, 3]]
    assert [group["lr"] for group in state["param_groups"]] == [0.1, 0.05]
    assert sorted(state["state"]) == [0, 2, 3]  # parameter 1 has had no gradient yet
    assert state["state"][0]["step"] == 2
    assert state["state"][0]["exp_avg"].shape == (4, 3)


def test_zero_grad():
    p = tx.asarray([1.0], requires_grad=True)
    optimizer = optim.SGD([p], lr=0.1)
    p.sum().backward()
    optimizer.zero_grad(set_to_none=False)
    assert p.grad.tolist() == [0.0]
    optimizer.zero_grad()
    assert p.grad is None
    optimizer.step()  # nothing to do
    assert p.tolist() == [1.0]


def test_errors():
    p = tx.asarray([1.0], requires_grad=True)
    with pytest.raises(ArgumentError, match="expects parameters, got none"):
        optim.SGD([])
    with pytest.raises(DTypeError, match="an iterable of Tensors, got a Tensor"):
        optim.SGD(p)
    with pytest.raises(DTypeError, match="expects Tensors, got float"):
        optim.SGD([1.0])
    with pytest.raises(GradientError, match="changes leaves only, got the result of multiply"):
        optim.SGD([p * 2])
    with pytest.raises(ArgumentError, match=r"shape \(1,\) occurs twice"):
        optim.SGD([p, p])
    with pytest.raises(ArgumentError, match="occurs twice"):
        optim.SGD([{"params": [p]}, {"params": p}])
    with pytest.raises(DTypeError, match="a dict with 'params', got Tensor"):
        optim.SGD([p]).add_param_group(p)
    with pytest.raises(ArgumentError, match=r"lr expects a number in \[0, inf\), got -1"):
        optim.AdamW([p], lr=-1)
    with pytest.raises(ArgumentError, match=r"betas\[1\] expects a number in \[0, 1.0\), got 1.0"):
        optim.Adam([p], betas=(0.9, 1.0))
    with pytest.raises(ArgumentError, match="nesterov expects a momentum"):
        optim.SGD([p], nesterov=True)
    optimizer = optim.SGD([p])
    p._grad = tx.asarray([1.0, 2.0])  # of p as it once was
    with pytest.raises(ShapeError, match=r"must match its parameter, \(1,\)"):
        optimizer.step()
    other = optim.SGD([tx.asarray([1.0]), tx.asarray([1.0])])
    with pytest.raises(ArgumentError, match=r"groups of \[1\] parameters, got a state with \[2\]"):
        optimizer.load_state_dict(other.state_dict())
    state = optimizer.state_dict() | {"state": {0: {"momentum_buffer": tx.zeros(3)}}}
    with pytest.raises(ShapeError, match=r"'momentum_buffer' of a parameter of shape \(1,\)"):
        optimizer.load_state_dict(state)


def test_frozen_and_added_parameters():
    a, b = tx.asarray([1.0], requires_grad=True), tx.asarray([1.0])
    optimizer = optim.SGD([a], lr=0.5)
    optimizer.add_param_group({"params": b, "lr": 0.25})
    ((a + b) ** 2).sum().backward()
    optimizer.step()
    assert (a.tolist(), b.tolist()) == ([-1.0], [1.0])
    b.requires_grad_()
    optimizer.zero_grad()
    ((a + b) ** 2 + b).sum().backward()
    optimizer.step()
    assert b.tolist() == [0.75]


# -- schedules --------------------------------------------------------------------------------


def sequential(module, optimizer):
    parts = [
        module.LinearLR(optimizer, 0.1, total_iters=4),
        module.CosineAnnealingLR(optimizer, 6, eta_min=0.01),
        module.LambdaLR(optimizer, lambda epoch: 0.9**epoch),
    ]
    return module.SequentialLR(optimizer, parts, milestones=[4, 11])


SCHEDULES = {
    "lambda": lambda m, o: m.LambdaLR(o, lambda epoch: 0.95**epoch),
    "two lambdas": lambda m, o: m.LambdaLR(o, [lambda epoch: 1 / (1 + epoch), lambda epoch: 2.0]),
    "cosine": lambda m, o: m.CosineAnnealingLR(o, T_max=7, eta_min=0.05),  # and up again after 7
    "linear": lambda m, o: m.LinearLR(o, 0.25, 0.75, total_iters=5),
    "linear by default": lambda m, o: m.LinearLR(o),
    "sequential": sequential,
}


def two_rates(module, parameter):
    return module.SGD(
        [{"params": [parameter(1.0)]}, {"params": [parameter(2.0)], "lr": 0.5}], lr=1.0
    )


def rates(schedule, optimizer, steps):
    found = []
    for _ in range(steps):
        found.append(schedule.get_last_lr())
        assert found[-1] == [group["lr"] for group in optimizer.param_groups]
        optimizer.step()
        schedule.step()
    return found


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_resume(name):
    optimizer = two_rates(optim, tx.asarray)
    expected = rates(SCHEDULES[name](lr_scheduler, optimizer), optimizer, 20)
    optimizer = two_rates(optim, tx.asarray)
    schedule = SCHEDULES[name](lr_scheduler, optimizer)
    rates(schedule, optimizer, 8)
    saved = optimizer.state_dict(), schedule.state_dict()
    optimizer = two_rates(optim, tx.asarray)
    schedule = SCHEDULES[name](lr_scheduler, optimizer)
    optimizer.load_state_dict(saved[0])
    schedule.load_state_dict(saved[1])
    assert rates(schedule, optimizer, 12) == expected[8:]
    optimizer.load_state_dict(saved[0])
    schedule = lr_scheduler.LambdaLR(optimizer, lambda epoch: 1.0 + epoch, last_epoch=8)
    assert schedule.get_last_lr() == [10.0, 5.0]


def test_cosine_with_warmup_is_nanogpts():
    def get_lr(
        it, learning_rate, warmup_iters, lr_decay_iters, min_lr
    ):  # as nanoGPT's train.py has it
        if it < warmup_iters:
            return learning_rate * (it + 1) / (warmup_iters + 1)
        if it > lr_decay_iters:
            return min_lr
        decay_ratio = (it - warmup_iters) / (lr_decay_iters - warmup_iters)
        return min_lr + 0.5 * (1.0 + np.cos(np.pi * decay_ratio)) * (learning_rate - min_lr)

    optimizer = optim.AdamW([tx.asarray(1.0)], lr=6e-4)
    schedule = lr_scheduler.cosine_with_warmup(optimizer, 10, 60, min_lr_ratio=0.1)
    found = [lr for (lr,) in rates(schedule, optimizer, 80)]
    expected = [get_lr(it, 6e-4, 10, 60, 6e-5) for it in range(80)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    lr_scheduler.cosine_with_warmup(optimizer, 5, 5).step()  # no decay: no division by zero


def test_schedule_errors():
    optimizer = optim.SGD([tx.asarray(1.0)], lr=1.0)
    with pytest.raises(ArgumentError, match="T_max"):
        lr_scheduler.CosineAnnealingLR(optimizer, 0)
    with pytest.raises(ArgumentError, match="start_factor in"):
        lr_scheduler.LinearLR(optimizer, 0.0)
    with pytest.raises(ArgumentError, match="total_iters"):
        lr_scheduler.LinearLR(optimizer, total_iters=0)
    with pytest.raises(ArgumentError, match="one value for each of 1 groups, got 2"):
        lr_scheduler.LambdaLR(optimizer, [abs, abs])
    with pytest.raises(ArgumentError, match="warmup_steps <= total_steps"):
        lr_scheduler.cosine_with_warmup(optimizer, 3, 2)
    with pytest.raises(ArgumentError, match="one more schedule than milestones"):
        lr_scheduler.SequentialLR(optimizer, [], [])
    other = lr_scheduler.LinearLR(optim.SGD([tx.asarray(1.0)]))
    with pytest.raises(ArgumentError, match="schedules of this optimizer"):
        lr_scheduler.SequentialLR(optimizer, [other], [])
    with pytest.raises(ArgumentError, match="expects 'initial_lr'"):
        lr_scheduler.LinearLR(optim.SGD([tx.asarray(1.0)]), last_epoch=3)


# -- clipping ---------------------------------------------------------------------------------


def with_gradients(make, scale, dtype):
    params = []
    for x in values():
        p = make(np.zeros(x.shape, dtype))
        p.grad = make(np.asarray(scale * x, dtype))
        params.append(p)
    return params


@each("norm_type", [1.0, 2.0, 3.0, float("inf")])
@each("scale", [0.01, 10.0])
def test_clip_grad_norm_equals_torch(norm_type, scale, backend, torch):
    ours = with_gradients(tx.asarray, scale, "float64")[:3]
    theirs = with_gradients(torch.tensor, scale, "float64")[:3]
    kept = [p.grad for p in ours]
    before = [g.numpy() for g in kept]
    total = optim.clip_grad_norm_([*ours, tx.asarray(1.0)], 1.0, norm_type)
    expected = torch.nn.utils.clip_grad_norm_(theirs, 1.0, norm_type)
    assert total.backend.name == backend
    assert total.item() == pytest.approx(expected.item(), rel=1e-12)
    assert_close([p.grad for p in ours], [q.grad for q in theirs], 1e-12)
    for g, value in zip(kept, before, strict=True):
        assert (g.numpy() == value).all()  # a new gradient, not a changed one


def test_clip_grad_value_equals_torch(backend, torch):
    ours, theirs = (
        with_gradients(tx.asarray, 3, "float32"),
        with_gradients(torch.tensor, 3, "float32"),
    )
    optim.clip_grad_value_(ours, 0.7)
    torch.nn.utils.clip_grad_value_(theirs, 0.7)
    assert_close([p.grad for p in ours], [q.grad for q in theirs], 0)


def test_clip_edges(backend):
    p, q = tx.zeros(2), tx.zeros(2, dtype=tx.float64)
    assert optim.clip_grad_norm_(p, 1.0).item() == 0.0
    p.grad, q.grad = tx.asarray([3.0, 0.0]), tx.asarray([0.0, 4.0], dtype=tx.float64)
    total = optim.clip_grad_norm_([p, q], 1.0)
    assert (total.item(), total.dtype) == (5.0, tx.float64)
    assert p.grad.dtype is tx.float32
    assert p.grad.tolist() == pytest.approx([0.6, 0.0])
    optim.clip_grad_norm_(iter([p, q]), 0.0)
    assert p.grad.tolist() == [0.0, 0.0]
    q.grad = tx.asarray([float("nan"), 1.0], dtype=tx.float64)
    with pytest.raises(GradientError, match="norm of the gradients is nan"):
        optim.clip_grad_norm_([p, q], 1.0, error_if_nonfinite=True)
    assert p.grad.tolist() == [0.0, 0.0]
    optim.clip_grad_norm_([p, q], 1.0)
    assert np.isnan(p.grad.numpy()).all()


def test_a_step_of_length_zero():
    """As a warm-up begins: nothing moves, and the means are kept."""
    p = tx.asarray([1.0, -2.0], requires_grad=True)
    optimizer = optim.AdamW([p], lr=0.0)
    (p * p).sum().backward()
    optimizer.step()
    assert p.tolist() == [1.0, -2.0]
    assert optimizer.state[p]["exp_avg"].tolist() == pytest.approx([0.2, -0.4])


def meddle(optimizer, params, what):
    """What may come between two steps; the optimizer and the parameters to go on with."""
    if what == "data":
        params[1].array = params[1].array * 2
    elif what == "in place":
        params[1].array[...] = params[1].array * 2
    elif what == "state":
        optimizer.state[params[1]] = {
            k: v + v if hasattr(v, "shape") else v for k, v in optimizer.state[params[1]].items()
        }
    elif what == "loaded":
        optimizer.load_state_dict(optimizer.state_dict())
    elif what == "copied":
        optimizer = copy.deepcopy(optimizer)
        params = optimizer.param_groups[0]["params"]
    elif what == "pickled":
        optimizer = pickle.loads(pickle.dumps(optimizer))
        params = optimizer.param_groups[0]["params"]
    elif what == "no gradient":
        params[1].grad = None
        optimizer.step()
    elif what == "other options":
        optimizer.param_groups[0]["lr"] = 0.1
        optimizer.param_groups[0]["maximize"] = True
    elif what == "amsgrad":
        optimizer.param_groups[0]["amsgrad"] = True
    return optimizer, params


MEDDLING = "data, in place, state, loaded, copied, pickled, no gradient, other options, amsgrad"


@each("what", MEDDLING.split(", "))
def test_small_parameters_move_together_whatever_comes_between(what, backend, monkeypatch):
    """Beside an optimizer that has no kernel, so that each parameter moves alone."""
    current = backends.current()
    if "adamw" not in current.functions:
        pytest.skip(f"{backend} has no kernel for adamw")
    found = []
    for functions in (dict(current.functions), {}):
        monkeypatch.setitem(current.__dict__, "functions", functions)
        rng = np.random.default_rng(0)
        draw = lambda *shape: tx.asarray(rng.normal(size=shape))  # noqa: E731, B023
        params = [draw(*s).requires_grad_() for s in [(3,), (2, 4), (), (200, 100), (5, 1)]]
        optimizer = optim.AdamW(params, lr=0.01)
        for step in range(6):
            if step == 3:
                optimizer, params = meddle(optimizer, params, what)
            for p in params:
                p.grad = draw(*p.shape)
            optimizer.step()
        found.append(params)
        extra = int(what == "no gradient")
        steps = [optimizer.state[p]["step"] - extra for p in params]
        assert steps == [6, 6 - extra, 6, 6, 6]
    assert_close(*found, 1e-12)


def test_every_optimizer_and_schedule_is_exported():
    def below(kind):
        return {kind}.union(*map(below, kind.__subclasses__()))

    for base, home in ((optim.Optimizer, optim), (lr_scheduler.LRScheduler, lr_scheduler)):
        classes = {k for k in below(base) if k.__module__.startswith(f"{home.__name__}.")}
        names = {k.__name__ for k in classes}
        assert len(names) > 12
        assert names - vars(home).keys() <= {"FactorLR", "MomentumLR", "CombinedScheduler"}
