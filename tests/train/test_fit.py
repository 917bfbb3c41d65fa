"""``Trainer.fit``: its arguments, its passes over the batches, its messages."""

import copy
import io

import numpy as np
import pytest

import tinyxp as tx
from tinyxp import nn
from tinyxp.data import DataLoader, Epochs, IterableDataset, RandomWindows
from tinyxp.errors import ArgumentError, DataError, DTypeError
from tinyxp.nn.generation import generate
from tinyxp.nn.modes import evaluation, keep_modes
from tinyxp.optim import SGD, Adam, swa_utils
from tinyxp.optim.lr_scheduler import ReduceLROnPlateau, StepLR
from tinyxp.random import Generator
from tinyxp.train import Run, Trainer, mean_loss

X = tx.asarray(np.random.default_rng(0).normal(size=(4, 3)).astype("float32"))


def made(**options):
    tx.manual_seed(0)
    model = nn.Linear(3, 1)
    stream = io.StringIO()
    options = {"stream": stream} | options
    trainer = Trainer(model, SGD(model.parameters(), lr=0.1), **options)
    return trainer, lambda x: (model(x) ** 2).mean(), stream


class Once(IterableDataset):
    def __iter__(self):
        return iter([X[0], X[1], X[2]])


# -- arguments -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (lambda loss, loader: (loss, loader, 3), "batches, the first argument of .*got a function"),
        (lambda loss, loader: (nn.Linear(1, 1), loss, 3), "batches, the first .*got a function"),
        (lambda loss, loader: (3, loss, 3), "batches, the first argument .*got a int"),
        (lambda loss, loader: (loader, 3, loss), "loss_of, the second argument .*got a int"),
        (lambda loss, loader: (loader, loader, 3), "loss_of, the second .*got a DataLoader"),
        (lambda loss, loader: (loader, loss, loader), "steps expects a whole .*got 'DataLoader'"),
        (lambda loss, loader: (loader, loss, 0), "steps expects a whole number from 1 up, got 0"),
        (lambda loss, loader: (loader, loss, -3), "steps expects a whole number .*got -3"),
        (lambda loss, loader: (loader, loss, 2.5), "steps expects a whole number .*got 2.5"),
        (lambda loss, loader: (loader, loss, True), "steps expects a whole number .*got True"),
        (lambda loss, loader: (loader, loss), "expected steps or epochs, got neither"),
    ],
)
def test_an_argument_in_the_wrong_place_is_named(arguments, message):
    trainer, loss_of, _ = made()
    with pytest.raises(ArgumentError, match=message):
        trainer.fit(*arguments(loss_of, DataLoader([X[0]], 1)))
    assert trainer.done == 0


NET = nn.Linear(3, 1)
ADAM = Adam(NET.parameters())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Trainer(ADAM, NET), "^model, the first of .* is a tx.nn.Module, got a Adam"),
        (
            lambda: Trainer(nn.Linear, ADAM),
            "^model, .*got the class Linear; make an obj",
        ),
        (lambda: Trainer(NET.parameters(), ADAM), "^model, .*got a generator, such as model.param"),
        (lambda: Trainer(NET, "adam"), "^optimizer, the second .*Adam.model.*got 'adam'"),
        (lambda: Trainer(NET, None), "^optimizer, .*got None"),
        (lambda: Trainer(NET, SGD), "^optimizer, .*got the class SGD; make"),
        (lambda: Trainer(NET, NET.parameters()), "^optimizer, .*got a generator"),
        (lambda: Trainer(nn.Linear(3, 1), ADAM), "^the optimizer holds none of the model's param"),
        (lambda: Trainer(NET, ADAM, run="runs/x"), "^run expects a .*Run.create.*got 'runs/x'"),
        (lambda: Trainer(NET, ADAM, scheduler=StepLR), "^scheduler .*got the class StepLR; make"),
        (lambda: Trainer(NET, ADAM, evaluate=3), "^evaluate expects a function .*got a int"),
        (lambda: Trainer(NET, ADAM, callbacks=3), "^callbacks expects functions .*got a int"),
        (lambda: Trainer(NET, ADAM, callbacks=["x"]), "^callbacks expects functions .*got a list"),
    ],
)
def test_a_wrong_part_of_a_trainer_is_named(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


def test_one_callback_needs_no_list():
    told = []
    trainer, loss_of, _ = made(callbacks=told.append)
    trainer.fit([X], loss_of, 1)
    assert [metrics["step"] for metrics in told] == [1]


@pytest.mark.parametrize("threads", [None, 2])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_wrong_loss_is_named(threads, accumulate):
    for loss, got in ((None, "None"), (0.5, "a float"), ((X.sum(), X), "a tuple")):
        trainer, _, _ = made(threads=threads, accumulate=accumulate)
        with pytest.raises(DTypeError, match=f"^loss_of expects to return the loss .* got {got},"):
            trainer.fit([X], lambda batch, loss=loss: loss, 2)
        assert trainer.done == 0


def test_a_function_that_takes_no_batch_is_no_loss_and_a_score_is_a_number():
    trainer, loss_of, _ = made()
    for wrong in (nn.functional.cross_entropy, nn.CrossEntropyLoss(), lambda: 1.0):
        with pytest.raises(
            ArgumentError, match="^loss_of, .* takes a batch alone, and .* does not"
        ):
            trainer.fit([X], wrong, 2)
    for score in (None, "low", (1.0, 2.0)):
        trainer, loss_of, _ = made(evaluate=lambda score=score: score)
        with pytest.raises(ArgumentError, match="^evaluate expects to return the validation loss"):
            trainer.fit([X], loss_of, 1)


def test_epochs_are_checked_too():
    trainer, loss_of, _ = made()
    for epochs in (0, 1.5, "3"):
        with pytest.raises(ArgumentError, match=f"epochs expects a whole number.*got {epochs!r}"):
            trainer.fit([X], loss_of, epochs=epochs)
    with pytest.raises(ArgumentError, match="expected steps or epochs, got both"):
        trainer.fit([X], loss_of, 3, epochs=3)
    for endless in (Epochs(DataLoader([X])), RandomWindows(np.arange(9), 2, 1, Generator(0))):
        with pytest.raises(ArgumentError, match="has no end, so its epochs cannot be counted"):
            trainer.fit(endless, loss_of, epochs=3)
    assert trainer.fit([X], loss_of, epochs=np.int64(2)).steps == 2


# -- passes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("batches", "how", "steps", "epochs"),
    [
        (lambda: [X] * 7, {"steps": 17}, 17, 2),
        (lambda: [X] * 7, {"steps": 14}, 14, 2),
        (lambda: [X] * 7, {"epochs": 3}, 21, 3),
        (lambda: DataLoader([X[0]] * 7, 2), {"epochs": 3}, 12, 3),
        (lambda: DataLoader([X[0]] * 7, 2), {"steps": 9}, 9, 2),
        (lambda: DataLoader(Once(), 2), {"epochs": 3}, 6, 3),  # of unknown length
        (lambda: DataLoader(Once(), 2), {"steps": 5}, 5, 2),
        (lambda: iter([X] * 7), {"epochs": 1}, 7, 1),
        (lambda: iter([X] * 7), {"steps": 7}, 7, 0),
        (lambda: Epochs(DataLoader([X[0]] * 3)), {"steps": 8}, 8, None),
    ],
)
def test_passes(batches, how, steps, epochs):
    scores = []
    trainer, loss_of, stream = made(evaluate=lambda: scores.append(trainer.done) or 1.0)
    found = trainer.fit(batches(), loss_of, **how)
    assert (found.steps, found.epochs) == (steps, epochs) == (trainer.done, epochs)
    assert scores == [steps] and found.validation == 1.0  # at the end, however it was known
    last = stream.getvalue().splitlines()[-1]
    assert last == str(found)
    kind, number = next(iter(how.items()))
    assert found.ended == f"{number} {kind[:-1] if number == 1 else kind} done"


def test_steps_of_several_batches_in_passes():
    """The last step takes the remaining batches."""
    for batches in ([X] * 5, DataLoader(Once(), 1)):
        trainer, loss_of, _ = made(accumulate=2)
        assert trainer.fit(batches, loss_of, epochs=3).steps == (8 if batches == [X] * 5 else 5)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_an_iterator_that_ends_too_early_is_an_error(accumulate, tmp_path):
    """After the steps that it had are saved."""
    run = Run.create(tmp_path / "run", {})
    trainer, loss_of, _ = made(run=run, accumulate=accumulate)
    with pytest.raises(
        DataError, match="the batches ended after step 4 of 9 steps: an iterator can"
    ):
        trainer.fit(iter([X] * 4 * accumulate), loss_of, 9)
    assert run.checkpoints().latest()[0] == 4
    trainer, loss_of, _ = made(accumulate=2)
    with pytest.raises(DataError, match="the batches ended within a step, after 1 of 2"):
        trainer.fit(iter([X] * 5), loss_of, 9)
    trainer, loss_of, _ = made()
    with pytest.raises(DataError, match="of 3 epochs: an iterator can be used once only"):
        trainer.fit(iter([X] * 2), loss_of, epochs=3)


@pytest.mark.parametrize(
    "empty",
    [[], iter(()), DataLoader([], 2), DataLoader([X[0]] * 3, 5, drop_last=True)],
    ids=["list", "iter", "loader", "drop_last"],
)
def test_no_batch_at_all_is_an_error(empty):
    trainer, loss_of, _ = made()
    for how in ({"steps": 3}, {"epochs": 5}):
        with pytest.raises(DataError, match="fit got no batches: .*drop_last"):
            trainer.fit(empty, loss_of, **how)


def test_what_is_done_is_not_done_again(tmp_path):
    """Steps count all that was done; epochs that of a run that is resumed."""
    run = Run.create(tmp_path / "run", {})
    trainer, loss_of, _ = made(run=run)
    trainer.fit([X] * 3, loss_of, epochs=2)
    again = made(run=Run(run.folder, resumed=True))[0]
    for one, how, said in (
        (trainer, {"steps": 6}, "6 steps done already"),
        (again, {"epochs": 2}, "2 epochs done already"),
    ):
        found = one.fit([X] * 3, lambda x: pytest.fail("it trains"), **how)
        assert (found.steps, found.epochs, found.ended) == (6, 2, said)
    further, loss_of, _ = made(run=Run(run.folder, resumed=True))
    assert further.fit([X] * 3, loss_of, epochs=3).steps == 9


@pytest.mark.parametrize("batches", [[X] * 3, DataLoader([X[0]] * 6, 2), DataLoader(Once(), 1)])
def test_a_fit_for_epochs_within_a_loop_goes_on(batches, tmp_path):
    """As model.fit(epochs=1) does elsewhere; also over other batches, and after steps."""
    run = Run.create(tmp_path / "run", {})
    trainer, loss_of, _ = made(run=run)
    for epoch in (1, 2, 3):
        found = trainer.fit(batches, loss_of, epochs=1)
        said = f"{epoch} epoch{'s' * (epoch > 1)} done"
        assert (found.steps, found.epochs, found.ended) == (3 * epoch, epoch, said)
    # the same loop in a new program does not repeat the steps
    again, loss_of, _ = made(run=Run(run.folder, resumed=True))
    found = [again.fit(batches, loss_of, epochs=1) for _ in range(5)]
    assert [(s.steps, s.epochs) for s in found] == [(9, 3)] * 3 + [(12, 4), (15, 5)]
    trainer, loss_of, _ = made(run=Run(run.folder, resumed=True))
    assert trainer.fit(batches, loss_of, 16).epochs == 5


def test_a_loss_is_shown_with_the_step_where_it_was_read():
    trainer, loss_of, stream = made(log_every=10)
    values = []
    trainer.callbacks = [values.append]
    trainer.fit([X], loss_of, 20)
    notes = {told["step"]: f"loss {told['loss']:.3f}" for told in values}
    lines = stream.getvalue().splitlines()
    assert lines[0].startswith(f"step 2/20 (step 1: {notes[1]}) ")
    assert lines[4].startswith(f"step 10/20 {notes[10]} ")
    assert lines[5].startswith(f"step 12/20 (step 10: {notes[10]}) ")


def test_a_resumed_run_goes_on_within_a_pass(tmp_path):
    ends = []
    for cut in (None, 2, 3, 5):
        folder = tmp_path / str(cut)
        draws = DataLoader(list(X), 1, shuffle=True, generator=Generator(3))
        trainer, loss_of, _ = made(run=Run.create(folder, {}), save_every=1)
        if cut:
            trainer.fit(draws, loss_of, cut)
            draws = DataLoader(list(X), 1, shuffle=True, generator=Generator(3))
            trainer, loss_of, _ = made(run=Run(folder, resumed=True))
        found = trainer.fit(draws, loss_of, epochs=3)
        ends.append((found.steps, found.epochs, found.loss, trainer.model.weight.tolist()))
    assert ends[1:] == ends[:1] * 3 and ends[0][:2] == (12, 3)


# -- the summary -----------------------------------------------------------------------------------


def test_a_summary_says_what_was_done():
    trainer, loss_of, stream = made(label="line", log_every=2)
    found = trainer.fit([X] * 2, loss_of, epochs=2)
    assert found.loss > 0 and found.validation is None and found.seconds > 0
    assert str(found) in stream.getvalue()
    assert repr(found).startswith("Summary(steps=4, epochs=2, loss=0.")
    with pytest.raises(AttributeError):
        found.steps = 3
    trainer, loss_of, _ = made(max_seconds=1e-9)
    assert trainer.fit([X], loss_of, 9).ended == "1e-09 seconds are over"


# -- a schedule that waits -------------------------------------------------------------------------


def test_reduce_on_plateau_follows_the_validation_loss(tmp_path):
    """Also in a run that is resumed."""
    rates = []
    for cut in (None, 5):
        scores = iter([3.0, 3.0, 3.0, 2.0, 2.5, 2.5] if cut is None else [3.0, 3.0])
        folder = tmp_path / str(cut)

        def trained(run, scores, steps):
            tx.manual_seed(0)
            model = nn.Linear(3, 1)
            optimizer = SGD(model.parameters(), lr=1e-3)
            schedule = ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
            trainer = Trainer(
                model, optimizer, scheduler=schedule, evaluate=lambda: next(scores), eval_every=2,
                run=run, stream=io.StringIO(), save_every=1,
            )  # fmt: skip
            trainer.fit([X], lambda x: model(x).mean(), steps)
            return optimizer.param_groups[0]["lr"], schedule.best, schedule.last_epoch

        run = Run.create(folder, {})
        if cut:
            trained(run, iter([3.0, 3.0, 3.0]), 5)  # and one at its end
            run.checkpoints().path(5).unlink()  # as if it had been killed
            scores, run = iter([3.0, 2.0, 2.5, 2.5]), Run(folder, resumed=True)
        rates.append(trained(run, scores, 12))
    assert rates[0] == rates[1] == (0.25e-3, 2.0, 6)


def test_schedules_that_cannot_be_stepped_are_refused_at_once():
    model = nn.Linear(3, 1)
    optimizer = SGD(model.parameters(), lr=0.1)
    other = SGD(nn.Linear(1, 1).parameters(), lr=0.1)
    for schedule, options, message in (
        (ReduceLROnPlateau(optimizer), {}, "steps by the validation loss: pass evaluate="),
        (ReduceLROnPlateau(optimizer, "max"), {"evaluate": lambda: 1.0}, "where lower is better"),
        (StepLR(other, 2), {}, "the scheduler is of another optimizer"),
        ([StepLR(optimizer, 2)], {}, "expects one schedule .*got a list; ChainedScheduler"),
    ):
        with pytest.raises(ArgumentError, match=message):
            Trainer(model, optimizer, scheduler=schedule, **options)
    with pytest.raises(ArgumentError, match="patience waits for a better validation loss"):
        Trainer(model, optimizer, patience=3)


# -- modes come back -------------------------------------------------------------------------------


class Speaker(nn.Module):
    """A model of symbols with a part that is frozen in evaluation mode."""

    block_size = 8

    def __init__(self):
        super().__init__()
        self.embed, self.norm = nn.Embedding(5, 5), nn.BatchNorm1d(5).eval()
        self.drop = nn.Dropout(0.5)

    def forward(self, ids):
        return self.drop(self.norm(self.embed(ids).flatten(0, 1))).reshape(*ids.shape, 5)

    def loss(self, batch):
        return self(batch[0]).mean()


def fitted(model):
    trainer = Trainer(model, SGD(model.parameters()), evaluate=lambda: 1.0, stream=io.StringIO())
    trainer.fit([tx.zeros((2, 3), dtype=tx.int64)], lambda x: model.loss((x,)), 3)


def failing(model):
    with pytest.raises(KeyboardInterrupt), evaluation(model):
        raise KeyboardInterrupt


def failing_within_fit(model):
    def interrupted():
        raise KeyboardInterrupt

    trainer = Trainer(
        model, SGD(model.parameters()), evaluate=interrupted, ema=0.5, stream=io.StringIO()
    )
    before = {name: p.array for name, p in model.named_parameters()}
    with pytest.raises(KeyboardInterrupt):
        trainer.fit([tx.zeros((2, 3), dtype=tx.int64)], lambda x: model.loss((x,)) * 0, 1)
    assert all(np.array_equal(p.array, before[name]) for name, p in model.named_parameters())


USES = {
    "fit": fitted,
    "an error": failing,
    "an error in evaluate": failing_within_fit,
    "mean_loss": lambda model: mean_loss(model, [(tx.zeros((2, 3), dtype=tx.int64),)]),
    "generate": lambda model: generate(model, [1, 2], 3, generator=Generator(0)),
    "summary": lambda model: nn.summary(model, tx.zeros((2, 3), dtype=tx.int64)),
    "a frozen copy": lambda model: copy.deepcopy(model),
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.filterwarnings("ignore:the model is in evaluation mode")
def test_every_module_keeps_its_mode(use, whole):
    model = Speaker()
    if not whole:
        model.eval()
        model.drop.train()
    modes = [module.training for module in model.modules()]
    statistics = model.norm.running_mean.numpy().copy()
    threads = tx.get_num_threads()
    USES[use](model)
    assert [module.training for module in model.modules()] == modes
    assert np.array_equal(model.norm.running_mean.numpy(), statistics)
    assert tx.is_grad_enabled() and tx.get_num_threads() == threads


def test_new_statistics_keep_the_modes():
    """They are computed in training mode; frozen modules are in evaluation mode afterwards."""
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3).eval(), nn.Dropout(0.5))
    swa_utils.update_bn([X], model)
    assert [module.training for module in model.modules()] == [True, True, False, True]
    with pytest.raises(ZeroDivisionError):
        swa_utils.update_bn((1 / 0 for _ in range(1)), model)
    assert [module.training for module in model.modules()] == [True, True, False, True]
    assert model[1].momentum == 0.1
    with keep_modes(model):
        model.eval()
    assert model.training


def test_a_model_in_evaluation_mode_is_reported():
    trainer, loss_of, _ = made()
    trainer.model.eval()
    with pytest.warns(UserWarning, match="the model is in evaluation mode and is trained in it"):
        trainer.fit([X], loss_of, 1)
    assert not trainer.model.training
