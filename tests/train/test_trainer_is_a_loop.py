"""The Trainer takes the steps of a loop written by hand: every bit of parameters, gradients,
optimizer state, buffers, averages and random states."""

import io
import random

import numpy as np
import pytest

import tinyxp as tx
from tinyxp import nn
from tinyxp.data import DataLoader, TensorDataset
from tinyxp.nn import functional as F
from tinyxp.optim import lr_scheduler, swa_utils
from tinyxp.random import Generator, default_generator
from tinyxp.train import Run, Trainer

draw = np.random.default_rng(0)
X, Y = draw.normal(size=(40, 6)).astype("float32"), draw.integers(0, 4, 40)
IMAGES = draw.normal(size=(40, 1, 6, 6)).astype("float32")
PADDED = np.where(draw.random(40) < 0.4, -100, Y)
STEPS = draw.normal(size=(40, 5, 6)).astype("float32"), draw.integers(0, 4, (40, 5))
WEIGHTS = np.asarray([0.1, 1.0, 2.0, 5.0], dtype="float32")


def mlp(*more):
    return nn.Sequential(nn.Linear(6, 16), nn.GELU(), *more, nn.Linear(16, 4))


def cnn():
    layers = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(16, 4))


def frozen():
    model = cnn()
    model[1].eval().requires_grad_(False)
    return model


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell, self.out = nn.LSTM(6, 8), nn.Linear(8, 4)

    def forward(self, x):
        return self.out(self.cell(x)[0])


def of_classes(model, **options):
    return lambda batch: F.cross_entropy(model(batch[0]), batch[1], **options)


def of_steps(model):
    return lambda batch: F.cross_entropy(model(batch[0]).flatten(0, 1), batch[1].flatten())


def noisy(model):
    def loss_of(batch):
        noise = 1 + 0.1 * random.random() + 0.1 * np.random.random() + 0.1 * tx.rand(1)
        return F.cross_entropy(model(batch[0] * noise), batch[1])

    return loss_of


MODELS = {
    "mlp": (mlp, of_classes, (X, Y)),
    "convolution and BatchNorm": (cnn, of_classes, (IMAGES, Y)),
    "BatchNorm that is frozen": (frozen, of_classes, (IMAGES, Y)),
    "dropout": (lambda: mlp(nn.Dropout(0.5)), of_classes, (X, Y)),
    "LSTM, time first": (Recurrent, of_steps, STEPS),
    "ignored targets": (mlp, of_classes, (X, PADDED)),
    "class weights": (mlp, lambda m: of_classes(m, weight=tx.asarray(WEIGHTS)), (X, Y)),
    "a sum": (mlp, lambda m: of_classes(m, reduction="sum"), (X, Y)),
    "noise of three sources": (mlp, noisy, (X, Y)),
}
OPTIONS = {
    "plain": {},
    "accumulate": {"accumulate": 3},
    "scheduler": {"scheduler": lambda o: lr_scheduler.CosineAnnealingLR(o, 9)},
    "plateau": {
        "scheduler": lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=0),
        "eval_every": 2,
        "log_every": 1,
    },
    "ema": {"ema": 0.75},
    "grad_clip": {"grad_clip": 0.1},
    "loss_scale": {"loss_scale": 3.0},  # no power of two
    "precision": {"precision": "bfloat16"},
    "looks": {"on_nan": "skip", "log_every": 1, "eval_every": 1},
    "all": {
        "accumulate": 2,
        "scheduler": lambda o: lr_scheduler.StepLR(o, 2),
        "ema": 0.5,
        "grad_clip": 0.5,
        "loss_scale": 2.0**10,
        "eval_every": 3,
    },
}


def begun(name, kind):
    tx.manual_seed(0)
    random.seed(0)
    np.random.seed(0)
    make, loss, data = MODELS[name]
    model = make()
    options = {"AdamW": {}, "SGD": {"momentum": 0.9}}[kind]
    optimizer = getattr(tx.optim, kind)(model.parameters(), lr=0.05, **options)
    data = TensorDataset(*map(tx.asarray, data))
    return model, optimizer, loss(model), DataLoader(data, 12, shuffle=True), data.tensors


def score(model, loss_of, whole):
    """A validation loss, as one computes it by hand."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    with tx.no_grad():
        found = loss_of(whole).item()
    for module, mode in modes:
        module.training = mode
    return found


def by_hand(name, kind, epochs, options):
    model, optimizer, loss_of, loader, whole = begun(name, kind)
    n, scale, ema = options.get("accumulate", 1), options.get("loss_scale"), options.get("ema")
    schedule = options["scheduler"](optimizer) if "scheduler" in options else None
    plateau = isinstance(schedule, lr_scheduler.ReduceLROnPlateau)
    scaler = tx.amp.GradScaler(init_scale=scale, enabled=True) if scale else None
    average = ema and swa_utils.AveragedModel(
        model, multi_avg_fn=swa_utils.get_ema_multi_avg_fn(ema)
    )
    cast = options.get("precision")
    step = waiting = 0
    batches = [(epoch, i) for epoch in range(epochs) for i in range(len(loader))]
    passes = iter([])
    optimizer.zero_grad()
    for number, (_, i) in enumerate(batches, 1):
        passes = iter(loader) if i == 0 else passes
        batch = next(passes)
        with tx.autocast(dtype=cast or "bfloat16", enabled=cast is not None):
            loss = loss_of(batch)
        loss = loss if n == 1 else loss / min(n, len(batches) - (number - 1) // n * n)
        (scaler.scale(loss) if scaler else loss).backward()
        waiting += 1
        if waiting < n and number < len(batches):
            continue
        if scaler:
            scaler.unscale_(optimizer)
        if "grad_clip" in options:
            nn.utils.clip_grad_norm_(model.parameters(), options["grad_clip"])
        if scaler:
            scaler.step(optimizer)
            scaler.update()
        else:
            optimizer.step()
        if schedule is not None and not plateau:
            schedule.step()
        if average is not None:
            average.update_parameters(model)
        step, waiting = step + 1, 0
        due = step % options.get("eval_every", 250) == 0 or number == len(batches)
        if due:
            found = score(model, loss_of, whole)
            if plateau:
                schedule.step(found)
        if number < len(batches):
            optimizer.zero_grad()
    return ended(model, optimizer, schedule, average)


def by_trainer(name, kind, epochs, options, run=None):
    model, optimizer, loss_of, loader, whole = begun(name, kind)
    schedule = options["scheduler"](optimizer) if "scheduler" in options else None
    trainer = Trainer(
        model,
        optimizer,
        evaluate=lambda: loss_of(whole).item(),
        stream=io.StringIO(),
        run=run,
        **options | {"scheduler": schedule},
    )
    trainer.fit(loader, loss_of, epochs=epochs)
    return ended(model, optimizer, schedule, trainer.average)


def ended(model, optimizer, schedule, average):
    """All bits, in words that a failure can show."""
    found = {f"model {k}": v.numpy().tobytes() for k, v in model.state_dict().items()}
    for k, p in model.named_parameters():
        found[f"gradient {k}"] = None if p.grad is None else p.grad.numpy().tobytes()
    for i, values in optimizer.state_dict()["state"].items():
        for k, v in values.items():
            found[f"optimizer {i} {k}"] = v.numpy().tobytes() if isinstance(v, tx.Tensor) else v
    for i, group in enumerate(optimizer.state_dict()["param_groups"]):
        found[f"group {i}"] = repr(group)
    if average is not None:
        found |= {f"average {k}": v.numpy().tobytes() for k, v in average.state_dict().items()}
    found["schedule"] = schedule and repr(schedule.state_dict())
    found["modes"] = [module.training for module in model.modules()]
    found["generator"] = repr(default_generator())
    found["Python's"], found["NumPy's"] = random.getstate(), np.random.get_state()[1].tobytes()
    found["recording"], found["threads"] = tx.is_grad_enabled(), tx.get_num_threads()
    return found


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    assert not [key for key in found if found[key] != expected[key]]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("name", MODELS)
def test_the_same_bits(name, options):
    kind = "SGD" if len(name + options) % 2 else "AdamW"
    given = OPTIONS[options]
    if given.get("ema") and options == "all":
        given = {k: v for k, v in given.items() if k != "eval_every"}  # it would see the average
    assert_same(by_trainer(name, kind, 2, given), by_hand(name, kind, 2, given))


@pytest.mark.parametrize("name", MODELS)
def test_a_run_and_its_checkpoints_change_no_bit(name, tmp_path):
    options = {"save_every": 1, "keep": 2, "log_every": 1}
    found = by_trainer(name, "AdamW", 2, options, Run.create(tmp_path / "run", {}))
    assert_same(found, by_hand(name, "AdamW", 2, {}))


def test_an_autocast_around_it_counts_as_around_a_loop():
    ends = []
    for train in (by_trainer, by_hand):
        make, loss, data = MODELS["mlp"]
        MODELS["cast"] = (make, lambda m, loss=loss: cast(loss(m)), data)
        ends.append(train("cast", "AdamW", 2, {}))
    del MODELS["cast"]
    assert_same(*ends)
    assert ends[0] != by_hand("mlp", "AdamW", 2, {})
    with tx.autocast(dtype="bfloat16"):
        inside = by_trainer("mlp", "AdamW", 2, {})
    assert_same(inside, ends[0])


def cast(loss_of):
    def inside(batch):
        with tx.autocast(dtype="bfloat16"):
            return loss_of(batch)

    return inside


def test_a_loop_of_several_generators():
    """A loader with a generator of its own, and dropout with another."""
    ends = []
    for train in (by_trainer, by_hand):
        own = Generator(5)
        make = lambda own=own: mlp(nn.Dropout(0.3, generator=own))  # noqa: E731
        MODELS["own"] = (make, of_classes, (X, Y))
        ends.append(train("own", "SGD", 3, {}) | {"own": repr(own)})
    del MODELS["own"]
    assert_same(*ends)
