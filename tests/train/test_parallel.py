"""Training steps on several threads: the gradients of the whole batch, part by part."""

import io
import random

import numpy as np
import pytest

import tinyxp as tx
from tinyxp import nn
from tinyxp.errors import ArgumentError, BackendError, ShapeError
from tinyxp.models.transformer import GPT, Config
from tinyxp.nn import functional as F
from tinyxp.random import Generator
from tinyxp.train import Trainer, parallel
from tinyxp.train.parallel import Parallel

CONFIG = Config(n_layer=2, n_head=2, n_embd=16, block_size=12, batch_size=5, bias=True)


def gpt():
    return GPT(CONFIG, 11, Generator(0)).to(dtype=tx.float64)


def batch():
    ids = np.random.default_rng(0).integers(0, 11, (2, 5, 12))
    return tuple(map(tx.asarray, ids))


def gradients(threads, model=None, times=1):
    model = model or gpt()
    with Parallel(model, threads) as runner:
        for _ in range(times):
            loss = runner.backward(model.loss, batch())
    return loss.item(), {name: p.grad.numpy() for name, p in model.named_parameters()}


@pytest.mark.parametrize("threads", [2, 3, 5, 8])
def test_parts_give_the_gradients_of_the_whole(threads):
    """Parts of unequal size too, and more threads than samples."""
    loss, expected = gradients(1)
    parted, found = gradients(threads)
    assert parted == pytest.approx(loss, rel=1e-12)
    for name, g in expected.items():
        assert np.abs(found[name] - g).max() <= 1e-12 * max(1, np.abs(g).max()), name


def test_gradients_add_up_as_those_of_backward_do():
    _, once = gradients(2)
    _, twice = gradients(2, times=2)
    for name, g in once.items():
        assert np.allclose(twice[name], 2 * g, rtol=1e-12, atol=1e-15)


def test_what_goes_wrong_in_a_part_is_raised():
    model = nn.Linear(3, 1)
    with Parallel(model, 2) as runner, pytest.raises(ShapeError, match="linear"):
        runner.backward(lambda x: model(x).mean(), tx.ones((4, 2)))


def prepared(threads, model, loss_of, batch):
    with Parallel(model, threads) as runner:
        runner.prepare(loss_of, batch)
        return runner.chosen, runner.pool is not None


def test_the_choice_follows_sizes(monkeypatch):
    model = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5))
    model.eval()
    loss_of = lambda x: model(x).mean()  # noqa: E731
    monkeypatch.setattr(parallel, "get_num_threads", lambda: 2)

    def choice(batch):
        return prepared("auto", model, loss_of, batch)

    assert prepared(None, model, loss_of, tx.ones((8, 4))) == (None, False)  # as without it
    assert choice(tx.ones((8, 4))) == (1, False)  # small: one thread
    monkeypatch.setattr(parallel, "LARGE", 1)
    assert choice(tx.ones((8, 4))) == (2, True)
    assert choice(tx.ones((1, 4))) == (0, False)  # cannot be split
    model.train()
    assert choice(tx.ones((8, 4))) == (0, False)  # dropout would draw other numbers


# -- what would train something else ---------------------------------------------------------------

draw = np.random.default_rng(0)
X, Y = (draw.normal(size=(12, 3)).astype("float32"), draw.integers(0, 4, 12))
PADDED = np.where(np.arange(12) < 5, -100, Y)


class Recurrent(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.cell, self.out = nn.GRU(3, 6, **options), nn.Linear(6, 4)

    def forward(self, x):
        return self.out(self.cell(x)[0])


def plain():
    return nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 4))


def of_classes(**options):
    return lambda model: lambda batch: F.cross_entropy(model(batch[0]), batch[1], **options)


def of_steps(model):
    return lambda b: F.cross_entropy(model(b[0]).reshape(-1, 4), b[1].reshape(-1))


WEIGHTS = np.asarray([0.1, 1.0, 2.0, 5.0], dtype="float32")
STEPS = draw.normal(size=(8, 4, 3)).astype("float32"), draw.integers(0, 4, (8, 4))
NEXT = draw.integers(0, 4, (8, 4))
OTHERS = {
    "ignored targets": (plain, of_classes(), (X, PADDED), "leaves out targets.*ignore_index=-100"),
    "class weights": (
        plain, lambda m: of_classes(weight=tx.asarray(WEIGHTS))(m), (X, Y), "mean is weighted",
    ),
    "a sum": (plain, of_classes(reduction="sum"), (X, Y), r'it is a sum \(reduction="sum"\)'),
    "a mean of squares": (
        plain, lambda m: lambda b: m(b[0]).mean() ** 2, (X, Y), "plain mean over its first axis",
    ),
    "time first": (Recurrent, of_steps, STEPS, "GRU 'cell' has time as its first axis"),
    "BatchNorm": (
        lambda: nn.Sequential(nn.Linear(3, 6), nn.BatchNorm1d(6), nn.Linear(6, 4)),
        of_classes(), (X, Y), r"changes 1.running_mean.*uses its batch as a whole",
    ),
    "BatchNorm without statistics": (
        lambda: nn.Sequential(nn.Linear(3, 6), nn.BatchNorm1d(6, track_running_stats=False)),
        of_classes(), (X, Y), "the gradients differ",
    ),
    "dropout": (
        lambda: nn.Sequential(nn.Linear(3, 6), nn.Dropout(0.5), nn.Linear(6, 4)),
        of_classes(), (X, Y), "draws random numbers",
    ),
    "Python's random": (
        plain, lambda m: lambda b: m(b[0] * random.random()).mean(), (X, Y), "draws random numbers",
    ),
    "a size that is fixed": (
        plain, lambda m: lambda b: (m(b[0]) * tx.ones((12, 4))).mean(), (X, Y),
        "does not take a part of its batch",
    ),
}  # fmt: skip
SAME = {
    "a mean": (plain, of_classes(), (X, Y)),
    "smoothed": (plain, of_classes(label_smoothing=0.1), (X, Y)),
    "batch first": (lambda: Recurrent(batch_first=True), of_steps, (STEPS[0], NEXT)),
    "BatchNorm that is frozen": (
        lambda: nn.Sequential(nn.Linear(3, 6), nn.BatchNorm1d(6).eval(), nn.Linear(6, 4)),
        of_classes(), (X, Y),
    ),
    "arrays of NumPy": (
        plain, lambda m: lambda b: F.cross_entropy(m(tx.asarray(b[0])), tx.asarray(b[1])), None,
    ),
}  # fmt: skip


def a_case(make, loss, batch):
    tx.manual_seed(0)
    model = make()
    return model, loss(model), (X, Y) if batch is None else tuple(map(tx.asarray, batch))


@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize("name", OTHERS)
def test_parts_that_would_train_something_else_are_refused(name, threads):
    """With the reason, and everything is as it was."""
    *case, why = OTHERS[name]
    model, loss_of, batch = a_case(*case)
    before = repr(tx.random.default_generator()), random.getstate(), np.random.get_state()[1].sum()
    held = {k: v.numpy().copy() for k, v in model.state_dict().items()}
    with pytest.raises(ArgumentError, match=f"(?s)threads={threads} would train.*{why}"):
        prepared(threads, model, loss_of, batch)
    after = repr(tx.random.default_generator()), random.getstate(), np.random.get_state()[1].sum()
    assert after == before and all(p.grad is None for p in model.parameters())
    for key, value in model.state_dict().items():
        assert np.array_equal(value.numpy(), held[key]), key


@pytest.mark.parametrize("name", OTHERS)
def test_the_choice_leaves_them_whole(name, monkeypatch):
    monkeypatch.setattr(parallel, "LARGE", 1)
    monkeypatch.setattr(parallel, "get_num_threads", lambda: 2)
    assert prepared("auto", *a_case(*OTHERS[name][:-1])) == (0, False)


@pytest.mark.parametrize("name", SAME)
def test_parts_that_train_the_same_are_taken(name):
    assert prepared(2, *a_case(*SAME[name])) == (2, True)


def test_what_comes_later_is_looked_at_too():
    """A batch of another structure at once; padding that begins later, at the next look."""
    model, loss_of, batch = a_case(*SAME["a mean"])
    padded = batch[0], tx.asarray(PADDED)
    with Parallel(model, 2) as runner:
        for _ in range(3):
            runner.prepare(loss_of, batch)
        with pytest.raises(ArgumentError, match="ignore_index"):
            runner.prepare(loss_of, padded)
    with Parallel(model, 2) as runner:
        for _ in range(4):
            runner.prepare(loss_of, batch)
        with pytest.raises(ArgumentError, match="ignore_index"):
            runner.prepare(
                lambda b: loss_of((b["x"], b["y"])), dict(zip("xy", padded, strict=True))
            )


@pytest.mark.parametrize(
    "loss", [F.cross_entropy, lambda x, y: F.nll_loss(F.log_softmax(x, -1), y)]
)
def test_padding_is_seen_in_every_batch(loss):
    """Also in batches that are not compared."""
    tx.manual_seed(0)
    model = plain()
    loss_of = lambda b: loss(model(b[0]), b[1])  # noqa: E731
    batches = [(tx.asarray(X), tx.asarray(y)) for y in (Y, Y, PADDED)]
    trainer = Trainer(model, tx.optim.SGD(model.parameters()), threads=2, stream=io.StringIO())
    with pytest.raises(ArgumentError, match=r"is weighted \(ignore_index=-100\), so the means"):
        trainer.fit(batches, loss_of, 3)
    assert trainer.done == 2
    alone = Trainer(model, tx.optim.SGD(model.parameters()), stream=io.StringIO())
    assert alone.fit(batches, loss_of, 3).steps == 3


def test_a_loss_that_is_learned_to_the_last_digit_is_no_other():
    """There the gradients are rounding alone, of the whole and of the parts."""
    tx.manual_seed(0)
    model = nn.Linear(3, 1)
    x = tx.asarray(X)
    loss_of = lambda b: F.mse_loss(model(b), b @ tx.ones((3, 1)))  # noqa: E731
    trainer = Trainer(
        model, tx.optim.SGD(model.parameters(), lr=0.3), threads=2, stream=io.StringIO()
    )
    assert trainer.fit([x], loss_of, 600).loss < 1e-12


@pytest.mark.parametrize("name", OTHERS)
def test_a_trainer_takes_the_step_of_a_loop_unasked(name, monkeypatch):
    """With threads to be had and a model that counts as large, to the bit."""
    monkeypatch.setattr(parallel, "LARGE", 1)
    before = tx.get_num_threads()
    ends = []
    try:
        tx.set_num_threads(2)
        for by_hand in (True, False):
            random.seed(0)
            model, loss_of, batch = a_case(*OTHERS[name][:-1])
            optimizer = tx.optim.SGD(model.parameters(), lr=0.5)
            if by_hand:
                for _ in range(3):
                    optimizer.zero_grad()
                    loss_of(batch).backward()
                    optimizer.step()
            else:
                Trainer(model, optimizer, stream=io.StringIO()).fit([batch] * 3, loss_of, 3)
            ends.append([x.numpy().tobytes() for x in model.state_dict().values()])
    finally:
        tx.set_num_threads(before)
    assert ends[0] == ends[1]


@pytest.mark.parametrize("threads", [0, -1, 1.5, "2", True])
def test_a_number_of_threads_is_checked(threads):
    model = nn.Linear(1, 1)
    refusals = (
        lambda: Parallel(model, threads),
        lambda: Trainer(model, tx.optim.SGD(model.parameters()), threads=threads),
        lambda: tx.set_num_threads(threads),
    )
    for refuse in refusals:
        with pytest.raises(ArgumentError, match="whole number from 1 up"):
            refuse()


def test_threads_are_set_and_restored():
    backend = tx.backends.get("numpy")
    before = backend.get_threads()
    if before is None:
        pytest.skip("NumPy has another BLAS here than its wheels bring")
    tx.set_num_threads(2)
    assert tx.get_num_threads() == 2
    with Parallel(nn.Linear(1, 1), 1):
        assert backend.get_threads() == 1
        assert tx.get_num_threads() == 2  # those that there are without it
    assert tx.get_num_threads() == backend.get_threads() == 2
    tx.set_num_threads(before)


def test_limits_that_overlap_hold_to_the_last():
    """As of Trainers in two threads: the first to come is not the last to go."""
    backend = tx.backends.get("numpy")
    before = backend.get_threads()
    if before is None:
        pytest.skip("NumPy has another BLAS here than its wheels bring")
    tx.set_num_threads(2)
    first, second = (Parallel(nn.Linear(1, 1), 1) for _ in range(2))
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert backend.get_threads() == 1
    tx.set_num_threads(3)  # counts afterwards
    assert backend.get_threads() == 1
    second.__exit__(None, None, None)
    assert backend.get_threads() == tx.get_num_threads() == 3
    tx.set_num_threads(before)


def test_the_error_of_another_blas_says_how_to_limit_it(monkeypatch):
    monkeypatch.setitem(tx.backends.get("numpy").__dict__, "set_threads", lambda n: False)
    with pytest.raises(BackendError, match="OMP_NUM_THREADS before Python starts"):
        tx.set_num_threads(2)


@pytest.mark.parametrize("threads", [1, 2, "auto", None])
def test_a_trainer_learns_the_same(threads):
    model = gpt()
    optimizer = tx.optim.SGD(model.parameters(), lr=0.5)
    trainer = Trainer(model, optimizer, threads=threads, stream=io.StringIO())
    trainer.fit([batch()] * 20, model.loss, 20)
    reference = gpt()
    plain = tx.optim.SGD(reference.parameters(), lr=0.5)
    for _ in range(20):
        plain.zero_grad()
        reference.loss(batch()).backward()
        plain.step()
    for (name, p), q in zip(model.named_parameters(), reference.parameters(), strict=True):
        assert np.abs(p.detach().numpy() - q.detach().numpy()).max() < 1e-10, name
