"""Training: the loop around loss, backward and step, and what can go wrong in it."""

import math
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from typing import Any, TextIO

import numpy as np

from tinyxp import backends
from tinyxp.amp import autocast
from tinyxp.amp.grad_scaler import rescaled
from tinyxp.core.dtypes import float32, float64
from tinyxp.core.tensor import Tensor
from tinyxp.cuda import checks_later
from tinyxp.errors import DataError
from tinyxp.nn.modes import evaluation as evaluation
from tinyxp.nn.module import Module
from tinyxp.nn.utils.clip_grad import clip_grad_norm_
from tinyxp.ops.creation import asarray
from tinyxp.optim.lr_scheduler import ReduceLROnPlateau
from tinyxp.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tinyxp.train.batches import Passes, Summary, many
from tinyxp.train.finite import not_finite, why_not_finite
from tinyxp.train.interrupts import Interrupts, Stopped
from tinyxp.train.parallel import Parallel
from tinyxp.train.plan import expect_options, expect_plan, expect_score
from tinyxp.train.progress import Clock, Progress
from tinyxp.train.resume import resumed, setting, training_state
from tinyxp.train.run import Run
from tinyxp.train.step import Attempt, attempted, captured, expect_capturable

SAVE_SECONDS = 10.0  # between checkpoints, if their steps are not said
PATIENCE = 100  # steps in a row that may be left out
LossOf = Callable[[Any], Tensor]


@dataclass
class Trainer:
    """The training loop: loss, backward, clip, step, schedule; with progress and metrics.

    ``loss_of(batch)`` computes the loss of a batch; ``evaluate()`` the validation loss, every
    ``eval_every`` steps and at the end; one that is NaN is never the best. In the run's metrics
    the losses are called "loss" and "validation loss", after the ``label`` if there is one; each
    of ``callbacks``, or the only one, gets the same dict.

    Each step has the bits of a loop written by hand: ``optimizer.zero_grad()``,
    ``loss.backward()``, ``optimizer.step()``, ``scheduler.step()``. Modules are trained in the mode
    that they are in. An option that computes something else is off until it is given.

    With a ``run``, all that training depends on is kept in a checkpoint: every
    ``save_every`` steps (None: every 10 seconds), at a new best evaluation, at the end, and when
    Ctrl-C or SIGTERM asks to stop, which happens after the step and raises Stopped. A resumed run
    goes on from the newest one, and ends with the same bits. ``keep`` of them stay, and the best.

    - ``scheduler`` is stepped after each step, ReduceLROnPlateau with each validation loss.
    - ``accumulate`` n: a step takes n batches, and the mean of their losses.
    - ``ema`` d: ``average`` is the model of weights w̄ ← d w̄ + (1 - d) w, which evaluation sees.
    - ``patience`` n ends training after n evaluations without a new best. ``max_seconds`` leaves
      off after that time, evaluation included; a resumed run has it anew.
    - ``on_nan``: when the loss or a gradient is NaN or Inf, "stop" raises DataError, which names
      the operation; "skip" leaves out the step, with what it did to buffers. Weights that are NaN
      or Inf are saved in no checkpoint: they raise DataError.
    - ``loss_scale`` s multiplies the loss before the backward pass and divides the gradients by s
      after it; steps with infinite gradients are left out and halve s, 2,000 good ones double it.
    - ``graph``: each step is a replay of one that was captured (``tx.capture``), with the same
      bits: on a GPU a CUDA graph, on numpy a list of calls, by which steps of small models take
      half the time. NaN and Inf are told at the next step that is logged; with
      ``loss_scale`` and on_nan="skip" each step is looked at, which waits for a GPU. A step whose
      batches are unlike the first, as the last of an epoch may be, is run without it.
    - ``precision`` "bfloat16" or "float16": losses, those of ``evaluate`` too, are computed in
      ``tx.autocast``, weights stay in float32. float16 begins with a ``loss_scale`` of 65,536.
    - ``threads`` n splits each batch among n threads, with one thread in each matrix product;
      "auto" chooses by sizes (see ``tinyxp.train.parallel``). Sums round differently. Where
      more would differ than that, as with ignored targets, class weights, a sum in place of a mean,
      BatchNorm, dropout or time-first batches, the first step raises ArgumentError.

    >>> model = tx.nn.Linear(1, 1)
    >>> trainer = Trainer(model, tx.optim.SGD(model.parameters(), lr=0.1))
    >>> loader = tx.data.DataLoader([(1.0, 0.0)] * 8, batch_size=4)
    >>> loss = lambda batch: tx.nn.functional.mse_loss(model(batch[0][:, None]), batch[1][:, None])
    >>> summary = trainer.fit(loader, loss, epochs=15)
    >>> summary.steps, summary.epochs, summary.ended
    (30, 15, '15 epochs done')
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
    threads: int | str | None = None
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
    callbacks: Callable[..., Any] | Sequence[Callable[[dict[str, Any]], Any]] = ()
    # kept in a checkpoint beside the states of the parts
    done: int = field(default=0, init=False)  # steps
    validation: float | None = field(default=None, init=False)
    best: float | None = field(default=None, init=False)
    waited: int = field(default=0, init=False)  # evaluations since the best
    skipped: int = field(default=0, init=False)  # steps left out, in a row
    good: int = field(default=0, init=False)  # steps since the loss scale changed
    ended: bool = field(default=False, init=False)  # by patience
    _passed: int = field(default=0, init=False)  # epochs that were done
    _asked: int = field(default=0, init=False)  # and that this program asked for

    def __post_init__(self) -> None:
        expect_options(self)
        if self.precision == "float16" and self.loss_scale is None:
            self.loss_scale = 65536.0
        Parallel(self.model, self.threads)  # refuses a number that is none
        if self.graph:
            expect_capturable(self)
        self.label = f"{self.label} ".lstrip()
        self.average: AveragedModel | None = None
        if self.ema is not None:
            self.average = AveragedModel(self.model, multi_avg_fn=get_ema_multi_avg_fn(self.ema))

    # -- the loop -----------------------------------------------------------------------------

    def fit(
        self,
        batches: Iterable[Any],
        loss_of: LossOf,
        steps: int | None = None,
        *,
        epochs: int | None = None,
    ) -> Summary:
        """Train until ``steps`` steps are done in all, or for ``epochs`` passes through the batches
        after those that were done; says what was done, and returns it.

        In a run that is resumed the epochs count that were done before, so that the same program
        does what is left of them.

        ``batches`` are run through as often as the steps need, if they can be, as a DataLoader or a
        list; an iterator that ends before is a DataError. Those that have ``state_dict`` and
        ``load_state_dict``, as ``tx.data.Epochs`` has, are resumed where they were; of others those
        that were used are passed over. Raises ArgumentError, which names the argument that is in
        the wrong place.
        """
        steps, epochs = expect_plan(batches, loss_of, steps, epochs)
        if not self.model.training:
            warnings.warn(
                "the model is in evaluation mode, and is trained so; else call model.train() first",
                stacklevel=2,
            )
        loss_of = autocast(dtype=self.precision)(loss_of) if self.precision else loss_of
        self._kept = self.run and self.run.checkpoints(self.label, self.keep)
        self._loss: Tensor | None = None  # of the last step
        self._asked += epochs or 0
        before, begun = (self._passed, self.done), time.monotonic()
        passes = Passes(batches, None if epochs is None else self._asked, before)
        self.setting = setting(self.model)  # before threads are limited
        with (
            Interrupts(self._stopped_at_once if self.run else None) as asked,
            self.run.writing() if self.run else nullcontext(),
            Parallel(self.model, self.threads) as parallel,
            checks_later(),  # a wrong index is told with the next loss that is logged
        ):
            source = self._begin(passes, parallel)
            total = passes.steps(self.accumulate) if steps is None else steps
            progress = Progress(total, self.stream, self.done)
            why = self._train(source, passes, parallel, loss_of, total, asked, progress, begun)
        self._count(passes, steps)
        summary = Summary(
            self.done,
            passes.done,
            None if self._loss is None else self._loss.item(),
            self.validation,
            time.monotonic() - begun,
            why,
        )
        progress.end(f"{self.label}{summary}")
        return summary

    def _count(self, passes: Passes, steps: int | None) -> None:
        """Add up the passes, of this fit and of those before it. A program that is resumed has
        asked for fewer than were done, until it comes to where it was."""
        self._passed = self._passed if passes.done is None else passes.done
        behind = self.run is not None and self.run.resumed and (steps is None or steps < self.done)
        self._asked = min(self._asked, self._passed) if behind else self._passed

    def _train(
        self,
        source: Iterator[Any],
        passes: Passes,
        parallel: Parallel,
        loss_of: LossOf,
        total: int | None,
        asked: Interrupts,
        progress: Progress,
        start: float,
    ) -> str:
        """Step until all is done; why it ended."""
        attempt: Attempt = partial(attempted, self, parallel, loss_of)
        look = partial(parallel.prepare, loss_of)
        attempt = captured(self, attempt) if self.graph else attempt
        clock, note, saved, told = Clock(self.done), "", start, self.done
        why = self._over(passes, total, None, start)
        while not why:
            best, group = self.best, passes.group(source, self.accumulate, self.graph, look)
            if group:
                self._loss = self._step(attempt, loss_of, group)
                self.done += 1
            last = not group or self.done == total
            looks = self.evaluate is not None and self.done % self.eval_every == 0
            looks = looks or self.done % self.log_every == 0 or self.done == 1 or last
            if self._loss is not None and looks and told < self.done:
                note, told = self._report(self._loss, last, clock), self.done
            if group:
                progress.update(self.done, note if told == self.done else f"(step {told}: {note})")
            score = self.best if self.best != best else None
            stop, now = asked.signal, time.monotonic()  # once: a signal may come at any moment
            why = self._over(passes, total, len(group), start)
            due = bool(why) or score is not None or stop
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
                self._kept.save(self.done, training_state(self, passes, parallel), score)
                saved = time.monotonic()
            if stop:
                said = f"stopped after step {self.done}, as asked"
                raise Stopped(said, stop, self.run.folder)  # type: ignore[union-attr]
        if passes.used_up:
            wanted = f"{total} steps" if passes.epochs is None else f"{passes.epochs} epochs"
            raise DataError(
                f"the batches ended after step {self.done} of {wanted}: an iterator can be run "
                "through once; give what can be run through again, as the DataLoader itself"
            )
        return why

    def _over(self, passes: Passes, total: int | None, size: int | None, start: float) -> str:
        """Why training is over, if it is; ``size``: the number of batches of the last step."""
        again = " already" if size is None else ""
        if self.ended:
            return f"no better validation loss in {self.patience} evaluations"
        counted = passes.epochs is not None
        if (total is not None and self.done >= total) or size == 0:
            what = many(passes.epochs, "epoch") if counted else many(total, "step")
            return f"{what} done{again}"
        if self.max_seconds is not None and time.monotonic() - start > self.max_seconds:
            return f"{self.max_seconds:g} seconds are over"
        return ""

    def _stopped_at_once(self, number: int) -> Stopped:
        steps = self._kept.steps() if self._kept else []
        said = f"the last checkpoint is that of step {steps[-1]}" if steps else "nothing is saved"
        said = f"stopped at once in step {self.done + 1}; {said}"
        return Stopped(said, number, self.run and self.run.folder)

    def change(self) -> None:
        """Change the parameters by the gradients that they hold."""
        if self.grad_clip:
            clip_grad_norm_(self.model.parameters(), self.grad_clip)
        self.optimizer.step()

    def _step(self, attempt: Attempt, loss_of: LossOf, batches: Any) -> Tensor:
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
            if self.scheduler is not None and not isinstance(self.scheduler, ReduceLROnPlateau):
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

    # -- evaluation and metrics ---------------------------------------------------------------

    def _report(self, loss: Tensor, last: bool, clock: Clock) -> str:
        """Evaluate if it is time; log the metrics; what to say beside the progress bar."""
        value = loss.item()
        metrics: dict[str, Any] = {"step": self.done, f"{self.label}loss": value}
        note = f"{self.label}loss {value:.3f}"
        if self.evaluate is not None and (last or self.done % self.eval_every == 0):
            cast = autocast(dtype=self.precision) if self.precision else nullcontext()
            with clock.paused(), evaluation(self.model), self._averaged(), cast:
                score = expect_score(self.evaluate())
            self.validation = metrics[f"{self.label}validation loss"] = score
            better = not math.isnan(score) and (self.best is None or score < self.best)
            self.best = score if better else self.best
            self.waited = 0 if better else self.waited + 1
            self.ended = self.patience is not None and self.waited >= self.patience
            if isinstance(self.scheduler, ReduceLROnPlateau):
                self.scheduler.step(score)
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
        for callback in [self.callbacks] if callable(self.callbacks) else self.callbacks:
            callback(metrics)
        return note

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """The model with its average weights, if there are any."""
        if self.average is None:
            yield
            return
        own = [p.array for p in self.model.parameters()]
        try:
            for p, q in zip(self.model.parameters(), self.average.module.parameters(), strict=True):
                p.array = q.array
            yield
        finally:
            for p, data in zip(self.model.parameters(), own, strict=True):
                p.array = data

    def _begin(self, passes: Passes, parallel: Parallel) -> Iterator[Any]:
        """The batches that are still to come, everything being as at the newest checkpoint."""
        found = self._kept.latest() if self._kept and self.run and self.run.resumed else None
        if self.run is not None and self.run.resumed:
            self.run.rewind(f"{self.label}loss", found[0] if found else 0)
        return iter(passes) if found is None else resumed(self, found, passes, parallel)


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
