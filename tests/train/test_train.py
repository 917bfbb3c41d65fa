"""The Trainer: its options beside the same thing by hand; runs that are stopped and resumed."""

import csv
import itertools
import json
import math
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import tinyxp as tx
from tinyxp import nn
from tinyxp.data import DataLoader, Dataset, Epochs, RandomWindows, WeightedRandomSampler
from tinyxp.errors import ArgumentError, DataError
from tinyxp.nn import functional as F
from tinyxp.random import Generator
from tinyxp.selftest import training
from tinyxp.selftest.kill import fingerprint
from tinyxp.train import Run, Trainer
from tinyxp.train.callbacks import CSV, JSONLines
from tinyxp.train.interrupts import Stopped
from tinyxp.train.step import Step


class Nowhere:
    def write(self, text):
        pass

    def flush(self):
        pass

    def isatty(self):
        return False


def made(**options):
    """A model, its trainer, and batches for a line to be learnt."""
    tx.manual_seed(0)
    model = nn.Linear(3, 1)
    options = {"stream": Nowhere()} | options
    trainer = Trainer(model, tx.optim.SGD(model.parameters(), lr=0.1), **options)
    draw = Generator(1)
    batches = [(x, x.sum(axis=1, keepdims=True)) for x in (draw.normal((4, 3)) for _ in range(60))]
    return model, trainer, batches, lambda batch: F.mse_loss(model(batch[0]), batch[1])


def values(model):
    return [p.detach().numpy() for p in model.parameters()]


def assert_equal(a, b, tolerance=0.0):
    for x, y in zip(values(a), values(b), strict=True):
        np.testing.assert_allclose(x, y, atol=tolerance, rtol=tolerance)


# -- options --------------------------------------------------------------------------------------


def test_accumulated_batches_are_one_large_one():
    model, trainer, batches, loss_of = made(accumulate=3)
    trainer.fit(batches, loss_of, 5)
    other, trainer, batches, loss_of = made()
    joined = [
        tuple(tx.concat([b[i] for b in batches[k : k + 3]]) for i in (0, 1))
        for k in range(0, 15, 3)
    ]
    trainer.fit(joined, loss_of, 5)
    assert_equal(model, other, 1e-6)


def test_batches_are_run_through_as_often_as_it_takes():
    model, trainer, batches, loss_of = made()
    found = trainer.fit(batches[:3], loss_of, 10)
    assert (found.steps, found.epochs, found.ended) == (10, 3, "10 steps done")
    other, trainer, batches, loss_of = made()
    trainer.fit((batches[:3] * 4)[:10], loss_of, 10)
    assert_equal(model, other)


def test_ema_is_the_average_of_its_formula():
    """And evaluation sees the average, training the model's own weights."""
    seen = []
    model, trainer, batches, loss_of = made(
        ema=0.5, evaluate=lambda: seen.append(model.bias.item()) or 0.0, eval_every=1, log_every=1
    )
    biases = []
    trainer.fit(batches, lambda b: (biases.append(model.bias.item()), loss_of(b))[1], 4)
    biases = [*biases[1:], model.bias.item()]
    average = biases[0]
    expected = [average := b if i == 0 else 0.5 * average + 0.5 * b for i, b in enumerate(biases)]
    assert seen == pytest.approx(expected, rel=1e-6)
    assert seen[-1] != model.bias.item() == biases[-1]
    assert trainer.average.module.bias.item() == pytest.approx(expected[-1])


def test_early_stopping():
    scores = iter([3.0, 2.0, 2.5, 2.5, 2.5, 1.0])
    _model, trainer, batches, loss_of = made(
        evaluate=lambda: next(scores), eval_every=2, log_every=1, patience=3
    )
    found = trainer.fit(batches, loss_of, 50)
    assert found.validation == 2.5 and found.ended == "no better validation loss in 3 evaluations"
    assert trainer.done == found.steps == 10 and trainer.best == 2.0


def test_a_budget_of_time(monkeypatch):
    _model, trainer, batches, loss_of = made(max_seconds=0.05)
    trainer.fit(batches, lambda b: (time.sleep(0.02), loss_of(b))[1], 50)
    assert 1 <= trainer.done <= 4 and not trainer.ended
    _model, trainer, batches, loss_of = made(
        max_seconds=0.05, evaluate=lambda: time.sleep(0.02) or 1.0, eval_every=1
    )
    trainer.fit(batches, loss_of, 50)  # the time of evaluation is time too
    assert 1 <= trainer.done <= 4


def test_callbacks_get_the_metrics():
    lines = []
    _model, trainer, batches, loss_of = made(callbacks=[lines.append], log_every=2, label="line")
    trainer.fit(batches, loss_of, 5)
    assert [line["step"] for line in lines] == [1, 2, 4, 5]
    assert all(line["line loss"] > 0 for line in lines)


def test_metrics_as_lines_tables_and_curves(tmp_path):
    log, table = JSONLines(tmp_path / "a.jsonl"), CSV(tmp_path / "a.csv")
    scores = iter([0.5, 0.25])
    _, trainer, batches, loss_of = made(
        callbacks=[log, table], log_every=1, evaluate=lambda: next(scores), eval_every=2
    )
    trainer.fit(batches, loss_of, 4)
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    with open(tmp_path / "a.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [line["step"] for line in lines] == [1, 2, 3, 4] == [int(row["step"]) for row in rows]
    assert [float(row["loss"]) for row in rows] == [line["loss"] for line in lines]
    assert [row["validation loss"] for row in rows] == ["", "0.5", "", "0.25"]
    CSV(tmp_path / "a.csv")({"step": 5, "more": 1})  # another one continues the table
    with open(tmp_path / "a.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert [row["more"] for row in rows] == ["", "", "", "", "1"]
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe")
    for log in (JSONLines(tmp_path / "absent" / "a.jsonl"), CSV(tmp_path / "b.csv")):
        with pytest.raises(DataError, match="cannot write .*[ab].(jsonl|csv)"):
            log({"step": 1})


def test_curves_for_tensorboard(tmp_path):
    pytest.importorskip("tensorboardX", reason="pip install tensorboardX")
    from tinyxp.train.callbacks import TensorBoard

    log = TensorBoard(tmp_path)
    log({"step": 3, "loss": 0.5, "tokens/s": 7, "odd": float("nan")})
    log.writer.close()
    (file,) = tmp_path.iterdir()
    data = file.read_bytes()
    assert b"loss" in data and b"tokens/s" in data and b"odd" not in data


@pytest.mark.parametrize("option", ["accumulate", "patience", "save_every", "log_every", "keep"])
def test_wrong_options_are_named(option):
    with pytest.raises(ArgumentError, match=f"{option} expects a whole number from 1 up, got 0"):
        made(**{option: 0})
    with pytest.raises(ArgumentError, match="on_nan expects 'stop' or 'skip', got 'hope'"):
        made(on_nan="hope")
    for wrong in ({"grad_clip": -1.0}, {"max_seconds": 0}, {"loss_scale": math.inf}, {"ema": 1.5}):
        with pytest.raises(ArgumentError, match=f"{next(iter(wrong))} expects a .* got"):
            made(**wrong)


# -- losses that are NaN or Inf --------------------------------------------------------------------


def spoilt(loss_of, steps, how):
    """``loss_of`` that goes wrong at some steps."""
    count = iter(range(1, 1000))
    return lambda batch: how(loss_of(batch)) if next(count) in steps else loss_of(batch)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_nan_stops_and_names_the_operation():
    _model, trainer, batches, loss_of = made()
    with pytest.raises(
        DataError, match=r"at step 3 the loss is (nan|-?inf): log made (NaN|Inf) at .*test_train"
    ):
        trainer.fit(
            batches, lambda b: loss_of(b) if trainer.done < 2 else tx.log(loss_of(b) * 0), 9
        )
    assert trainer.done == 2


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_weights_that_were_lost_are_named():
    _model, trainer, batches, loss_of = made()
    trainer.optimizer.param_groups[0]["lr"] = 3e38
    with pytest.raises(DataError, match="because weight, bias became NaN or Inf in the step bef"):
        trainer.fit(batches, loss_of, 9)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("capture", [False, True])
@pytest.mark.parametrize(
    ("value", "place", "said"),
    [(math.nan, (2, 1), r"NaN \(array 1, row 2\)"), (math.inf, (0, 0), r"Inf \(array 1, row 0\)")],
)
def test_a_batch_that_holds_a_nan_is_named(value, place, said, capture):
    model = tx.nn.Linear(2, 1)
    x = np.ones((4, 2), "float32")
    x[place] = value
    trainer = Trainer(model, tx.optim.SGD(model.parameters()), capture=capture, stream=Nowhere())
    loss = lambda b: ((model(b[0]) - b[1]) ** 2).mean()  # noqa: E731
    good, bad = ((tx.asarray(a), tx.zeros((4, 1))) for a in (np.ones((4, 2), "float32"), x))
    with pytest.raises(DataError, match=f"because the batch already holds {said}; fix the data"):
        trainer.fit([good] * 9 + [bad], loss, epochs=1)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_loss_that_diverged_is_reported():
    _model, trainer, batches, loss_of = made()
    trainer.optimizer.param_groups[0]["lr"] = 1e6
    with pytest.raises(DataError, match="the loss diverged: weight holds .* lower the learning r"):
        trainer.fit(batches, loss_of, 9)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("how", [lambda loss: loss * math.nan, lambda x: tx.sqrt(x - x.detach())])
def test_skipping_leaves_out_the_step(how):
    """Where the loss is NaN, and where only the gradient is infinite."""
    model, trainer, batches, loss_of = made(on_nan="skip")
    trainer.fit(batches, spoilt(loss_of, {2, 3}, how), 6)
    other, trainer, batches, loss_of = made()
    trainer.fit([batches[i] for i in (0, 3, 4, 5)], loss_of, 4)
    assert_equal(model, other)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_gradient_of_nan_stops_and_names_the_operation():
    """Where the loss itself is finite; and the weights are those of the step before."""
    model, trainer, batches, loss_of = made()
    trap = spoilt(loss_of, {3, 4}, lambda loss: loss + tx.sqrt(loss - loss.detach()))
    with pytest.raises(
        DataError,
        match=r"at step 3 a gradient is NaN or Inf: the gradient of sqrt, called at .*test_train",
    ):
        trainer.fit(batches, trap, 9)
    assert trainer.done == 2
    other, trainer, batches, loss_of = made()
    trainer.fit(batches, loss_of, 2)
    assert_equal(model, other)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("policy", ["stop", "skip"])
def test_weights_of_nan_are_not_saved(policy, tmp_path):
    run = Run.create(tmp_path / "run", {})
    _model, trainer, batches, loss_of = made(run=run, save_every=1, on_nan=policy)

    def loss_and_leap(batch):
        if trainer.done == 4:
            trainer.optimizer.param_groups[0]["lr"] = math.inf
        return loss_of(batch)

    with pytest.raises(DataError, match="weight, bias became NaN or Inf in step 5, which is no"):
        trainer.fit(batches, loss_and_leap, 9)
    assert run.checkpoints().latest()[0] == 4


def test_large_gradients_are_numbers():
    """Their squares are Inf in float32."""
    _model, trainer, batches, loss_of = made()
    trainer.optimizer.param_groups[0]["lr"] = 0.0
    trainer.fit(batches, lambda batch: loss_of(batch) * 1e30, 2)
    assert trainer.done == 2


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_step_that_is_left_out_leaves_no_trace_in_buffers():
    tx.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    optimizer = tx.optim.SGD(model.parameters(), lr=0.1)
    trainer = Trainer(model, optimizer, on_nan="skip", stream=Nowhere())
    x = Generator(0).normal((5, 3))
    trainer.fit([x, x * math.nan], lambda x: model(x).square().sum(), 2)
    assert model[1].num_batches_tracked.item() == 1
    assert all(np.isfinite(b.numpy()).all() for b in model.buffers())


def test_an_evaluation_of_nan_is_not_the_best(tmp_path):
    scores = iter([math.nan, 2.0, math.nan, 1.0, 3.0])
    run = Run.create(tmp_path / "run", {})
    _model, trainer, batches, loss_of = made(
        run=run, evaluate=lambda: next(scores), eval_every=2, save_every=99
    )
    trainer.fit(batches, loss_of, 10)
    assert trainer.best == 1.0
    assert run.checkpoints().steps() == [4, 8, 10]  # the bests, and the end


def test_evaluation_comes_when_it_is_due():
    """Also between logged steps; it may return a tensor."""
    lines = []
    _model, trainer, batches, loss_of = made(
        evaluate=lambda: tx.asarray(float(trainer.done)),
        eval_every=3,
        log_every=5,
        callbacks=[lines.append],
    )
    assert trainer.fit(batches, loss_of, 7).validation == 7.0
    assert [line["step"] for line in lines] == [1, 3, 5, 6, 7]
    assert [line["validation loss"] for line in lines if len(line) > 2] == [3.0, 6.0, 7.0]


def test_skipping_has_an_end():
    _model, trainer, batches, loss_of = made(on_nan="skip")
    with pytest.raises(DataError, match="100 steps in a row had no finite gradient"):
        trainer.fit(batches * 9, lambda batch: loss_of(batch) * math.nan, 500)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_loss_scale_changes_no_step_and_is_halved_when_it_is_too_large():
    model, trainer, batches, loss_of = made(loss_scale=2.0**10)
    trainer.fit(batches, loss_of, 6)
    other, plain, batches, loss_of = made()
    plain.fit(batches, loss_of, 6)
    assert_equal(model, other)  # powers of two are exact
    model, trainer, batches, loss_of = made(loss_scale=2.0**130)
    trainer.fit(batches, loss_of, 20)
    assert trainer.loss_scale < 2.0**128 and trainer.skipped == 0
    assert all(np.isfinite(x).all() for x in values(model))


# -- checkpoints and resuming ---------------------------------------------------------------------


def ended(folder, **options):
    """Train the selftest's model in ``folder`` to the end."""
    return training.train(Run.create(folder, {"model": "selftest"}), **options)


class Fall(Exception):
    pass


@pytest.mark.parametrize("step", [1, 4, 5, 17, 39, 40])
def test_a_run_that_fell_ends_with_the_same_bits(step, backend, tmp_path, monkeypatch):
    """At several places of an epoch, which has 4.5 steps; on every backend."""
    if backend != "numpy" and step != 17:
        pytest.skip("slow, and shown on numpy")
    ended(tmp_path / "whole", save_every=3)

    def fall(self):
        if self.options.scheduler.last_epoch == step - 1:
            raise Fall
        update(self)

    update = Step.update
    with monkeypatch.context() as patch:
        patch.setattr(Step, "update", fall)
        with pytest.raises(Fall):
            ended(tmp_path / "fell", save_every=3)
    tx.randn(3)  # the state of the generators is another by now
    training.train(
        Run.create(Run(tmp_path / "fell", resumed=True), {"model": "selftest"}), save_every=3
    )
    assert fingerprint(tmp_path / "fell") == fingerprint(tmp_path / "whole")


def test_a_finished_run_is_only_read_again(tmp_path, monkeypatch):
    net = ended(tmp_path / "run")
    monkeypatch.setattr(Step, "update", lambda self: pytest.fail("it trains again"))
    again = training.train(Run.create(Run(tmp_path / "run", resumed=True), {"model": "selftest"}))
    assert_equal(net, again)


def test_batches_without_a_state_are_passed_over(tmp_path):
    models = []
    for steps in ((6,), (4, 6)):
        for i, last in enumerate(steps):
            folder = tmp_path / str(len(steps))
            run = Run.create(Run(folder, resumed=True) if i else folder, {})
            model, trainer, batches, loss_of = made(run=run, save_every=1)
            if last < 6:  # a program that gives too few, and is mended
                with pytest.raises(
                    DataError, match="the batches ended after step 4 of 6 steps: an"
                ):
                    trainer.fit(iter(batches[:last]), loss_of, 6)
            else:
                trainer.fit(iter(batches), loss_of, 6)
        models.append(model)
    assert_equal(*models)


def test_a_run_with_another_configuration_is_refused(tmp_path):
    Run.create(tmp_path / "run", {"model": "x", "steps": 3})
    with pytest.raises(DataError, match="was begun with another steps, text; restore it"):
        Run.create(Run(tmp_path / "run", resumed=True), {"model": "x", "text": "a"})


def test_another_backend_goes_on_with_a_warning(tmp_path):
    pytest.importorskip("array_api_strict", reason="needs a second backend")
    ended(tmp_path / "run")
    for step in (39, 40):
        (tmp_path / "run" / "checkpoints" / f"step-{step:08d}.safetensors").unlink()
    with (
        tx.backend("strict"),
        pytest.warns(UserWarning, match="backend .numpy.* is now .strict"),
    ):
        again = training.train(
            Run.create(Run(tmp_path / "run", resumed=True), {"model": "selftest"})
        )
    assert next(again.parameters()).backend.name == "strict"


def test_other_threads_go_on_with_a_warning(tmp_path):
    ended(tmp_path / "run", steps=4)
    (tmp_path / "run" / "checkpoints" / "step-00000004.safetensors").unlink()
    run = Run(tmp_path / "run", resumed=True)
    _, state = run.checkpoints().latest()
    assert state["config"] == {"model": "selftest"} and "kernels" in state["setting"]["backend"]
    before = tx.get_num_threads()
    try:
        tx.set_num_threads(1 if before > 1 else 2)
        with pytest.warns(UserWarning, match=f"BLAS with {before} thread.* is now .numpy;"):
            training.train(Run.create(run, {"model": "selftest"}), steps=4)
    finally:
        tx.set_num_threads(before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_after_the_step(number, tmp_path):
    run = Run.create(tmp_path / "run", {})
    _model, trainer, batches, loss_of = made(run=run)
    before = signal.getsignal(number)

    def loss_and_signal(batch):
        if trainer.done == 6:
            signal.raise_signal(number)
        return loss_of(batch)

    again = rf"step 7, as asked; continue with the same .*run=Run\('{run.folder}', resumed=True\)"
    with pytest.raises(Stopped, match=again):
        trainer.fit(batches, loss_and_signal, 50)
    assert signal.getsignal(number) is before
    assert run.checkpoints().latest()[0] == 7
    other, trainer, batches, loss_of = made(run=Run.create(Run(run.folder, resumed=True), {}))
    trainer.fit(batches, loss_of, 50)
    whole, trainer, batches, loss_of = made()
    trainer.fit(batches, loss_of, 50)
    assert_equal(other, whole)


@pytest.mark.parametrize("look", range(5, 13))
def test_a_signal_at_any_look_at_the_clock_is_not_lost(look, tmp_path, monkeypatch):
    """Also after the question whether it is time to save."""
    run = Run.create(tmp_path / "run", {})
    _model, trainer, batches, loss_of = made(run=run)
    looks, ticks = iter(range(1000)), time.monotonic

    def clock():
        if next(looks) == look:
            signal.raise_signal(signal.SIGINT)
        return ticks()

    monkeypatch.setattr("tinyxp.train.trainer.time.monotonic", clock)
    with pytest.raises(Stopped) as caught:
        trainer.fit(batches, loss_of, 50)
    assert f"after step {run.checkpoints().latest()[0]}," in str(caught.value)


def test_the_command_resumes(tmp_path):
    """Ctrl-C in the middle of ``tinyxp train``, then ``tinyxp resume``."""
    command = [sys.executable, "-m", "tinyxp"]
    environment = os.environ | {"TINY_BACKEND": "numpy", "TINY_FAST": "0"}
    train = [*command, "train", "mlp", "--name", "a", "--steps", "800"]
    (tmp_path / "whole").mkdir()
    subprocess.run(train, cwd=tmp_path / "whole", env=environment, check=True, capture_output=True)
    process = subprocess.Popen(
        train, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    )
    metrics = tmp_path / "runs" / "a" / "metrics.jsonl"
    while not metrics.exists():
        time.sleep(0.01)
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 128 + signal.SIGINT
    assert re.search(f"continue with: .* resume {re.escape(os.path.join('runs', 'a'))}", said)
    subprocess.run(
        [*command, "resume", "runs/a"],
        cwd=tmp_path,
        env=environment,
        check=True,
        capture_output=True,
    )
    lines = [
        [json.loads(line) for line in (folder / "runs/a/metrics.jsonl").read_text().splitlines()]
        for folder in (tmp_path, tmp_path / "whole")
    ]
    assert lines[0] == lines[1]


# -- batches that remember where they were --------------------------------------------------------


@pytest.mark.parametrize("generator", [None, Generator(3)])
def test_epochs_go_on_in_the_middle(generator):
    def fresh():
        tx.manual_seed(4)
        g = generator and Generator(3)
        return Epochs(DataLoader(list(range(7)), 2, shuffle=True, generator=g))

    whole = fresh()
    expected = [next(whole).tolist() for _ in range(11)]
    first = [i for batch in expected[:4] for i in batch]
    assert sorted(first) == list(range(7)) != first
    for cut in range(11):
        batches = fresh()
        for _ in range(cut):
            next(batches)
        state = json.loads(json.dumps(batches.state_dict()))
        again = fresh()
        again.load_state_dict(state)
        assert [next(again).tolist() for _ in range(11 - cut)] == expected[cut:]


class Noisy(Dataset):
    """Samples of random augmentation."""

    def __len__(self):
        return 7

    def __getitem__(self, i):
        return np.float32(i + np.random.rand())


@pytest.mark.parametrize(
    ("kind", "generator"),
    [
        *itertools.product(["loader", "epochs", "weighted", "evaluated"], [None, Generator(3)]),
        ("sampler", Generator(3)),
    ],
)
def test_a_loader_goes_on_in_the_middle(generator, kind, tmp_path):
    """Also where it draws from the default generator between a model's dropout: the batches of a
    loop by hand, and after a resume those of the run left alone."""

    def run(folder, steps, **options):
        tx.manual_seed(4)
        np.random.seed(4)
        seen, g = [], generator and Generator(3)
        samplers = {"sampler": Shuffled(), "weighted": WeightedRandomSampler([1.0] * 7, 7)}
        sampler = samplers.get(kind)
        loader = DataLoader(Noisy(), 2, sampler=sampler, shuffle=sampler is None, generator=g)
        model = nn.Sequential(nn.Linear(1, 1), nn.Dropout(0.5))

        def loss_of(batch):
            seen.append(batch.tolist())
            return model(batch[:, None]).mean()

        if folder is None:
            for batch in (batch for _ in range(3) for batch in loader):
                loss_of(batch)
            return seen[:steps]
        where = Run(folder, resumed=True) if folder.exists() else Run.create(folder, {})
        if kind == "evaluated":
            options |= {"evaluate": lambda: sum(b.sum().item() for b in loader), "eval_every": 3}
        optimizer = tx.optim.SGD(model.parameters(), lr=0.01)
        trainer = Trainer(model, optimizer, run=where, save_every=1, stream=Nowhere(), **options)
        trainer.fit(Epochs(loader) if kind in ("epochs", "evaluated") else loader, loss_of, steps)
        return seen

    whole = run(tmp_path / "whole", 10)
    if kind in ("loader", "weighted", "sampler"):
        assert whole == run(None, 10)
    for cut in (3, 4, 6):
        folder = tmp_path / f"cut at {cut}"
        assert run(folder, cut) + run(folder, 10) == whole


class Shuffled:
    """A sampler of the user's, which draws from NumPy's numbers."""

    def __iter__(self):
        return iter(np.random.permutation(7).tolist())

    def __len__(self):
        return 7


def test_epochs_of_nothing_end():
    assert list(Epochs(DataLoader([], 2))) == []


def test_random_windows_go_on():
    whole = RandomWindows(np.arange(50), 4, 2, Generator(0))
    next(whole)
    state = whole.state_dict()
    again = RandomWindows(np.arange(50), 4, 2, Generator(9))
    again.load_state_dict(state)
    assert next(again)[0].tolist() == next(whole)[0].tolist()


def test_the_best_evaluation_has_its_checkpoint(tmp_path):
    scores = iter([3.0, 1.0, 2.0, 4.0, 5.0])
    run = Run.create(tmp_path / "run", {})
    _, trainer, batches, loss_of = made(
        run=run, evaluate=lambda: next(scores), eval_every=4, log_every=2, save_every=9, keep=1
    )
    trainer.fit(batches, loss_of, 20)
    assert run.checkpoints().steps() == [8, 20]
    kept = run.checkpoints()
    kept.latest()
    assert kept.best == (1.0, 8)


@pytest.mark.parametrize("name", ["config.json", "metrics.jsonl"])
@pytest.mark.parametrize("data", [b"\xff\xfe\n", b"[" * 100_000 + b"\n", b"{\n", b"no\n", b"[1]\n"])
def test_a_damaged_run_is_reported(name, data, tmp_path):
    run = Run.create(tmp_path / "run", {"model": "x"})
    (run.folder / name).write_bytes(data)
    with pytest.raises(DataError, match=f"{name} is damaged"):
        run.config() if name == "config.json" else run.metrics()


def test_windows_are_drawn_on_the_host_whatever_the_backend(monkeypatch):
    """A GPU would have to be waited for; the windows are the same."""
    pytest.importorskip("array_api_strict")
    with tx.backend("numpy"):
        expected = next(RandomWindows(np.arange(50), 4, 2, Generator(0)))[0].numpy()
    with tx.backend("strict") as strict:
        with monkeypatch.context() as patch:
            patch.setitem(strict.__dict__, "to_numpy", None)
            found = next(RandomWindows(np.arange(50), 4, 2, Generator(0)))[0]
        assert found.backend is strict
        assert np.array_equal(found.numpy(), expected)
