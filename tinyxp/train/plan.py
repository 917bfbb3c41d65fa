"""What a Trainer is asked to do, checked before it begins."""

import inspect
import math
import operator
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from tinyxp.errors import ArgumentError
from tinyxp.nn.module import Module
from tinyxp.optim.lr_scheduler import ReduceLROnPlateau
from tinyxp.train.batches import ENDLESS
from tinyxp.train.run import Run

if TYPE_CHECKING:
    from tinyxp.train.trainer import Trainer


def expect_options(trainer: "Trainer") -> None:
    """Raise ArgumentError for an option of a Trainer that is none."""
    if trainer.on_nan not in ("stop", "skip"):
        raise ArgumentError(f"on_nan expects 'stop' or 'skip', got {trainer.on_nan!r}")
    if (given := trainer.precision) not in (None, "bfloat16", "float16"):
        raise ArgumentError(f"precision expects 'bfloat16', 'float16' or None, got {given!r}")
    for name in ("accumulate", "eval_every", "log_every", "patience", "save_every", "keep"):
        value = getattr(trainer, name)
        if value is not None and (type(value) is not int or value < 1):
            raise ArgumentError(f"{name} expects a whole number from 1 up, got {value!r}")
    for name in ("grad_clip", "max_seconds", "loss_scale"):
        value = getattr(trainer, name)
        if value is not None and not (isinstance(value, (int, float)) and 0 < value < math.inf):
            raise ArgumentError(f"{name} expects a number above 0, got {value!r}")
    if trainer.ema is not None and not (isinstance(trainer.ema, float) and 0 <= trainer.ema < 1):
        raise ArgumentError(f"ema expects a fraction from 0 up to 1, got {trainer.ema!r}")
    _expect_parts(trainer)
    if trainer.patience is not None and trainer.evaluate is None:
        raise ArgumentError("patience waits for a better validation loss: pass evaluate=")
    if trainer.scheduler is not None:
        _expect_schedule(trainer)


def _got(value: Any) -> str:
    """What came, and how to make an object of a class."""
    if isinstance(value, type):
        return f"got the class {value.__name__} itself, of which an object is to be made"
    if inspect.isgenerator(value):
        return "got a generator, such as model.parameters() gives"
    return (
        f"got {value!r}"
        if value is None or isinstance(value, str)
        else f"got a {type(value).__name__}"
    )


def _expect_parts(trainer: "Trainer") -> None:
    model, optimizer, order = trainer.model, trainer.optimizer, "Trainer(model, optimizer, …)"
    if not isinstance(model, Module):
        raise ArgumentError(f"model, the first of {order}, is a tx.nn.Module, {_got(model)}")
    steps = all(callable(getattr(optimizer, name, None)) for name in ("step", "zero_grad"))
    if isinstance(optimizer, type) or not steps:
        raise ArgumentError(
            f"optimizer, the second of {order}, is an optimizer of the model's parameters, such as "
            f"tx.optim.Adam(model.parameters(), lr=1e-3), {_got(optimizer)}"
        )
    ours = {id(p) for p in model.parameters()}
    groups = getattr(optimizer, "param_groups", None)
    if groups is not None and all(id(p) not in ours for g in groups for p in g["params"]):
        raise ArgumentError(
            "the optimizer holds none of the model's parameters, so that no step would move them; "
            "make it from model.parameters(), after the model is complete"
        )
    if trainer.run is not None and not isinstance(trainer.run, Run):
        raise ArgumentError(
            "run expects a tinyxp.train.Run, such as Run.create('runs/first', {}), "
            f"{_got(trainer.run)}"
        )
    if trainer.evaluate is not None and not callable(trainer.evaluate):
        raise ArgumentError(
            "evaluate expects a function that takes nothing and returns the validation loss, "
            f"{_got(trainer.evaluate)}"
        )
    several = trainer.callbacks
    if not callable(several) and not (
        isinstance(several, Sequence) and all(map(callable, several))
    ):
        raise ArgumentError(
            f"callbacks expects functions that take the dict of metrics, as a list, {_got(several)}"
        )


def expect_score(score: Any) -> float:
    """What ``evaluate`` returned as a number. Raises ArgumentError if it is none."""
    try:
        return float(score)
    except (TypeError, ValueError):
        raise ArgumentError(
            f"evaluate expects to return the validation loss, one number, {_got(score)}"
        ) from None


def _expect_schedule(trainer: "Trainer") -> None:
    schedule = trainer.scheduler
    if isinstance(schedule, type) or not callable(getattr(schedule, "step", None)):
        raise ArgumentError(
            f"scheduler expects one schedule of tx.optim.lr_scheduler, {_got(schedule)}; "
            "ChainedScheduler makes one of several"
        )
    if getattr(schedule, "optimizer", trainer.optimizer) is not trainer.optimizer:
        raise ArgumentError("the scheduler is of another optimizer, whose rates it would set")
    if not isinstance(schedule, ReduceLROnPlateau):
        return
    if trainer.evaluate is None:
        raise ArgumentError("ReduceLROnPlateau steps by the validation loss: pass evaluate=")
    if schedule.mode != "min":
        raise ArgumentError(
            "evaluate gives a loss, of which less is better; got ReduceLROnPlateau(mode="
            f"{schedule.mode!r})"
        )


def expect_plan(batches: Any, loss_of: Any, steps: Any, epochs: Any) -> list[int | None]:
    """``steps`` and ``epochs`` as whole numbers. Raises ArgumentError, which names the argument of
    ``fit`` that is in the wrong place."""
    order = "fit(batches, loss_of, steps=…) or fit(batches, loss_of, epochs=…)"
    if isinstance(batches, Module) or not isinstance(batches, Iterable):
        kind = "a function" if callable(batches) else f"a {type(batches).__name__}"
        raise ArgumentError(f"batches, the first argument of {order}, can be iterated; got {kind}")
    if not callable(loss_of):
        raise ArgumentError(
            f"loss_of, the second argument of {order}, is a function that takes a batch and "
            f"returns its loss; got a {type(loss_of).__name__}"
        )
    try:
        forward = loss_of.forward if isinstance(loss_of, Module) else loss_of
        inspect.signature(forward).bind(object())
    except ValueError:  # of some functions nobody knows it
        pass
    except TypeError as error:
        name = getattr(loss_of, "__name__", type(loss_of).__name__)
        raise ArgumentError(
            f"loss_of, the second argument of {order}, takes a batch alone, and {name} does not "
            f"({error}); write lambda batch: F.mse_loss(model(batch[0]), batch[1])"
        ) from None
    if (steps is None) == (epochs is None):
        raise ArgumentError(
            f"expected steps or epochs, got {'both' if steps else 'neither'}: {order}"
        )
    found: list[int | None] = []
    for name, value in (("steps", steps), ("epochs", epochs)):
        try:
            number = None if value is None else operator.index(value)
        except TypeError:
            number = 0
        if isinstance(value, bool) or (number is not None and number < 1):
            what = value if isinstance(value, (int, float, str)) else type(value).__name__
            raise ArgumentError(f"{name} expects a whole number from 1 up, got {what!r}: {order}")
        found.append(number)
    if epochs is not None and isinstance(batches, ENDLESS):
        raise ArgumentError(
            f"{type(batches).__name__} has no end, so that its epochs cannot be counted; give the "
            "DataLoader itself, or steps="
        )
    return found
