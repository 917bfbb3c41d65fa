"""Every schedule beside PyTorch's: its rates and momenta, from the start, resumed and joined."""

import copy

import numpy as np
import pytest

import tinyxp as tx
from tests.helpers import each
from tinyxp import optim
from tinyxp.errors import ArgumentError, DTypeError
from tinyxp.files.state import load_state, save_state
from tinyxp.optim import lr_scheduler, swa_utils

torch = pytest.importorskip("torch", reason="PyTorch is the reference: pip install torch")

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # PyTorch's, about step(epoch)


class Both:
    """The schedules of one library: ``m.StepLR(o, 3)`` reads as in a program."""

    def __init__(self, ours):
        self.optim = optim if ours else torch.optim
        self.make = tx.asarray if ours else torch.tensor

    def __getattr__(self, name):
        home = self.optim.swa_utils if name == "SWALR" else self.optim.lr_scheduler
        return getattr(home, name)

    def optimizer(self, name="SGD", lrs=(1.0, 0.5)):
        options = {"momentum": 0.5} if name == "SGD" else {}
        groups = [{"params": [self.make(1.0).requires_grad_()], "lr": lr} for lr in lrs]
        return getattr(self.optim, name)(groups, lr=1.0, **options)


def warmed(m, o, after, n=7):
    return m.SequentialLR(o, [m.LinearLR(o, 0.1, total_iters=n), after], milestones=[n])


class Callable:
    """A callable object, whose attributes are part of a schedule's state."""

    def __init__(self):
        self.calls = 0

    def __call__(self, epoch):
        return 1 / (1 + epoch)


SCHEDULES = {
    "LambdaLR": lambda m, o: m.LambdaLR(o, lambda epoch: 0.95**epoch),
    "LambdaLR of two": lambda m, o: m.LambdaLR(o, [Callable(), lambda epoch: 2.0]),
    "MultiplicativeLR": lambda m, o: m.MultiplicativeLR(o, lambda epoch: 0.95 + epoch / 1000),
    "MultiplicativeLR of two": lambda m, o: m.MultiplicativeLR(
        o, [lambda epoch: 0.97, lambda epoch: 1.01]
    ),
    "StepLR": lambda m, o: m.StepLR(o, 7),
    "StepLR 2": lambda m, o: m.StepLR(o, step_size=1, gamma=0.97),
    "MultiStepLR": lambda m, o: m.MultiStepLR(o, [10, 30, 80]),
    "MultiStepLR 2": lambda m, o: m.MultiStepLR(o, [30, 4, 4, 90], gamma=0.5),
    "ConstantLR": lambda m, o: m.ConstantLR(o),
    "ConstantLR 2": lambda m, o: m.ConstantLR(o, factor=0.25, total_iters=40),
    "LinearLR": lambda m, o: m.LinearLR(o),
    "LinearLR 2": lambda m, o: m.LinearLR(o, 0.25, 0.75, total_iters=50),
    "ExponentialLR": lambda m, o: m.ExponentialLR(o, 0.97),
    "ExponentialLR 2": lambda m, o: m.ExponentialLR(o, gamma=1.01),
    "PolynomialLR": lambda m, o: m.PolynomialLR(o),
    "PolynomialLR 2": lambda m, o: m.PolynomialLR(o, total_iters=90, power=2.5),
    "CosineAnnealingLR": lambda m, o: m.CosineAnnealingLR(o, T_max=100),
    "CosineAnnealingLR 2": lambda m, o: m.CosineAnnealingLR(o, 7, eta_min=0.05),  # up again
    "CosineAnnealingLR 3": lambda m, o: m.CosineAnnealingLR(o, 1, eta_min=0.05),
    "CosineAnnealingWarmRestarts": lambda m, o: m.CosineAnnealingWarmRestarts(o, 10),
    "CosineAnnealingWarmRestarts 2": lambda m, o: m.CosineAnnealingWarmRestarts(o, 3, 2, 0.01),
    "CosineAnnealingWarmRestarts 3": lambda m, o: m.CosineAnnealingWarmRestarts(o, 1, T_mult=3),
    "CyclicLR": lambda m, o: m.CyclicLR(o, 0.1, 1.0, step_size_up=10),
    "CyclicLR 2": lambda m, o: m.CyclicLR(
        o, [0.1, 0.2], [1.0, 0.4], 5, 13, mode="triangular2", base_momentum=0.6, max_momentum=0.8
    ),
    "CyclicLR 3": lambda m, o: m.CyclicLR(o, 0.1, 1.0, 9, mode="exp_range", gamma=0.98),
    "CyclicLR 4": lambda m, o: m.CyclicLR(
        o, 0.1, 1.0, 9, scale_fn=lambda x: 1 / (1 + x), scale_mode="iterations"
    ),
    "CyclicLR 5": lambda m, o: m.CyclicLR(
        o, 0.1, 1.0, 9, scale_fn=lambda x: 1 / (1 + x), cycle_momentum=False
    ),
    "OneCycleLR": lambda m, o: m.OneCycleLR(o, 2.0, total_steps=120),
    "OneCycleLR 2": lambda m, o: m.OneCycleLR(
        o,
        [2.0, 0.1],
        epochs=13,
        steps_per_epoch=9,
        pct_start=0.4,
        three_phase=True,
        base_momentum=[0.7, 0.8],
        max_momentum=0.9,
    ),
    "OneCycleLR 3": lambda m, o: m.OneCycleLR(
        o,
        2.0,
        total_steps=110,
        anneal_strategy="linear",
        div_factor=5.0,
        final_div_factor=100.0,
        cycle_momentum=False,
    ),
    "OneCycleLR 4": lambda m, o: m.OneCycleLR(o, 2.0, total_steps=105, pct_start=0.0),
    "SWALR": lambda m, o: m.SWALR(o, 0.05),
    "SWALR 2": lambda m, o: m.SWALR(o, [0.05, 0.5], anneal_epochs=60, anneal_strategy="linear"),
    "SWALR 3": lambda m, o: m.SWALR(o, swa_lr=0.05, anneal_epochs=0),
    "SequentialLR": lambda m, o: m.SequentialLR(
        o,
        [
            m.LinearLR(o, 0.1, total_iters=4),
            m.CosineAnnealingLR(o, 30, eta_min=0.01),
            m.LambdaLR(o, lambda epoch: 0.9**epoch),
        ],
        milestones=[4, 34],
    ),
    "SequentialLR constant": lambda m, o: m.SequentialLR(
        o, [m.ConstantLR(o, 0.1, 20), m.ExponentialLR(o, 0.9)], milestones=[20]
    ),
    "warm-up StepLR": lambda m, o: warmed(m, o, m.StepLR(o, 10)),
    "warm-up MultiStepLR": lambda m, o: warmed(m, o, m.MultiStepLR(o, [10, 50])),
    "warm-up PolynomialLR": lambda m, o: warmed(m, o, m.PolynomialLR(o, 90, 0.5)),
    "warm-up MultiplicativeLR": lambda m, o: warmed(m, o, m.MultiplicativeLR(o, lambda e: 0.98)),
    "warm-up restarts": lambda m, o: warmed(m, o, m.CosineAnnealingWarmRestarts(o, 10, 2)),
    "warm-up too short": lambda m, o: m.SequentialLR(
        o, [m.LinearLR(o, 0.1, total_iters=20), m.MultiplicativeLR(o, lambda e: 0.98)], [10]
    ),
    "warm-up of one step": lambda m, o: warmed(m, o, m.LambdaLR(o, lambda e: 0.99**e), 1),
    "ChainedScheduler": lambda m, o: m.ChainedScheduler(
        [m.ConstantLR(o, 0.1, 20), m.ExponentialLR(o, 0.97)]
    ),
    "ChainedScheduler 2": lambda m, o: m.ChainedScheduler(
        [m.LinearLR(o, 0.2, total_iters=9), m.StepLR(o, 20), m.CosineAnnealingLR(o, 60, 0.01)], o
    ),
    "ChainedScheduler 3": lambda m, o: m.ChainedScheduler(
        [m.CosineAnnealingLR(o, 9, 0.1), m.MultiplicativeLR(o, lambda e: 1 - 1 / (e + 5))]
    ),
    "ChainedScheduler of sequences": lambda m, o: m.ChainedScheduler(
        [
            m.SequentialLR(o, [m.ConstantLR(o, 0.1, 9), m.ExponentialLR(o, 0.97)], [9]),
            m.MultiStepLR(o, [30, 60]),
        ]
    ),
    "warm-up by a lambda": lambda m, o: m.ChainedScheduler(
        [m.LambdaLR(o, lambda e: min(1, (e + 1) / 10)), m.ExponentialLR(o, 0.97)]
    ),
}


def moved(optimizer):
    """What a schedule may change in each group."""
    groups = optimizer.param_groups
    return [[g["lr"], g.get("momentum", 0.0), *g.get("betas", ())] for g in groups]


def follow(schedule, optimizer, steps):
    found = []
    for _ in range(steps):
        found.append(moved(optimizer))
        assert schedule.get_last_lr() == pytest.approx([g["lr"] for g in optimizer.param_groups])
        optimizer.step()
        schedule.step()
    return found


def assert_same(a, b):
    np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


@each("kind", ["SGD", "AdamW"])
@each("name", SCHEDULES)
def test_rates(name, kind):
    found = []
    for m in (Both(True), Both(False)):
        o = m.optimizer(kind)
        schedule = SCHEDULES[name](m, o)
        found.append(follow(schedule, o, 105))
    assert_same(*found)


@each("name", [n for n in SCHEDULES if "One" not in n and "Cyclic" not in n])
def test_rates_that_the_user_changes(name):
    """PyTorch's chainable schedules go on from the rate that they find."""
    found = []
    for m in (Both(True), Both(False)):
        o = m.optimizer()
        schedule = SCHEDULES[name](m, o)
        found.append([])
        for i in range(105):
            found[-1].append(moved(o))
            if i in (5, 50):
                o.param_groups[0]["lr"] = 0.7
            schedule.step()
    assert_same(*found)


def test_schedules_stepped_in_turn():
    found = []
    for m in (Both(True), Both(False)):
        o = m.optimizer()
        schedules = [m.LinearLR(o, 0.1, total_iters=20), m.MultiStepLR(o, [40, 70])]
        schedules.append(m.CosineAnnealingLR(o, 50, 0.01))
        swa, rates = None, []
        for i in range(105):
            rates.append(moved(o))
            o.step()
            if i == 60:
                swa = m.SWALR(o, 0.3, anneal_epochs=20)
            for schedule in schedules if i < 60 else [swa]:
                schedule.step()
        found.append(rates)
    assert_same(*found)


@each("name", SCHEDULES)
@each("at", [1, 8, 33, 60])
@each("way", ["ours to ours", "ours to PyTorch", "PyTorch to ours"])
def test_resumed(name, at, way):
    if way != "ours to ours" and "Callable" in name:
        pytest.skip("functions are not saved")
    source, heir = (Both(name == "ours") for name in way.split(" to "))
    o = source.optimizer()
    schedule = SCHEDULES[name](source, o)
    follow(schedule, o, at)
    saved = copy.deepcopy((o.state_dict(), schedule.state_dict()))
    expected = follow(schedule, o, 100 - at)
    o = heir.optimizer()
    schedule = SCHEDULES[name](heir, o)
    schedule.load_state_dict(saved[1])
    o.load_state_dict(saved[0])
    assert_same(follow(schedule, o, 100 - at), expected)


# the same classes with other options: all of what was saved counts
OTHERS = {
    "StepLR": lambda m, o: m.StepLR(o, 3, gamma=0.9),
    "MultiStepLR 2": lambda m, o: m.MultiStepLR(o, [2, 3], gamma=0.7),
    "ConstantLR 2": lambda m, o: m.ConstantLR(o, 0.5, 3),
    "LinearLR 2": lambda m, o: m.LinearLR(o, 0.5, 0.9, 7),
    "ExponentialLR": lambda m, o: m.ExponentialLR(o, 0.5),
    "PolynomialLR 2": lambda m, o: m.PolynomialLR(o, 7),
    "CosineAnnealingLR 2": lambda m, o: m.CosineAnnealingLR(o, 50),
    "CosineAnnealingWarmRestarts 2": lambda m, o: m.CosineAnnealingWarmRestarts(o, 7),
    "CyclicLR 2": lambda m, o: m.CyclicLR(o, 0.3, 0.6, 7),
    "CyclicLR 3": lambda m, o: m.CyclicLR(o, 0.3, 0.6, 7),
    "CyclicLR 5": lambda m, o: m.CyclicLR(
        o, 0.3, 0.6, 7, scale_fn=lambda x: 1 / (1 + x), cycle_momentum=True
    ),
    "OneCycleLR 2": lambda m, o: m.OneCycleLR(o, 0.5, total_steps=70),
    "OneCycleLR 3": lambda m, o: m.OneCycleLR(o, 0.5, total_steps=200),
    "SWALR 2": lambda m, o: m.SWALR(o, 0.7),
    "SequentialLR constant": lambda m, o: m.SequentialLR(
        o, [m.ConstantLR(o, 0.5, 2), m.ExponentialLR(o, 0.5)], milestones=[2]
    ),
    "ChainedScheduler 2": lambda m, o: m.ChainedScheduler(
        [m.LinearLR(o, 0.5, total_iters=2), m.StepLR(o, 3), m.CosineAnnealingLR(o, 9)], o
    ),
    "ChainedScheduler of sequences": lambda m, o: m.ChainedScheduler(
        [m.SequentialLR(o, [m.ConstantLR(o), m.ExponentialLR(o, 0.5)], [4]), m.MultiStepLR(o, [2])]
    ),
}


@each("name", OTHERS)
@each("at", [0, 1, 8])
@each("way", ["ours to ours", "ours to PyTorch", "PyTorch to ours"])
def test_a_state_is_loaded_whole(name, at, way):
    """The options with it."""
    source, heir = (Both(side == "ours") for side in way.split(" to "))
    o = source.optimizer()
    schedule = SCHEDULES[name](source, o)
    follow(schedule, o, at)
    saved = copy.deepcopy((o.state_dict(), schedule.state_dict()))
    expected = follow(schedule, o, 60)
    p = heir.optimizer()
    other = OTHERS[name](heir, p)
    other.load_state_dict(saved[1])
    p.load_state_dict(saved[0])
    assert_same(follow(other, p, 60), expected)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_state_has_pytorchs_keys(name, tmp_path):
    """And a file takes it."""
    ours, theirs = (
        SCHEDULES[name](m, m.optimizer()).state_dict() for m in (Both(True), Both(False))
    )
    assert ours.keys() == theirs.keys() - {"_get_lr_called_within_step"}
    save_state(ours, tmp_path / "a.safetensors")
    found = load_state(tmp_path / "a.safetensors")
    schedule = SCHEDULES[name](Both(True), Both(True).optimizer())
    schedule.load_state_dict(found)
    assert schedule.state_dict() == ours


def test_the_state_of_another_schedule_is_refused():
    """And nothing has changed then."""
    kinds = ["StepLR", "MultiStepLR", "ConstantLR", "LinearLR", "ExponentialLR", "PolynomialLR"]
    kinds += ["CosineAnnealingLR", "CosineAnnealingWarmRestarts", "CyclicLR", "OneCycleLR", "SWALR"]
    kinds += ["LambdaLR", "SequentialLR", "ChainedScheduler", "ChainedScheduler 2"]
    ours, theirs = Both(True), Both(False)
    states = {name: SCHEDULES[name](theirs, theirs.optimizer()).state_dict() for name in kinds}
    for name in kinds:
        schedule = SCHEDULES[name](ours, ours.optimizer())
        before = schedule.state_dict()
        for other, state in states.items():
            if other == name:
                continue
            with pytest.raises(ArgumentError, match="this is not the state of a|the states of"):
                schedule.load_state_dict(state)
        assert schedule.state_dict() == before
    fewer = ours.StepLR(ours.optimizer(lrs=(1.0,)), 7)
    with pytest.raises(ArgumentError, match="base_lrs expects one value for each of 1 groups"):
        fewer.load_state_dict(states["StepLR"])
    adam = ours.OneCycleLR(ours.optimizer("AdamW"), 1.0, 9)
    with pytest.raises(ArgumentError, match="moves momentum, but the optimizer has none"):
        adam.load_state_dict(states["OneCycleLR"])
    position = {key: states["StepLR"][key] for key in ("base_lrs", "last_epoch", "_last_lr")}
    with pytest.raises(ArgumentError, match="lacks gamma, step_size"):
        fewer.load_state_dict(position)


def test_what_a_subclass_holds_is_saved():
    """As in PyTorch: all but functions."""
    for m in (Both(True), Both(False)):

        class Waves(m.LRScheduler):
            def __init__(self, optimizer, length):
                self.length = length
                super().__init__(optimizer)

            def get_lr(self):
                return [lr / (1 + self.last_epoch % self.length) for lr in self.base_lrs]

        state = Waves(m.optimizer(), 3).state_dict()
        other = Waves(m.optimizer(), 5)
        other.load_state_dict(state)
        assert other.length == 3


def test_resumed_by_last_epoch():
    for name in ("StepLR", "ExponentialLR", "CosineAnnealingLR", "LinearLR", "LambdaLR"):
        found = []
        for m in (Both(True), Both(False)):
            o = m.optimizer()
            follow(SCHEDULES[name](m, o), o, 9)
            options = {
                "StepLR": {"step_size": 7},
                "ExponentialLR": {"gamma": 0.97},
                "CosineAnnealingLR": {"T_max": 100},
                "LinearLR": {},
                "LambdaLR": {"lr_lambda": lambda epoch: 0.95**epoch},
            }[name]
            found.append(follow(getattr(m, name)(o, **options, last_epoch=9), o, 100))
        assert_same(*found)


def test_steps_to_an_epoch():
    names = ["StepLR", "MultiStepLR 2", "LinearLR 2", "PolynomialLR 2", "CosineAnnealingLR 2"]
    names += ["LambdaLR", "ExponentialLR", "ConstantLR 2", "CosineAnnealingWarmRestarts 2"]
    for name in names:
        found = []
        for m in (Both(True), Both(False)):
            o = m.optimizer()
            schedule, rates = SCHEDULES[name](m, o), []
            for epoch in (3, 50, None, 7, None, None, 0, None):
                schedule.step(epoch) if epoch is not None else schedule.step()
                rates.append(moved(o))
            found.append(rates)
        assert_same(*found)


def test_restarts_within_an_epoch():
    found = []
    for m in (Both(True), Both(False)):
        o = m.optimizer()
        schedule, rates = m.CosineAnnealingWarmRestarts(o, 3, 2), []
        for i in range(100):
            schedule.step(i / 7)
            rates.append(moved(o))
        for _ in range(10):
            schedule.step()
            rates.append(moved(o))
        found.append(rates)
    assert_same(*found)


def test_lr_at_is_the_rate_at_every_step():
    """A schedule can be read without stepping."""
    for name in SCHEDULES:
        if "Multiplicative" in name or "too short" in name:
            continue
        o = Both(True).optimizer()
        schedule = SCHEDULES[name](Both(True), o)
        if isinstance(schedule, lr_scheduler.ChainedScheduler):
            continue  # it has no rate of its own
        base = [g["initial_lr"] for g in o.param_groups]
        base = [0.1, 0.2] if name == "CyclicLR 2" else [0.1, 0.1] if "Cyclic" in name else base
        read = [[schedule.lr_at(e, base[i], i) for i in range(2)] for e in range(60)]
        found = [[lr for lr, *_ in rates] for rates in follow(schedule, o, 60)]
        np.testing.assert_allclose(found, read, rtol=1e-12, err_msg=name)


def test_a_schedule_in_pytorchs_style():
    """get_lr, as PyTorch's users write it."""
    found = []
    for m in (Both(True), Both(False)):

        class Inverse(m.LRScheduler):
            def get_lr(self):
                return [lr / (1 + self.last_epoch) for lr in self.base_lrs]

        o = m.optimizer()
        warm = m.LinearLR(o, 0.1, total_iters=5)
        found.append(follow(m.SequentialLR(o, [warm, Inverse(o)], [5]), o, 100))
    assert_same(*found)


METRICS = {
    "falling": [1 / (1 + i) for i in range(105)],
    "flat": [1.0] * 105,
    "noisy": list(np.random.default_rng(0).normal(size=105)),
    "steps": [float(i // 13 % 3) for i in range(105)],
    "nan": [1.0, float("nan"), 0.5, *[float("nan")] * 102],
}


@each("metrics", METRICS)
@each(
    "options",
    [
        {},
        {"mode": "max", "factor": 0.5, "patience": 2},
        {"patience": 0, "cooldown": 3, "min_lr": [0.01, 0.1]},
        {"threshold": 0.1, "patience": 3, "factor": 0.7},
        {"threshold": 0.1, "threshold_mode": "abs", "patience": 1, "eps": 1e-3},
        {"threshold": 0.2, "threshold_mode": "abs", "mode": "max", "patience": 1, "min_lr": 0.02},
    ],
)
def test_reduce_on_plateau(metrics, options):
    found = []
    for m in (Both(True), Both(False)):
        o = m.optimizer()
        schedule, rates = m.ReduceLROnPlateau(o, **options), []
        for i, metric in enumerate(METRICS[metrics]):
            schedule.step(np.float64(metric) if i % 2 else m.make([metric]))
            rates.append(moved(o))
            assert schedule.get_last_lr() == [g["lr"] for g in o.param_groups]
        found.append(rates)
    assert_same(*found)


@pytest.mark.parametrize("way", ["ours to ours", "ours to PyTorch", "PyTorch to ours"])
def test_reduce_on_plateau_resumed(way):
    source, heir = (Both(name == "ours") for name in way.split(" to "))
    metrics = METRICS["noisy"]
    o = source.optimizer()
    schedule = source.ReduceLROnPlateau(o, patience=3, factor=0.7, cooldown=2)
    for metric in metrics[:20]:
        schedule.step(metric)
    saved = copy.deepcopy((o.state_dict(), schedule.state_dict()))
    p = heir.optimizer()
    other = heir.ReduceLROnPlateau(p, "max", 0.1, 1, 0.5, "abs", 0, 0.3, 0.1)
    p.load_state_dict(saved[0])
    other.load_state_dict(saved[1])
    for metric in metrics[20:]:
        schedule.step(metric)
        other.step(metric)
        assert_same(moved(p), moved(o))


def test_errors():
    o = optim.SGD([tx.asarray(1.0)], lr=1.0, momentum=0.9)
    bad = [
        (lambda: lr_scheduler.StepLR(o, 0), "step_size expects an integer from 1 up, got 0"),
        (lambda: lr_scheduler.ConstantLR(o, 1.5), r"factor expects a number in \[0, 1\], got 1.5"),
        (lambda: lr_scheduler.PolynomialLR(o, 0), "total_iters expects an integer from 1 up"),
        (lambda: lr_scheduler.CosineAnnealingWarmRestarts(o, 0), "T_0 expects an integer"),
        (lambda: lr_scheduler.CosineAnnealingWarmRestarts(o, 2, 0.5), "T_mult expects an integer"),
        (lambda: lr_scheduler.CosineAnnealingWarmRestarts(o, 2).step(-1), ">= 0, got -1"),
        (lambda: lr_scheduler.CyclicLR(o, 0.1, 1.0, mode="square"), "mode expects one of"),
        (lambda: lr_scheduler.CyclicLR(o, 0.1, 1.0, 0), "step_size_up expects an integer"),
        (lambda: lr_scheduler.CyclicLR(o, [0.1, 1.0], 1.0), "base_lr expects one value for each"),
        (
            lambda: lr_scheduler.CyclicLR(o, 0.1, 1.0, scale_fn=abs, scale_mode="step"),
            "scale_mode expects 'cycle' or 'iterations'",
        ),
        (lambda: lr_scheduler.OneCycleLR(o, 1.0), "expected total_steps, or epochs"),
        (lambda: lr_scheduler.OneCycleLR(o, 1.0, 0), "total_steps expects an integer"),
        (lambda: lr_scheduler.OneCycleLR(o, 1.0, epochs=2, steps_per_epoch=0), "steps_per_epoch"),
        (lambda: lr_scheduler.OneCycleLR(o, 1.0, 9, pct_start=1.5), "pct_start expects"),
        (lambda: lr_scheduler.OneCycleLR(o, 1.0, 9, anneal_strategy="x"), "anneal_strategy"),
        (lambda: lr_scheduler.ReduceLROnPlateau(o, factor=1.0), "factor expects a number below 1"),
        (lambda: lr_scheduler.ReduceLROnPlateau(o, "least"), "expected mode 'min' or 'max'"),
        (lambda: lr_scheduler.ReduceLROnPlateau(o, min_lr=[0.1, 0.2]), "min_lr expects one value"),
        (lambda: lr_scheduler.ChainedScheduler([]), "expects schedules, got none"),
        (lambda: swa_utils.SWALR(o, 0.1, anneal_strategy="x"), "anneal_strategy expects"),
        (lambda: swa_utils.SWALR(o, 0.1, anneal_epochs=-1), "anneal_epochs expects an integer"),
    ]
    for make, message in bad:
        with pytest.raises(ArgumentError, match=message):
            make()
    with pytest.raises(DTypeError, match="expects an optimizer, got int"):
        lr_scheduler.StepLR(3, 2)
    with pytest.raises(DTypeError, match="ReduceLROnPlateau needs a metric"):
        lr_scheduler.ChainedScheduler([lr_scheduler.ReduceLROnPlateau(o)])
    with pytest.raises(ArgumentError, match="cycle_momentum expects an optimizer with momentum"):
        lr_scheduler.OneCycleLR(optim.Adagrad([tx.asarray(1.0)]), 1.0, 9)
    chain = lr_scheduler.ChainedScheduler([lr_scheduler.ExponentialLR(o, 0.5)])
    with pytest.raises(ArgumentError, match="takes single steps, got epoch=3"):
        chain.step(3)
    other = lr_scheduler.ExponentialLR(optim.SGD([tx.asarray(1.0)]), 0.5)
    with pytest.raises(ArgumentError, match="schedules of this optimizer"):
        lr_scheduler.ChainedScheduler([other], o)
    short = lr_scheduler.OneCycleLR(o, 1.0, 3)
    for _ in range(3):
        short.step()
    with pytest.raises(ArgumentError, match="step 4 is beyond the 3 steps"):
        short.step()
