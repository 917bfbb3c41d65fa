"""The options and the progress of a Trainer, and the checks of its and ``fit``'s arguments."""

import inspect
import math
import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, TextIO

from tinyxp.errors import ArgumentError, BackendError
from tinyxp.nn.module import Module
from tinyxp.optim.lr_scheduler import ReduceLROnPlateau
from tinyxp.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tinyxp.train.batches import ENDLESS
from tinyxp.train.parallel import Parallel
from tinyxp.train.run import Run


@dataclass
class Options:
    """What a Trainer is asked to do, and how far it is. Raises ArgumentError for a wrong option."""

    model: Module
    optimizer: Any
    _: KW_ONLY
    scheduler: Any = None
    grad_clip: float | None = None
    run: Run | None = None
    label: str = ""
    evaluate: Callable[[], float] | None = None
    eval_every: int = 250
    log_every: int = 10
    tokens_per_step: int | None = None
    threads: int | str | None = None
    stream: TextIO | None = None
    accumulate: int = 1
    ema: float | None = None
    patience: int | None = None
    max_seconds: float | None = None
    on_nan: str = "stop"
    capture: bool = False
    loss_scale: float | None = None
    precision: str | None = None
    save_every: int | None = None
    keep: int = 3
    callbacks: Callable[..., Any] | Sequence[Callable[[dict[str, Any]], Any]] = ()
    # saved in checkpoints, beside the states of the parts
    done: int = field(default=0, init=False)  # steps
    validation: float | None = field(default=None, init=False)
    best: float | None = field(default=None, init=False)
    waited: int = field(default=0, init=False)  # evaluations since the best
    skipped: int = field(default=0, init=False)  # consecutive steps without an update
    good: int = field(default=0, init=False)  # steps since the loss scale changed
    ended: bool = field(default=False, init=False)  # by patience
    _completed: int = field(default=0, init=False)  # epochs done
    _requested: int = field(default=0, init=False)  # epochs that this program asked for

    def __post_init__(self) -> None:
        self._expect_values()
        self._expect_parts()
        if self.patience is not None and self.evaluate is None:
            raise ArgumentError("patience waits for a better validation loss: pass evaluate=")
        if self.scheduler is not None:
            self._expect_scheduler()
        if self.precision == "float16" and self.loss_scale is None:
            self.loss_scale = 65536.0
        Parallel(self.model, self.threads)  # checks threads
        if self.capture:
            self._expect_capturable()
        self.label = f"{self.label} ".lstrip()
        self.average: AveragedModel | None = None
        if self.ema is not None:
            self.average = AveragedModel(self.model, multi_avg_fn=get_ema_multi_avg_fn(self.ema))

    @property
    def careful(self) -> bool:
        """Whether each step is checked before it changes anything, and may be skipped."""
        return self.on_nan == "skip" or self.loss_scale is not None

    def _expect_values(self) -> None:
        if self.on_nan not in ("stop", "skip"):
            raise ArgumentError(f"on_nan expects 'stop' or 'skip', got {self.on_nan!r}")
        if (given := self.precision) not in (None, "bfloat16", "float16"):
            raise ArgumentError(f"precision expects 'bfloat16', 'float16' or None, got {given!r}")
        for name in ("accumulate", "eval_every", "log_every", "patience", "save_every", "keep"):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or value < 1):
                raise ArgumentError(f"{name} expects a whole number from 1 up, got {value!r}")
        for name in ("grad_clip", "max_seconds", "loss_scale"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, (int, float)) and 0 < value < math.inf):
                raise ArgumentError(f"{name} expects a number above 0, got {value!r}")
        if self.ema is not None and not (isinstance(self.ema, float) and 0 <= self.ema < 1):
            raise ArgumentError(f"ema expects a fraction from 0 up to 1, got {self.ema!r}")

    def _expect_parts(self) -> None:
        model, optimizer, order = self.model, self.optimizer, "Trainer(model, optimizer, …)"
        fits = isinstance(model, Module)
        _expect(fits, f"model, the first of {order}, is a tx.nn.Module", model)
        steps = all(callable(getattr(optimizer, name, None)) for name in ("step", "zero_grad"))
        what = f"optimizer, the second of {order}, is an optimizer of the model's parameters, such "
        what += "as tx.optim.Adam(model.parameters(), lr=1e-3)"
        _expect(steps and not isinstance(optimizer, type), what, optimizer)
        ours = {id(p) for p in model.parameters()}
        groups = getattr(optimizer, "param_groups", None)
        if groups is not None and all(id(p) not in ours for g in groups for p in g["params"]):
            raise ArgumentError(
                "the optimizer holds none of the model's parameters, so no step would change "
                "them; make it from model.parameters() after the model is complete"
            )
        what = "run expects a tinyxp.train.Run, such as Run.create('runs/first', {})"
        _expect(isinstance(self.run, Run | None), what, self.run)
        what = "evaluate expects a function without arguments that returns the validation loss"
        _expect(self.evaluate is None or callable(self.evaluate), what, self.evaluate)
        several = self.callbacks
        fits = callable(several) or (isinstance(several, Sequence) and all(map(callable, several)))
        what = "callbacks expects functions that take the dict of metrics, as a list"
        _expect(fits, what, several)

    def _expect_scheduler(self) -> None:
        schedule = self.scheduler
        if isinstance(schedule, type) or not callable(getattr(schedule, "step", None)):
            raise ArgumentError(
                f"scheduler expects one schedule of tx.optim.lr_scheduler, {_got(schedule)}; "
                "ChainedScheduler makes one of several"
            )
        if getattr(schedule, "optimizer", self.optimizer) is not self.optimizer:
            raise ArgumentError("the scheduler is of another optimizer, whose rates it would set")
        if not isinstance(schedule, ReduceLROnPlateau):
            return
        if self.evaluate is None:
            raise ArgumentError("ReduceLROnPlateau steps by the validation loss: pass evaluate=")
        if schedule.mode != "min":
            raise ArgumentError(
                "evaluate returns a loss, where lower is better; got ReduceLROnPlateau(mode="
                f"{schedule.mode!r})"
            )

    def _expect_capturable(self) -> None:
        where = {p.backend for p in self.model.parameters()}
        if len(where) != 1 or any(backend.recorder is None for backend in where):
            names = ", ".join(sorted(repr(backend.name) for backend in where))
            raise BackendError(
                f"capture=True needs a model on one backend that records steps, as 'numpy' and "
                f"'cupy' do, got one on {names or 'none'}; move it: model.to('numpy')"
            )


def _expect(fits: bool, what: str, value: Any) -> None:
    if not fits:
        raise ArgumentError(f"{what}, {_got(value)}")


def _got(value: Any) -> str:
    """Describe a wrong argument."""
    if isinstance(value, type):
        return f"got the class {value.__name__}; make an object of it"
    if inspect.isgenerator(value):
        return "got a generator, such as model.parameters() returns"
    if value is None or isinstance(value, str):
        return f"got {value!r}"
    return f"got a {type(value).__name__}"


def expect_score(score: Any) -> float:
    """Return the validation loss that ``evaluate`` computed. Raises ArgumentError."""
    try:
        return float(score)
    except (TypeError, ValueError):
        raise ArgumentError(
            f"evaluate expects to return the validation loss, one number, {_got(score)}"
        ) from None


def expect_fit(batches: Any, loss_of: Any, steps: Any, epochs: Any) -> list[int | None]:
    """Return ``steps`` and ``epochs`` as integers. Raises ArgumentError naming the argument of
    ``fit`` that is wrong or in the wrong place."""
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
    except ValueError:  # some functions have no signature
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
            f"{type(batches).__name__} has no end, so its epochs cannot be counted; give the "
            "DataLoader itself, or steps="
        )
    return found
