"""``tx.capture`` on numpy: a replay has the bits of the step, or the step is refused."""

import random
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinyxp as tx
from tests.registry import example, is_floating
from tinyxp import backends
from tinyxp.backends.numpy import backend as numpy_backend
from tinyxp.backends.numpy.replay.plan import lay_out
from tinyxp.backends.numpy.replay.recording import fast_call
from tinyxp.backends.numpy.replay.trace import Program, plain
from tinyxp.backends.numpy.views import arrays_in
from tinyxp.capture import recorder
from tinyxp.capture.recorder import Recorder
from tinyxp.capture.replay import Replay
from tinyxp.core.operation import OPS
from tinyxp.core.tree import leaves
from tinyxp.errors import (
    ArgumentError,
    BackendError,
    CaptureError,
    DataError,
    IndexingError,
)
from tinyxp.models import transformer
from tinyxp.nn import functional as F
from tinyxp.optim.lr_scheduler import StepLR
from tinyxp.train import Trainer

OPTIMIZERS = [
    ("SGD", {}),
    ("SGD", {"momentum": 0.9, "weight_decay": 0.1}),
    ("Adam", {}),
    ("Adam", {"amsgrad": True}),
    ("AdamW", {"weight_decay": 0.1}),
    ("RMSprop", {"momentum": 0.5}),
    ("Adagrad", {}),
    ("NAdam", {}),
]


def bits(found):
    """All numbers in a tree, as bytes."""
    parts = [part for _, part in leaves(found)]
    return [x.detach().numpy().tobytes() if isinstance(x, tx.Tensor) else x for x in parts]


# -- every operation -------------------------------------------------------------------------------

# how many numbers they return depends on numbers that they are given
LENGTHS = {("repeat", 1), ("repeat", 2)}
CASES = [
    (name, i)
    for name, op in sorted(OPS.items())
    for i in range(len(op.examples))
    if (name, i) not in LENGTHS
]


class Case:
    """A step of one operation: its results, and the gradients of what is added to its operands."""

    def __init__(self, name, i):
        self.operands, self.static = example(name, i)
        self.call = OPS[name].call
        self.places = [k for k, x in enumerate(self.operands) if isinstance(x, np.ndarray)]
        self.inputs = [tx.asarray(self.operands[k]) for k in self.places]
        self.shifts = {
            k: tx.zeros_like(x).requires_grad_()
            for k, x in zip(self.places, self.inputs, strict=True)
            if is_floating(self.operands[k])
        }

    def step(self, inputs):
        operands = list(self.operands)
        for k, x in zip(self.places, inputs, strict=True):
            operands[k] = x + self.shifts[k] if k in self.shifts else x
        found = self.call(tuple(operands), dict(self.static))
        parts = [part for _, part in leaves(found) if isinstance(part, tx.Tensor)]
        for x in self.shifts.values():
            x.grad = None
        for y in parts:
            if y.requires_grad:
                total = (y * y.detach()).sum()
                (tx.real(total) if "complex" in y.dtype.kind else total).backward(retain_graph=True)
        return [y.detach() for y in parts]

    def others(self):
        """Inputs that lie near by, so that what a recording takes for constant is found."""
        return [
            x * (1 - 2**-10) if is_floating(self.operands[k]) else x
            for k, x in zip(self.places, self.inputs, strict=True)
        ]

    def everything(self, found):
        return bits([found, [x.grad for x in self.shifts.values()]])


@pytest.mark.parametrize("first", range(6))
def test_every_operation_is_replayed_bit_for_bit(first, monkeypatch):
    monkeypatch.setattr(recorder, "prove", lambda *args: None)  # to see which one it is
    cases = {name: Case(*name) for name in CASES[first::6]}

    def step(inputs):
        return {name: case.step(inputs[name]) for name, case in cases.items()}

    expected = {name: case.everything(case.step(case.inputs)) for name, case in cases.items()}
    captured = tx.capture(step, {name: case.others() for name, case in cases.items()})
    found = captured({name: case.inputs for name, case in cases.items()})
    wrong = [name for name, case in cases.items() if case.everything(found[name]) != expected[name]]
    assert not wrong


# -- training --------------------------------------------------------------------------------------


class Learner:
    """A model with all that changes from step to step: batches, weights, buffers, random numbers,
    learning rates, the optimizer's state."""

    def __init__(self, model, optimizer="AdamW", **options):
        tx.manual_seed(3)
        self.model = model()
        groups = [
            {"params": [p for p in self.model.parameters() if p.ndim > 1]},
            {"params": [p for p in self.model.parameters() if p.ndim < 2], "lr": 0.01},
        ]
        self.optimizer = getattr(tx.optim, optimizer)(groups, lr=0.02, **options)
        self.schedule = StepLR(self.optimizer, 2, 0.5)
        self.generator = tx.random.Generator(2**40 + 7)
        self.generator.counter = 2**64 - 3  # the carry comes within the steps

    def step(self, batch):
        x, y = batch
        self.optimizer.zero_grad()
        if x.dtype is tx.float32:
            x = x + 0.1 * self.generator.normal(x.shape)
        logits = F.dropout(self.model(x), 0.2, generator=self.generator)
        loss = F.cross_entropy(logits.flatten(0, -2), y.flatten())
        loss.backward()
        norm = tx.optim.clip_grad_norm_(self.model.parameters(), 0.7)
        self.optimizer.step()
        return {"loss": loss, "norm": norm}

    def everything(self):
        state = list(self.optimizer.state_dict()["state"].values())
        grads = [p.grad for p in self.model.parameters()]
        return [*bits([list(self.model.state_dict().values()), state, grads]), repr(self.generator)]


def mlp():
    return tx.nn.Sequential(
        tx.nn.Linear(4, 8), tx.nn.BatchNorm1d(8), tx.nn.GELU(), tx.nn.Linear(8, 3)
    )


def cnn():
    return tx.nn.Sequential(
        tx.nn.Conv2d(2, 4, 3, padding=1),
        tx.nn.ReLU(),
        tx.nn.MaxPool2d(2),
        tx.nn.ConvTranspose2d(4, 3, 3, stride=2),
        tx.nn.AvgPool2d(3),
        tx.nn.Flatten(),
        tx.nn.LayerNorm(27),
        tx.nn.Linear(27, 3),
    )


class GPT(tx.nn.Module):
    def __init__(self):
        super().__init__()
        self.token = tx.nn.Embedding(7, 8)
        layer = tx.nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True)
        self.blocks = tx.nn.TransformerEncoder(layer, 2)
        self.head = tx.nn.Linear(8, 7)
        self.head.weight = self.token.weight

    def forward(self, ids):
        mask = tx.nn.Transformer.generate_square_subsequent_mask(ids.shape[1])
        return self.head(self.blocks(self.token(ids), mask=mask, is_causal=True))


class LSTM(tx.nn.Module):
    def __init__(self):
        super().__init__()
        self.cells = tx.nn.LSTM(4, 5, batch_first=True)
        self.head = tx.nn.Linear(5, 3)

    def forward(self, x):
        return self.head(self.cells(x)[0])


MODELS = {
    "mlp": (mlp, (6, 4), 3, (6,)),
    "cnn": (cnn, (5, 2, 8, 8), 3, (5,)),
    "gpt": (GPT, (3, 5), 7, (3, 5)),
    "lstm": (LSTM, (3, 5, 4), 3, (3, 5)),
}


def batch(model, seed, dtype="float32"):
    _, shape, classes, targets = MODELS[model]
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 7, shape) if model == "gpt" else rng.normal(size=shape).astype(dtype)
    return tx.asarray(x), tx.asarray(rng.integers(0, classes, targets))


def pair(model="mlp", optimizer="AdamW", **options):
    """Two learners of the same, and one's step captured."""
    plain, other = [Learner(MODELS[model][0], optimizer, **options) for _ in range(2)]
    return plain, other, tx.capture(other.step)


def same_steps(plain, other, captured, model="mlp", steps=5, first=0):
    losses = set()
    for k in range(first, first + steps):
        tx.random.default_generator().manual_seed(k)
        expected = bits(plain.step(batch(model, k)))
        tx.random.default_generator().manual_seed(k)
        assert bits(captured(batch(model, k))) == expected, f"step {k}"
        assert plain.everything() == other.everything(), f"step {k}"
        plain.schedule.step(), other.schedule.step()
        losses.add(expected[0])
    assert len(losses) == steps


@pytest.mark.parametrize("model", MODELS)
def test_replays_are_steps_bit_for_bit(model):
    same_steps(*pair(model), model)


@pytest.mark.parametrize("model", ["mlp", "gpt"])
@pytest.mark.parametrize("kernels", ["numpy", "numba"])
def test_what_is_drawn_is_drawn_again(model, kernels, monkeypatch):
    """By NumPy's words and by numba's, which else are for more than a small model draws."""
    fast = kernels == "numba"
    if fast:
        numba_random = pytest.importorskip("tinyxp.backends.numpy.compiled.random")
        monkeypatch.setattr(numba_random, "FEW", 1)
    own = backends.get("numpy").__dict__
    monkeypatch.setitem(own, "kernels", numpy_backend.kernels(fast))
    monkeypatch.setitem(own, "functions", numpy_backend.functions(fast))
    same_steps(*pair(model), model)


@pytest.mark.parametrize(("optimizer", "options"), OPTIMIZERS)
def test_with_every_optimizer(optimizer, options):
    same_steps(*pair("mlp", optimizer, **options), steps=3)


def test_recording_is_no_step():
    _, learner, captured = pair()
    learner.step(batch("mlp", 9))
    before = learner.everything()
    captured.capture(batch("mlp", 0))
    assert learner.everything() == before
    assert repr(captured) == "<captured step step, recorded>"


def test_steps_outside_and_weights_from_outside_count():
    plain, other, captured = pair()
    same_steps(plain, other, captured, steps=2)
    plain.step(batch("mlp", 7)), other.step(batch("mlp", 7))
    same_steps(plain, other, captured, steps=2, first=2)
    weights = {k: 0.5 * v for k, v in plain.model.state_dict().items()}
    plain.model.load_state_dict(weights), other.model.load_state_dict(weights)
    same_steps(plain, other, captured, steps=2, first=4)


@pytest.mark.parametrize("optimizer", ["AdamW", "SGD"])
def test_snapshots_stay_what_they_are(optimizer):
    _, learner, captured = pair(optimizer=optimizer)
    captured(batch("mlp", 0))
    snapshot, weight = learner.model.state_dict(), next(learner.model.parameters()).detach()
    before = bits([list(snapshot.values()), weight])
    captured(batch("mlp", 1))
    assert bits([list(snapshot.values()), weight]) == before
    assert bits(next(learner.model.parameters())) != bits(weight)


# -- what a step looks at --------------------------------------------------------------------------


def test_another_answer_has_the_step_run():
    """A branch is taken as the step takes it, with its random numbers and its optimizer's state."""

    class Branching(Learner):
        def step(self, batch):
            x, y = batch
            return super().step((3 * x if (x[0, 0] > 0).item() else x, y))

        runs = 0

    plain, other = Branching(mlp), Branching(mlp)
    captured = tx.capture(other.step)
    signs = [batch("mlp", k)[0][0, 0].item() > 0 for k in range(8)]
    assert len(set(signs[1:])) == 2  # so that both ways are gone
    same_steps(plain, other, captured, steps=8)


def test_targets_left_out_are_looked_for_in_each_step():
    logits = tx.asarray(np.random.default_rng(0).normal(size=(4, 3)), requires_grad=True)

    def step(targets):
        logits.grad = None
        loss = F.cross_entropy(logits, targets)
        loss.backward()
        return loss, logits.grad

    captured = tx.capture(step, tx.asarray([0, 1, 2, 0]))
    for targets in ([2, 1, 0, 0], [2, -100, 0, -100], [1, 1, 1, 1], [-100] * 4):
        expected = bits(step(tx.asarray(targets)))
        assert bits([*captured(tx.asarray(targets))[:1], logits.grad]) == expected
    with pytest.raises(IndexingError, match="index 3 is out of range for 3 classes"):
        captured(tx.asarray([0, 1, 2, 3]))


def test_a_look_after_the_change_is_refused():
    weight = tx.asarray([1.0], requires_grad=True)
    optimizer = tx.optim.AdamW([weight], lr=0.1)

    def step(x):
        optimizer.zero_grad()
        (weight * x).sum().backward()
        optimizer.step()
        return weight.detach() if (weight.detach() > 0).all().item() else x

    with pytest.raises(CaptureError, match="after it has begun to change"):
        tx.capture(step, tx.ones(1))
    assert weight.item() == 1 and weight.grad is None


REFUSED = {
    "a number": (lambda x: x * x.sum().item(), "reads numbers out of a tensor"),
    "a list": (lambda x: x * tx.asarray(x.tolist()), "reads numbers out of a tensor"),
    "a mask": (lambda x: x[x > 0].sum(), "whose length depends on"),
    "nonzero": (lambda x: tx.nonzero(x)[0], "whose length depends on"),
    "random": (lambda x: x * random.random(), "draws Python's or NumPy's random numbers"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_recording_cannot_see_is_refused(case):
    step, reason = REFUSED[case]
    learner = Learner(mlp)
    learner.step(batch("mlp", 0))
    before = learner.everything()

    def whole(given):
        learner.step(given)
        return step(given[0])

    with pytest.raises(CaptureError, match=reason):
        tx.capture(whole, batch("mlp", 0))
    assert learner.everything() == before


def test_a_step_that_fails_leaves_all_as_it_was():
    for failing in range(1, 5):  # at first, tried, tried with other inputs, and recorded
        learner, sys.runs = Learner(mlp), 0  # which nobody sees there
        learner.step(batch("mlp", 5))
        before = learner.everything()

        def step(given, learner=learner, failing=failing):
            sys.runs += 1
            learner.step(given)
            if sys.runs >= failing:
                raise ValueError("a fault of the user's")

        with pytest.raises(ValueError, match="a fault of the user's"):
            tx.capture(step, batch("mlp", 0))
        assert learner.everything() == before


def test_other_inputs_are_told():
    _, _, captured = pair()
    captured(batch("mlp", 0))
    with pytest.raises(ArgumentError, match=r"captured with .*\(6, 4\)"):
        captured(tuple(x[:3] for x in batch("mlp", 0)))
    with pytest.raises(ArgumentError, match="gets no gradient"):
        captured((batch("mlp", 0)[0].requires_grad_(), batch("mlp", 0)[1]))


CHANGES = {
    "weight decay": lambda r: r.optimizer.param_groups[0].update(weight_decay=0.3),
    "no weight decay": lambda r: r.optimizer.param_groups[0].update(weight_decay=0.0),
    "betas": lambda r: r.optimizer.param_groups[0].update(betas=(0.5, 0.9)),
    "eps": lambda r: r.optimizer.param_groups[1].update(eps=0.1),
    "state": lambda r: r.optimizer.load_state_dict(r.optimizer.state_dict()),
    "model": lambda r: r.model.load_state_dict({k: 0 * x for k, x in r.model.state_dict().items()}),
    "mode": lambda r: r.model[1].eval(),
    "frozen": lambda r: r.model[0].weight.requires_grad_(False),
    "float64": lambda r: r.model.to(dtype=tx.float64),
    "another group": lambda r: r.optimizer.add_param_group(
        {"params": [tx.ones(3).requires_grad_()], "lr": 0.1}
    ),
    "amsgrad": lambda r: r.optimizer.param_groups[1].update(amsgrad=True),
    "seed": lambda r: r.generator.manual_seed(5),
    "default generator": lambda r: tx.manual_seed(5),
    "hook": lambda r: r.model[2].register_forward_hook(lambda module, args, y: 2 * y),
    "layer": lambda r: r.model.__setitem__(2, tx.nn.Tanh()),
    "attribute": lambda r: setattr(r.model[1], "eps", 0.5),
    "step by hand": lambda r: setattr(r.model[0].bias, "array", r.model[0].bias.array + 1),
    "numbers in place": lambda r: r.model[0].bias.array.fill(0.5),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_after_the_capture_counts(change):
    """Whether it is read anew, recorded anew, or the step is run by itself for it."""
    plain, other, captured = pair()
    dtype = "float64" if change == "float64" else "float32"
    for k in range(8):
        if k == 3:
            CHANGES[change](plain), CHANGES[change](other)
        found = []
        for step in (plain.step, captured):
            tx.random.default_generator().counter = 100 * k
            found.append([bits(step(batch("mlp", k, dtype if k > 2 else "float32")))])
        assert found[0] == found[1], f"step {k}"
        assert plain.everything() == other.everything(), f"step {k}"


def test_other_backends_run_the_step_itself():
    for name in {"torch", "strict"} & set(backends.names()):
        with pytest.raises(BackendError, match="records no steps|not installed"), tx.backend(name):
            tx.capture(lambda: None)


# -- memory ----------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 90), st.lists(st.integers(0, 30), max_size=3)), max_size=25)
)
def test_no_two_arrays_in_use_share_memory(sizes):
    """Programs of sums of earlier arrays, or of slices of them: as planned, they give the same."""
    program = Program()

    def sums(made):
        for n, sources in sizes:
            y = program.new(np.empty(n))
            y[...] = n
            for source in sources:
                x = made[source % len(made)]
                y = y + x[: len(y)].sum() if source % 2 else y * 0.5 + x[-1]
            made.append(y)
        return made[-3:]

    with program.active(), ThreadPoolExecutor(2) as pool:
        made = sums([program.place(np.arange(100.0))])
        both = program.side_by_side(pool, [partial(sums, made[:]), partial(sums, made[-1:])])
        lasting = [*made, *both[0], *both[1], sum(x.sum() for part in both for x in part)]
        expected = [plain(x).copy() for x in lasting]
        for x in lasting:
            program.place(x)
        own = dict(enumerate(program.sizes))
        calls, used = lay_out(program.calls, own, program.kept)
        for x in program.kept.values():
            x.fill(0)
        for call in calls:
            fast_call(*call)()
    assert all(map(np.array_equal, map(plain, lasting), expected))
    assert used <= sum(-(-size // 64) * 64 for n, size in own.items() if n not in program.kept)


def test_a_recording_uses_its_memory_again():
    layers = [tx.nn.Linear(256, 256) for _ in range(8)]
    for layer in layers:
        layer.requires_grad_(False)

    def step(x):
        for layer in layers:
            x = F.relu(layer(x))
        return x.sum()

    captured = tx.capture(step, tx.ones((256, 256)))
    one = 256 * 256 * 4
    arrays = [
        x
        for call in captured._replay.recording.calls
        for x in arrays_in([list(call.args), call.keywords])
    ]
    assert sum(x.nbytes == one for x in arrays) >= 16  # the products and the maxima
    assert one < captured._replay.recording.bytes < 4 * one


# -- the Trainer -----------------------------------------------------------------------------------


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_trainers_capture_takes_its_steps(accumulate):
    found = []
    for capture in (False, True):
        tx.manual_seed(0)
        model = mlp()
        optimizer = tx.optim.AdamW(model.parameters(), lr=0.05)
        losses = []
        trainer = Trainer(
            model,
            optimizer,
            scheduler=StepLR(optimizer, 2, 0.5),
            grad_clip=1.0,
            capture=capture,
            accumulate=accumulate,
            log_every=1,
            callbacks=[lambda metrics, losses=losses: losses.append(metrics["loss"])],
        )
        batches = [batch("mlp", k) for k in range(8 * accumulate)]
        loss_of = lambda batch, model=model: F.cross_entropy(model(batch[0]), batch[1])  # noqa: E731
        trainer.fit(batches, loss_of, 8)
        found.append([losses, bits(list(model.state_dict().values()))])
        assert len(losses) == 8 and trainer.done == 8
    assert found[0] == found[1]
    model[0].weight.array = np.full((8, 4), np.nan, "float32")
    with pytest.raises(DataError, match="at step 9 or before the loss is nan"):
        trainer.fit(batches, loss_of, 9)


def trained_on_odd_batches(capture, accumulate, make):
    """Losses, state and replays of a run some of whose batches are smaller; so is its last step's
    share, if it takes two."""
    tx.manual_seed(0)
    model, losses, replays = mlp(), [], []
    trainer = Trainer(
        model,
        getattr(tx.optim, make)(model.parameters(), lr=0.05),
        capture=capture,
        accumulate=accumulate,
        ema=0.9,
        log_every=1,
        callbacks=[lambda metrics: losses.append(metrics["loss"])],
    )
    batches = [batch("mlp", k) for k in range(9)]
    for k in (3, 4, 7):
        batches[k] = tuple(x[:3] for x in batches[k])
    replayed = Replay.run

    def counted(*args):
        found = replayed(*args)
        replays.append(found[0])
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Replay, "run", counted)
        trainer.fit(batches, lambda b: F.cross_entropy(model(b[0]), b[1]), epochs=1)
    states = [*model.state_dict().values(), *trainer.average.state_dict().values()]
    return (losses, bits(states), repr(tx.random.default_generator())), len(replays)


@pytest.mark.parametrize("make", ["AdamW", "SGD"])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_batch_of_another_size_is_a_step_without_the_capture(accumulate, make):
    expected, none = trained_on_odd_batches(False, accumulate, make)
    found, replays = trained_on_odd_batches(True, accumulate, make)
    assert found == expected and len(found[0]) == -(-9 // accumulate)
    proven = 3  # runs of a recording on trial
    assert (none, replays - proven) == (0, {1: 6, 2: 1}[accumulate])


def trained_in_parts(capture, dropout=0.0):
    tx.manual_seed(0)
    model = tx.nn.Sequential(tx.nn.Linear(4, 8), tx.nn.GELU(), tx.nn.Dropout(dropout), mlp()[3])
    trainer = Trainer(
        model, tx.optim.AdamW(model.parameters(), lr=0.05), capture=capture, threads=2
    )
    loss_of = lambda batch: F.cross_entropy(model(batch[0]), batch[1])  # noqa: E731
    trainer.fit([batch("mlp", k) for k in range(6)], loss_of, 6)
    return bits(list(model.parameters())), repr(tx.random.default_generator())


def test_parts_of_a_batch_are_replayed_side_by_side():
    assert trained_in_parts(capture=True) == trained_in_parts(capture=False)
    with pytest.raises(ArgumentError, match="parts would draw others"):
        trained_in_parts(capture=True, dropout=0.5)


def trained_with_looks(capture, spoilt, **options):
    """Losses, skipped steps, state and average of a run some of whose batches hold NaN."""
    tx.manual_seed(0)
    model = mlp()
    optimizer, metrics = options.pop("make", tx.optim.AdamW)(model.parameters(), lr=0.05), []
    options |= {"scheduler": StepLR(optimizer, 2, 0.5), "log_every": 1, "grad_clip": 1.0}
    trainer = Trainer(model, optimizer, capture=capture, callbacks=[metrics.append], **options)
    batches = [batch("mlp", k) for k in range(12)]
    for k in spoilt:
        batches[k] = (batches[k][0] * tx.nan, batches[k][1])
    captures = []
    if capture:
        record = Recorder.record
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Recorder, "record", lambda self: captures.append(1) or record(self))
            trainer.fit(batches, lambda b: F.cross_entropy(model(b[0]), b[1]), 12)
    else:
        trainer.fit(batches, lambda b: F.cross_entropy(model(b[0]), b[1]), 12)
    state = bits(list(model.state_dict().values()))
    average = trainer.average and bits(list(trainer.average.state_dict().values()))
    rng = repr(tx.random.default_generator())
    return (repr(metrics), trainer.loss_scale, state, average, rng), len(captures)


@pytest.mark.parametrize("spoilt", [(3, 4, 9), (0, 2, 6)], ids=str)
@pytest.mark.parametrize(
    "options",
    [
        {"on_nan": "skip"},
        {"ema": 0.9, "on_nan": "skip"},
        {"ema": 0.9, "on_nan": "skip", "make": tx.optim.SGD},
        {"loss_scale": 2.0**10},
        {"loss_scale": 2.0**130},  # above what float32 holds, and halved
        {"precision": "float16", "ema": 0.5},
    ],
    ids=str,
)
def test_a_trainers_capture_skips_steps(options, spoilt):
    """A step without finite gradients is skipped as without a capture, with its buffers and random
    numbers. If a skipped step was recorded, the next is recorded anew."""
    if options.get("loss_scale", 0) > 2.0**128:
        spoilt = ()
    expected, _ = trained_with_looks(False, spoilt, **options)
    found, captures = trained_with_looks(True, spoilt, **options)
    assert found == expected
    assert captures == (2 if 2 in spoilt else 1)  # by then one has gone well, and is recorded next


def test_a_trainers_capture_is_for_numpy_and_cupy():
    model = tx.nn.Linear(2, 2).to("strict")
    with pytest.raises(BackendError, match="got one on 'strict'"):
        Trainer(model, tx.optim.AdamW(model.parameters()), capture=True)


def test_the_transformer_learns_the_same_by_replays(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("to be or not to be, that is the question " * 20, encoding="utf-8")
    sizes = {"n_layer": 1, "n_head": 2, "n_embd": 8, "block_size": 8, "batch_size": 4}
    config = transformer.Config(text=str(text), steps=6, sample_tokens=1, eval_every=3, **sizes)
    results = [
        transformer.train(replace(config, capture=capture), tmp_path / str(capture))
        for capture in (False, True)
    ]
    assert results[0].score == results[1].score
    assert results[0].control == results[1].control
