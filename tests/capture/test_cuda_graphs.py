"""``tx.capture``, as far as a CPU can tell: what a replay reads anew, and what stays unharmed.

The kernels are the package's CUDA sources run by g++, their launches recorded and replayed
(tests/backends/cuda_on_cpu/recording.py). On a GPU tests/backends/test_cupy.py captures whole
models.
"""

import copy
import sys

import numpy as np
import pytest

import tinyxp as tx
from tests.backends.cuda_on_cpu import COMPILER
from tests.backends.cuda_on_cpu.recording import Recorder
from tests.compare import differences, same, use_kernels
from tests.conftest import reason_missing
from tinyxp import backends
from tinyxp.backends.common.capture import capturing
from tinyxp.backends.common.philox import random_bits
from tinyxp.backends.cupy.capture import AT_ONCE, CAPACITY, DeviceCounter
from tinyxp.backends.cupy.kernels.dense import Kernels
from tinyxp.capture.step import CapturedStep
from tinyxp.commands import main
from tinyxp.core.tensor import wrap
from tinyxp.errors import ArgumentError, BackendError, CaptureError, ShapeError
from tinyxp.nn import functional as F
from tinyxp.optim.lr_scheduler import cosine_with_warmup
from tinyxp.random import Generator

pytestmark = pytest.mark.skipif(COMPILER is None, reason="g++ is not installed")
SHAPES = [(3,), (50, 83), (), (2, 5), (0, 3)]  # more than a block, and none at all


@pytest.fixture
def recorder(monkeypatch):
    """The kernels in place of the numpy backend's own, one launch for all parameters."""
    recorder, numpy = Recorder(), backends.get("numpy")
    own = Kernels(recorder.library)
    use_kernels(monkeypatch, own.table() | own.functions())
    monkeypatch.setitem(numpy.__dict__, "elements_per_update", None)
    monkeypatch.setitem(numpy.__dict__, "recorder", recorder.recording)
    return recorder


class Learner:
    """Parameters, and a step that consists of kernels alone: its gradients are inputs, some of
    whose numbers are left out at random."""

    def __init__(self, dtype="float32", p=0.3, make=tx.optim.AdamW, **options):
        rng = np.random.default_rng(1)
        self.params = [tx.asarray(rng.normal(size=s).astype(dtype)) for s in SHAPES]
        for param in self.params:
            param.requires_grad_()
        groups = [
            {"params": self.params[:2], "weight_decay": 0.1},
            {"params": self.params[2:], "weight_decay": 0.0, "lr": 0.02},
        ]
        self.optimizer = make(groups, lr=0.01, **options)
        self.schedule = cosine_with_warmup(self.optimizer, 3, 9)
        self.generator, self.p = Generator(2**40 + 7), p
        self.generator.counter = 2**64 - 3500  # the carry comes within the steps

    def step(self, *grads):
        self.optimizer.zero_grad()
        for param, g in zip(self.params, grads, strict=True):
            param.grad = F.dropout(g, self.p, generator=self.generator)
        norm = tx.optim.clip_grad_norm_(self.params, 5.0)
        self.optimizer.step()
        return {"norm": norm}

    def values(self):
        return [p.detach().numpy() for p in self.params]

    def everything(self):
        state = self.optimizer.state_dict()
        arrays = [x for each in state["state"].values() for x in each.values()]
        arrays = [x.numpy() if isinstance(x, tx.Tensor) else x for x in arrays]
        grads = [p.grad for p in self.params]
        return [*self.values(), *arrays, self.generator.counter, *grads]


def gradients(seed, dtype="float32"):
    rng = np.random.default_rng(seed)
    return [tx.asarray(rng.normal(size=s).astype(dtype)) for s in SHAPES]


@pytest.mark.parametrize(("dtype", "steps"), [("float32", 10), ("float64", 2)])
def test_replays_are_steps_bit_for_bit(dtype, steps, recorder):
    """With a rate that changes, two groups, dropout, clipping, and a step or two before."""
    plain, captured = Learner(dtype), Learner(dtype)
    fast = CapturedStep(captured.step, "numpy")
    for learner in (plain, captured):
        learner.step(*gradients(99, dtype))
    norms = []
    for k in range(steps):
        grads = gradients(k, dtype)
        expected = plain.step(*grads)["norm"]
        found = fast(*grads)["norm"]
        norms.append(found.item())
        assert found.item() == expected.item()
        plain.schedule.step(), captured.schedule.step()
        same(plain.everything(), captured.everything(), f"step {k}")
    assert len(set(norms)) == steps and min(norms) > 5  # so that clipping clips


def test_recording_is_no_step(recorder):
    learner = Learner()
    before = learner.everything()
    fast = CapturedStep(learner.step, "numpy")
    fast.capture(*gradients(0))
    after = learner.everything()
    same(before[:5], after[:5])  # values
    assert before[-6:] == after[-6:]  # counter, gradients
    state = learner.optimizer.state_dict()["state"]
    assert all(each["step"] == 0 and not each["exp_avg"].any() for each in state.values())
    assert repr(fast) == "<captured step step, recorded>"


def test_a_step_that_fails_leaves_all_as_it_was(recorder):
    for failing in range(1, 4):  # in the first trial, the second, and while recording
        learner, sys.runs = Learner(), 0  # which nobody sees there
        learner.step(*gradients(5))
        before = learner.everything()

        def step(*grads, learner=learner, failing=failing):
            sys.runs += 1
            learner.step(*grads)
            if sys.runs == failing:
                raise ValueError("a fault of the user's")

        fast = CapturedStep(step, "numpy")
        with pytest.raises(ValueError, match="a fault of the user's"):
            fast.capture(*gradients(0))
        same(before, learner.everything())
        assert sys.runs == failing and recorder.tape is None
    fast(*gradients(0))  # and now it goes
    assert differences(before, learner.everything())


def test_snapshots_stay_and_loaded_values_count(recorder):
    plain, captured = Learner(p=0.0), Learner(p=0.0)
    fast = CapturedStep(captured.step, "numpy")
    early = [p.detach() for p in captured.params]
    start = captured.values()
    fast(*gradients(0)), plain.step(*gradients(0))
    same([x.numpy() for x in early], start)
    snapshot, twin = [p.detach() for p in captured.params], copy.deepcopy(captured.params)
    then = captured.values()
    for k in (1, 2):
        fast(*gradients(k)), plain.step(*gradients(k))
        same([x.numpy() for x in snapshot], then)
        same([x.detach().numpy() for x in twin], then)
    same(captured.values(), plain.values())
    for learner in (plain, captured):  # other values, and a step that is not captured
        for p, x in zip(learner.params, start, strict=True):
            p.array = np.asarray(x + 1)
        learner.step(*gradients(3))
    fast(*gradients(4)), plain.step(*gradients(4))
    same(captured.everything(), plain.everything())
    captured.params[0].array = np.zeros(4, "float32")
    with pytest.raises(ShapeError, match="its tensor's shape"):
        fast(*gradients(5))  # as the step says


def test_an_optimizers_state_loaded_later_counts(recorder):
    """A step by itself, and then a recording of its own."""
    plain, captured = Learner(), Learner()
    fast = CapturedStep(captured.step, "numpy")
    for k in range(6):
        if k == 2:
            for learner in (plain, captured):
                learner.optimizer.load_state_dict(learner.optimizer.state_dict())
        plain.step(*gradients(k)), fast(*gradients(k))
        same(plain.everything(), captured.everything(), f"step {k}")


def test_a_call_leaves_its_gradients(recorder):
    learner = Learner(p=0.0)
    fast = CapturedStep(learner.step, "numpy")
    fast(*gradients(0))
    learner.optimizer.zero_grad()
    norm = fast(*gradients(1))["norm"]
    factor = np.float32(5) / np.float32(norm.item() + 1e-6)
    for p, g in zip(learner.params, gradients(1), strict=True):
        np.testing.assert_allclose(p.grad.numpy(), g.numpy() * factor, rtol=1e-6)


def test_buffers_of_a_module_are_state_too(recorder):
    """Even if the step only reads them: other values may be loaded."""

    class Model(tx.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = tx.nn.Parameter(tx.asarray([1.0, -2.0, 3.0]))

        def forward(self, x):
            return F.relu(self.weight), x

    model = Model()
    fast = CapturedStep(model, "numpy")
    y, x = fast(tx.asarray([1.0]))
    assert y.numpy().tolist() == [1.0, 0.0, 3.0] and not y.requires_grad
    model.load_state_dict({"weight": np.asarray([5.0, 6.0, -7.0])})
    again, x = fast(tx.asarray([4.0]))
    assert y.numpy().tolist() == [1.0, 0.0, 3.0] and again.numpy().tolist() == [5.0, 6.0, 0.0]
    assert x.numpy().tolist() == [4.0]


def test_attention_leaves_out_others_in_each_replay(recorder):
    """In tiles, where the kernel draws by itself: forward, and the same again backward."""
    ends = []
    for captured in (False, True):
        generator = Generator(2**40 + 1)
        x = tx.asarray(np.random.default_rng(3).normal(size=(1, 2, 5, 4)).astype("float32"))
        leaf = tx.zeros((1, 2, 5, 4)).requires_grad_()
        kernel = backends.get("numpy").kernels["attention"]

        def step(q, g, generator=generator, kernel=kernel, leaf=leaf):
            seed, counter = generator._take(50)
            options = {"dropout_p": 0.3, "seed": seed, "counter": counter}
            data = q.array
            y, kept = kernel.forward(data, data, data, is_causal=True, scale=0.5, **options)
            grads = kernel.vjp(g.array, kept, (True, True, True, False))
            return [wrap(part, q.backend) for part in (y, *grads[:3])]

        take = CapturedStep(step, "numpy") if captured else step
        found = [[part.numpy().copy() for part in take(x, x)] for _ in range(3)]
        assert not np.array_equal(found[0][0], found[1][0]) and generator.counter == 3 * 13
        ends.append([part for parts in found for part in parts])
    same(*ends)


# -- norm and clipping in two launches and one ----------------------------------------------------


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("float64", 1e-14)])
def test_norm_and_clipping_are_the_formulas(dtype, tolerance, recorder, monkeypatch):
    """Of small, large, empty and strided gradients; above the limit, below it, and NaN."""
    numpy, kernels = backends.get("numpy"), backends.get("numpy").kernels
    for scale, limit in ((1.0, 5.0), (1e-3, 5.0), (np.nan, 5.0), (0.0, 1.0)):
        found = []
        for table in (kernels, {}):
            monkeypatch.setitem(numpy.__dict__, "kernels", table)
            grads = gradients(3, dtype)
            grads[1] = tx.asarray(np.asfortranarray(grads[1].numpy()))
            params = [tx.zeros(x.shape, dtype=x.dtype).requires_grad_() for x in grads]
            for p, g in zip(params, grads, strict=True):
                p.grad = g * scale
            norm = tx.optim.clip_grad_norm_(params, limit)
            assert norm.shape == () and norm.dtype is grads[0].dtype
            found.append([norm.numpy(), *(p.grad.numpy() for p in params)])
        for a, b in zip(*found, strict=True):
            np.testing.assert_allclose(a, b, rtol=tolerance)
    mixed = [tx.ones(3, dtype=tx.float32), tx.ones(2, dtype=tx.float64)]
    monkeypatch.setitem(numpy.__dict__, "kernels", kernels)
    assert tx.optim.get_total_norm(mixed).item() == pytest.approx(5**0.5)


# -- what cannot be ----------------------------------------------------------------------------


def test_inputs_are_those_of_the_capture(recorder):
    learner = Learner()
    fast = CapturedStep(lambda grads, clip: learner.step(*grads), "numpy")
    fast(gradients(0), clip=True)
    before = learner.everything()
    with pytest.raises(ArgumentError, match="captured with True, got False"):
        fast(gradients(0), clip=False)
    with pytest.raises(ArgumentError, match="takes inputs like those it was captured with"):
        fast(gradients(0))
    with pytest.raises(ArgumentError, match=r"captured with \(3,\) \S+float32, got \(4,\)"):
        fast([tx.zeros(4), *gradients(0)[1:]], clip=True)
    with pytest.raises(ArgumentError, match=r"got \(3,\) tinyxp.float64"):
        fast([tx.zeros(3, dtype=tx.float64), *gradients(0)[1:]], clip=True)
    same(before, learner.everything())
    with pytest.raises(ArgumentError, match="an input of a captured step gets no gradient"):
        CapturedStep(learner.step, "numpy")(learner.params[0])
    with tx.backend("strict"):
        elsewhere = tx.zeros(3)
    with pytest.raises(BackendError, match=r"lies on 'numpy', got one on 'strict'"):
        CapturedStep(learner.step, "numpy")(elsewhere)


HOST_STEPS = [
    (tx.optim.SGD, {}),
    (tx.optim.SGD, {"momentum": 0.9, "nesterov": True}),
    (tx.optim.AdamW, {"amsgrad": True}),
    (tx.optim.Adam, {}),  # with a weight decay that is not decoupled
    (tx.optim.RMSprop, {"centered": True}),
    (tx.optim.Adagrad, {}),
]


@pytest.mark.parametrize(("make", "options"), HOST_STEPS)
def test_an_optimizer_steps_between_two_graphs(make, options, recorder):
    """One whose numbers the host reckons with, at the rate of each step."""
    plain, captured = (Learner(make=make, **options) for _ in range(2))
    plain.step(*gradients(99)), captured.step(*gradients(99))
    before = captured.everything()

    def step(*grads):
        found = captured.step(*grads)
        return found | {"after": F.relu(captured.params[1].detach())}  # which the second reads

    fast = CapturedStep(step, "numpy")
    fast.capture(*gradients(0))
    same(captured.everything(), before)
    parts = fast._replay.recording.parts
    kinds = [hasattr(call, "__closure__") and call.__name__ for call in parts]
    assert kinds.count("call") == 1 and kinds.index("call") not in (0, len(kinds) - 1)
    for k in range(4):
        norm = plain.step(*gradients(k))["norm"]
        found = fast(*gradients(k))
        assert found["norm"].item() == norm.item()
        expected = np.maximum(plain.params[1].detach().numpy(), 0)
        assert np.array_equal(found["after"].numpy(), expected)
        same(plain.everything(), captured.everything(), f"step {k}")
        plain.schedule.step(), captured.schedule.step()
    loaded = [tx.asarray(0.5 * p) for p in plain.values()]
    for learner in (plain, captured):
        for p, new in zip(learner.params, loaded, strict=True):
            p.array = new.array
    plain.step(*gradients(7)), fast(*gradients(7))
    same(plain.everything(), captured.everything())


def looking(monkeypatch):
    """Have the numpy backend read values as cupy's does."""
    numpy = backends.get("numpy")
    plainly = numpy.to_numpy

    def to_numpy(array):
        capture = capturing()
        return plainly(array) if capture is None else capture.look(array, np.copy)

    monkeypatch.setitem(numpy.__dict__, "to_numpy", to_numpy)


@pytest.mark.parametrize("first", [True, False])
def test_another_answer_has_the_step_run(first, recorder, monkeypatch):
    """Then nothing is drawn, counted or changed but by the step."""
    looking(monkeypatch)
    plain, captured = Learner(), Learner()
    plain.step(*gradients(99)), captured.step(*gradients(99))

    def leaving_out(learner):
        def step(good, *grads):
            learner.optimizer.zero_grad()
            for param, g in zip(learner.params, grads, strict=True):
                param.grad = F.dropout(g, learner.p, generator=learner.generator)
            if good.item():
                learner.optimizer.step()
            return [F.relu(p.grad) for p in learner.params]

        return step

    one, fast = leaving_out(plain), CapturedStep(leaving_out(captured), "numpy")
    ran = []
    by_itself = fast._run_step
    monkeypatch.setattr(fast, "_run_step", lambda *args: ran.append(k) or by_itself(*args))
    for k, good in enumerate([first, True, False, True, True, False, False, True]):
        good = tx.asarray(good)
        expected = [y.numpy() for y in one(good, *gradients(k))]
        same([y.numpy() for y in fast(good, *gradients(k))], expected)
        same(plain.everything(), captured.everything(), f"step {k}")
        plain.schedule.step(), captured.schedule.step()
    assert ran == ([2, 5, 6] if first else [1, 3, 4, 7])


def test_looks_that_no_replay_could_do_are_refused(recorder, monkeypatch):
    looking(monkeypatch)
    learner = Learner(make=tx.optim.SGD)

    def late(learner, good, *grads):
        learner.step(*grads)
        return good if good.item() else grads

    for each in (learner, Learner()):  # one that steps live, and one whose launch is recorded
        before = [*each.values(), each.generator.counter]
        with pytest.raises(CaptureError, match="after it has begun to change its parameters"):
            CapturedStep(late, "numpy")(each, tx.asarray(True), *gradients(0))
        same(before, [*each.values(), each.generator.counter])
    before = learner.everything()
    with pytest.raises(CaptureError, match=r"reads numbers out of a tensor \(float32 of shape"):
        CapturedStep(lambda x: x * x.item(), "numpy")(tx.ones(()))
    same(before, learner.everything())


def test_what_the_host_does_is_refused(recorder, monkeypatch):
    monkeypatch.delitem(backends.get("numpy").functions, "random_bits")  # the host has it not
    learner, generator = Learner(), Generator(3)
    cases = {
        "scheduler.step.. inside a captured step": learner.schedule.step,
        "random numbers that the host draws": lambda: generator.normal((3,)),
        "or pass them as inputs|as inputs": lambda: generator.permutation(5),
    }
    rates = [group["lr"] for group in learner.optimizer.param_groups]
    for words, act in cases.items():
        with pytest.raises(CaptureError, match=words):
            CapturedStep(lambda x, act=act: act(), "numpy")(tx.ones(1))
    assert [group["lr"] for group in learner.optimizer.param_groups] == rates
    assert generator.counter == 0


def test_without_a_gpu_it_says_so():
    why = reason_missing("cupy")
    if why is None:
        pytest.skip("there is a GPU here")
    with pytest.raises(BackendError) as caught, tx.backend("cupy"):
        tx.capture(lambda x: x)
    assert str(caught.value) == why


# -- numbers of the host --------------------------------------------------------------------------


def test_words_of_the_host_reach_the_kernels(recorder):
    """More than one launch takes, negative and large ones, and random words from anywhere."""
    capture, generator = recorder.recording().capture, Generator(2**63 + 5)
    numbers = [float(x) for x in np.random.default_rng(0).normal(size=2 * AT_ONCE + 3)]
    generator.counter = 2**96 + 2**64 - 2
    with capture.active():
        capture.recording = True
        there = capture.numbers(len(numbers), lambda: numbers)
        recorder.tape = tape = []
        drawn = [generator.integers(0, 2**20, 7), generator.integers(0, 2**20, 9)]
        recorder.tape, capture.recording = None, False
    capture.finish()
    assert generator.counter == 2**96 + 2**64 - 2
    assert tape and drawn
    for start in (2**96 + 2**64 - 2, 2**128 - 3, 5):
        generator.counter, begin = start, start
        capture.counters.refresh(), capture.scalars.refresh()
        assert there.view(np.float64).tolist() == numbers
        for call in tape:
            call()
        assert generator.counter == begin + 4 + 5  # blocks of four words, two words a number
    base = recorder.library.xp.zeros(2, dtype=np.int64)
    base[:] = -2, 5  # 2**64 - 2, and a carry within the words
    found = Kernels(recorder.library).random_bits(7, DeviceCounter(base, 1), 9)
    expected = random_bits(backends.get("numpy").xp, 7, 5 * 2**64 + 2**64 - 2 + 1, 9)
    assert np.array_equal(found, expected)


def test_there_is_room_for_so_many(recorder):
    capture = recorder.recording().capture
    capture.numbers(CAPACITY - 1, list)
    with pytest.raises(CaptureError, match="put the parameters into fewer groups"):
        capture.numbers(2, list)


# -- the Trainer -----------------------------------------------------------------------------------


def test_training_with_a_capture_ends_with_one_line_without_a_gpu(capsys, monkeypatch):
    monkeypatch.setenv("TINY_BACKEND", "")  # --backend sets it, for children
    options = ["--capture", "--steps", "1", "--set", "n_layer=1", "--backend", "cupy"]
    assert main(["train", "transformer", *options]) == 2
    assert capsys.readouterr().err == f"tinyxp: {reason_missing('cupy')}\n"
    assert main(["train", "mlp", "--capture"]) == 2
    assert "--capture applies to transformer" in capsys.readouterr().err
