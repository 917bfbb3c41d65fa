"""Training: the loop around loss, backward and step, and what can go wrong in it."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from itertools import islice
from typing import Any, TextIO

import numpy as np

from tinyxp import backends
from tinyxp.amp import autocast
from tinyxp.amp.grad_scaler import rescaled
from tinyxp.attempts import Attempt, attempted, captured, expect_capturable
from tinyxp.backends.bound import block
from tinyxp.backends.errors import ArgumentError, DataError
from tinyxp.core import Tensor
from tinyxp.cuda import checks_later
from tinyxp.dtypes import float32, float64
from tinyxp.finite import not_finite, why_not_finite
from tinyxp.interrupts import Interrupts, Stopped
from tinyxp.nn.module import Module
from tinyxp.ops.creation import asarray
from tinyxp.optim.clip import clip_grad_norm_
from tinyxp.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tinyxp.parallel import Parallel
from tinyxp.progress import Clock, Progress
from tinyxp.resuming import random_states, set_random_states, setting, warn_of_changes
from tinyxp.runs import Run
from tinyxp.tape import no_grad

SAVE_SECONDS = 10.0  # between checkpoints, if their steps are not said
PATIENCE = 100  # steps in a row that may be left out
KEPT = ("done", "validation", "best", "waited", "skipped", "good", "ended", "loss_scale")
LossOf = Callable[[Any], Tensor]


@dataclass
class Trainer:
    """The training loop: loss, backward, clip, step, schedule; with progress and metrics.

    ``loss_of(batch)`` computes the loss of a batch; ``evaluate()`` the validation loss, every
    ``eval_every`` steps and at the end; one that is NaN is never the best. In the run's metrics
    the losses are called "loss" and "validation loss", after the ``label`` if there is one; each
    of ``callbacks`` gets the same dict.

    With a ``run``, all that training depends on is kept in a checkpoint: every
    ``save_every`` steps (None: every 10 seconds), at a new best evaluation, at the end, and when
    Ctrl-C or SIGTERM asks to stop, which happens after the step and raises Stopped. A resumed run
    goes on from the newest one, and ends with the same bits. ``keep`` of them stay, and the best.

    - ``accumulate`` n: a step takes n batches, and the mean of their losses.
    - ``ema`` d: ``average`` is the model of weights w̄ ← d w̄ + (1 - d) w, which evaluation sees.
    - ``patience`` n ends training after n evaluations without a new best. ``max_seconds`` leaves
      off after that time, evaluation included; a resumed run has it anew.
    - ``on_nan``: when the loss or a gradient is no number, "stop" raises DataError, which names the
      operation; "skip" leaves out the step, with what it did to buffers. Weights that are no
      numbers are saved in no checkpoint: they raise DataError.
    - ``loss_scale`` s multiplies the loss before the backward pass and divides the gradients by s
      after it; steps with infinite gradients are left out and halve s, 2,000 good ones double it.
    - ``graph``: each step is a replay of one that was captured (``tx.capture``), with the same
      bits: on a GPU a CUDA graph, on numpy a list of calls, by which steps of small models take
      half the time. Numbers that are none are told at the next step that is logged; with
      ``loss_scale`` and on_nan="skip" each step is looked at, which waits for a GPU. A step whose
      batches are unlike the first, as the last of an epoch may be, is run without it.
    - ``precision`` "bfloat16" or "float16": losses, those of ``evaluate`` too, are computed in
      ``tx.autocast``, weights stay in float32. float16 begins with a ``loss_scale`` of 65,536.
    - ``threads``: 1 computes on one thread; n parts each batch among n threads, which gives the
      same gradients to rounding if the loss is a mean over samples; None chooses by the sizes of
      the first batch (see ``tinyxp.parallel``).

    >>> model = tx.nn.Linear(1, 1)
    >>> trainer = Trainer(model, tx.optim.SGD(model.parameters(), lr=0.1))
    >>> batch = (tx.ones((4, 1)), tx.zeros((4, 1)))
    >>> loss = lambda batch: tx.nn.functional.mse_loss(model(batch[0]), batch[1])
    >>> trainer.fit([batch] * 30, loss, steps=30)
    >>> abs(model(batch[0])[0].item()) < 1e-3
    True
    """

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
    threads: int | None = None
    stream: TextIO | None = None
    accumulate: int = 1
    ema: float | None = None
    patience: int | None = None
    max_seconds: float | None = None
    on_nan: str = "stop"
    graph: bool = False
    loss_scale: float | None = None
    precision: str | None = None
    save_every: int | None = None
    keep: int = 3
    callbacks: Sequence[Callable[[dict[str, Any]], Any]] = ()
    # KEPT in a checkpoint beside the states of the parts
    done: int = field(default=0, init=False)  # steps
    validation: float | None = field(default=None, init=False)
    best: float | None = field(default=None, init=False)
    waited: int = field(default=0, init=False)  # evaluations since the best
    skipped: int = field(default=0, init=False)  # steps left out, in a row
    good: int = field(default=0, init=False)  # steps since the loss scale changed
    ended: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        if self.on_nan not in ("stop", "skip"):
            raise ArgumentError(f"on_nan expects 'stop' or 'skip', got {self.on_nan!r}")
        if (given := self.precision) not in (None, "bfloat16", "float16"):
            raise ArgumentError(f"precision expects 'bfloat16', 'float16' or None, got {given!r}")
        if self.precision == "float16" and self.loss_scale is None:
            self.loss_scale = 65536.0
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
        if self.graph:
            expect_capturable(self)
        self.label = f"{self.label} ".lstrip()
        self.average: AveragedModel | None = None
        if self.ema is not None:
            self.average = AveragedModel(self.model, multi_avg_fn=get_ema_multi_avg_fn(self.ema))

    # -- the loop -----------------------------------------------------------------------------

    def fit(self, batches: Iterable[Any], loss_of: LossOf, steps: int) -> float | None:
        """Train until ``steps`` steps are done in all; returns the last validation loss, if there
        is one.

        ``batches`` that have ``state_dict`` and ``load_state_dict``, as ``tx.data.Epochs`` has,
        are resumed where they were; of others those that were used are passed over.
        """
        loss_of = self._autocast()(loss_of)
        self._kept = self.run and self.run.checkpoints(self.label, self.keep)
        self.model.train()
        self._setting = setting(self.model)  # before threads are limited
        with (
            Parallel(self.model, self.threads) as parallel,
            Interrupts(self.run is not None) as asked,
            checks_later(),  # a wrong index is told with the next loss that is logged
        ):
            source = self._begin(batches, parallel)
            attempt: Attempt = partial(attempted, self, parallel, loss_of)
            attempt = captured(self, attempt) if self.graph else attempt
            progress = Progress(steps, self.stream, self.done)
            clock, note = Clock(self.done), ""
            start = saved = time.monotonic()
            over = False
            while self.done < steps and not (self.ended or over):
                best, group = self.best, list(islice(source, self.accumulate))
                score = None
                if group:
                    loss = self._step(attempt, loss_of, group)
                    self.done += 1
                    looks = self.evaluate is not None and self.done % self.eval_every == 0
                    if looks or self.done % self.log_every == 0 or self.done in (1, steps):
                        note = self._report(loss, steps, clock)
                    progress.update(self.done, note)
                self.ended |= not group
                if self.best != best:
                    score = self.best
                stop, now = asked.signal, time.monotonic()  # once: a signal may come at any moment
                over = self.max_seconds is not None and now - start > self.max_seconds
                due = self.ended or over or self.done == steps or score is not None or stop
                if self.save_every is not None:
                    due = due or self.done % self.save_every == 0
                else:
                    due = due or now - saved > SAVE_SECONDS
                if self._kept and due:
                    if lost := not_finite(self.model):
                        raise DataError(
                            f"{lost} stopped being finite in step {self.done}, which is not saved; "
                            "lower the learning rate, or set grad_clip"
                        )
                    self._kept.save(self.done, self._state(batches, parallel), score)
                    saved = time.monotonic()
                if stop:
                    raise Stopped(
                        f"stopped after step {self.done}, as asked; go on with: "
                        f"tinyxp resume {self.run.folder}",  # type: ignore[union-attr]
                        stop,
                    )
        return self.validation

    def change(self) -> None:
        """Change the parameters by the gradients that they hold."""
        if self.grad_clip:
            clip_grad_norm_(self.model.parameters(), self.grad_clip)
        self.optimizer.step()

    def _step(self, attempt: Attempt, loss_of: LossOf, batches: list[Any]) -> Tensor:
        """One step on the mean loss of some batches; the loss."""
        # with a scale infinite gradients are no surprise, and NumPy need not warn of them
        calm: Any = {} if self.loss_scale is None else {"over": "ignore", "invalid": "ignore"}
        with np.errstate(**calm):
            loss, done = attempt(batches, self._scale())
        if not done and not self.careful:
            problem = why_not_finite(self.model, loss.item(), loss_of, batches)
            before = " or before" if self.graph else ""
            raise DataError(f"at step {self.done + 1}{before} {problem}")
        if self.loss_scale is not None:
            self.loss_scale, self.good = rescaled(self.loss_scale, self.good, finite=done)
        self.skipped = 0 if done else self.skipped + 1
        if done:
            if self.scheduler is not None:
                self.scheduler.step()
            if self.average is not None:
                self.average.update_parameters(self.model)
        elif self.skipped > PATIENCE:
            raise DataError(
                f"{PATIENCE} steps in a row had no finite gradient, up to step {self.done + 1}; "
                "lower the learning rate"
            )
        return loss

    @property
    def careful(self) -> bool:
        """Whether each step is looked at before it changes anything, and may be left out."""
        return self.on_nan == "skip" or self.loss_scale is not None

    def _scale(self) -> Tensor | None:
        """The loss scale, where the parameters are."""
        if self.loss_scale is None:
            return None
        p = next(self.model.parameters())
        dtype = float64 if p.dtype is float64 else float32
        with backends.using(p.backend):
            return asarray(self.loss_scale, dtype=dtype, device=p.device)

    def _autocast(self) -> autocast:
        return autocast(dtype=self.precision, enabled=self.precision is not None)

    # -- evaluation and metrics ---------------------------------------------------------------

    def _report(self, loss: Tensor, steps: int, clock: Clock) -> str:
        """Evaluate if it is time; log the metrics; what to say beside the progress bar."""
        value = loss.item()
        metrics: dict[str, Any] = {"step": self.done, f"{self.label}loss": value}
        note = f"{self.label}loss {value:.3f}"
        due = self.done % self.eval_every == 0 or self.done == steps
        if self.evaluate is not None and due:
            with clock.paused(), evaluation(self.model), self._averaged(), self._autocast():
                score = float(self.evaluate())
            self.validation = metrics[f"{self.label}validation loss"] = score
            better = not math.isnan(score) and (self.best is None or score < self.best)
            self.best = score if better else self.best
            self.waited = 0 if better else self.waited + 1
            self.ended = self.patience is not None and self.waited >= self.patience
        if self.validation is not None:
            note += f" validation {self.validation:.3f}"
        if self.tokens_per_step:
            rate = (self.done - clock.begun) / clock.seconds()
            metrics["tokens/s"] = round(rate * self.tokens_per_step * self.accumulate)
            note += f" {metrics['tokens/s']:,} tokens/s"
        if self.loss_scale is not None:
            metrics["loss scale"] = self.loss_scale
        if self.run is not None:
            self.run.log(**metrics)
        for callback in self.callbacks:
            callback(metrics)
        return note

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """The model with its average weights, if there are any."""
        if self.average is None:
            yield
            return
        own = [p.data for p in self.model.parameters()]
        try:
            for p, q in zip(self.model.parameters(), self.average.module.parameters(), strict=True):
                p.data = q.data
            yield
        finally:
            for p, data in zip(self.model.parameters(), own, strict=True):
                p.data = data

    # -- checkpoints --------------------------------------------------------------------------

    def _begin(self, batches: Iterable[Any], parallel: Parallel) -> Iterator[Any]:
        """The batches that are still to come, everything being as at the newest checkpoint."""
        found = self._kept.latest() if self._kept and self.run and self.run.resumed else None
        if self.run is not None and self.run.resumed:
            self.run.rewind(f"{self.label}loss", found[0] if found else 0)
        if found is None:
            return iter(batches)
        state = found[1]
        parts = self._parts(batches)
        if len(missing := parts.keys() ^ state["parts"].keys()) > 0:
            raise DataError(
                f"the checkpoint of step {found[0]} does not fit: {', '.join(sorted(missing))} "
                "only here or only there"
            )
        same = warn_of_changes(state["setting"], self._setting)
        for name in KEPT:
            setattr(self, name, state["trainer"][name])
        if same and self.threads is None and state["parallel"] is not None:
            parallel.choose(state["parallel"])
        for name, part in parts.items():
            part.load_state_dict(state["parts"][name])
        source = iter(batches)
        if "batches" not in parts:
            for _ in islice(source, self.done * self.accumulate):
                pass
        set_random_states(self.model, state["random"])
        return source

    def _parts(self, batches: Any) -> dict[str, Any]:
        """All that has a state of its own."""
        parts = {"model": self.model, "optimizer": self.optimizer, "scheduler": self.scheduler}
        parts |= {"average": self.average, "batches": batches}
        return {name: part for name, part in parts.items() if hasattr(part, "load_state_dict")}

    def _state(self, batches: Any, parallel: Parallel) -> dict[str, Any]:
        return {
            "parts": {name: part.state_dict() for name, part in self._parts(batches).items()},
            "trainer": {name: getattr(self, name) for name in KEPT},
            "parallel": parallel.chosen,
            "random": random_states(self.model),
            "setting": self._setting,
            "config": self.run.configuration if self.run else {},
        }


@block
def evaluation(model: Module) -> Iterator[None]:
    """The model in evaluation mode, nothing recorded; afterwards as it was."""
    training = model.training
    model.eval()
    try:
        with no_grad():
            yield
    finally:
        model.train(training)


def mean_loss(model: Any, batches: Iterable[Any]) -> float:
    """The mean of ``model.loss(batch)`` over the samples of all batches, nothing being recorded."""
    with evaluation(model):
        losses = [(model.loss(batch).item(), len(batch[0])) for batch in batches]
    return sum(loss * n for loss, n in losses) / sum(n for _, n in losses)


def decay_groups(params: Iterable[Tensor], weight_decay: float) -> list[dict[str, Any]]:
    """Groups for an optimizer: matrices are pulled to 0; gains and biases, of one axis, are not."""
    params = list(params)
    groups = [
        {"params": [p for p in params if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in params if p.ndim < 2], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def unmoved(before: dict[str, Tensor], model: Module) -> list[str]:
    """The names of trainable parameters equal to what they were ``before`` training."""
    return [
        name
        for name, p in model.named_parameters()
        if p.requires_grad and bool((p.detach() == before[name]).all())
    ]
