"""The training loop around loss, backward and optimizer step."""

import math
import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from tinyxp import backends
from tinyxp.amp import autocast
from tinyxp.amp.grad_scaler import next_scale
from tinyxp.core.dtypes import float32, float64
from tinyxp.core.tensor import Tensor
from tinyxp.cuda import checks_later
from tinyxp.errors import DataError
from tinyxp.nn.modes import evaluation as evaluation
from tinyxp.nn.module import Module
from tinyxp.ops.creation import asarray
from tinyxp.optim.lr_scheduler import ReduceLROnPlateau
from tinyxp.train.batches import Passes
from tinyxp.train.interrupts import Interrupts, Stopped
from tinyxp.train.nonfinite import not_finite, why_not_finite
from tinyxp.train.options import Options, expect_fit, expect_score
from tinyxp.train.parallel import Parallel
from tinyxp.train.progress import Progress, Summary, plural
from tinyxp.train.split_check import LossOf
from tinyxp.train.state import current_setting, restore, training_state
from tinyxp.train.step import Step

SAVE_SECONDS = 10.0  # between checkpoints without save_every
PATIENCE = 100  # consecutive steps that may be skipped


@dataclass
class Trainer(Options):
    """The training loop: loss, backward, clip, step, schedule; with progress and metrics.

    ``loss_of(batch)`` computes the loss of a batch. ``evaluate()`` computes the validation loss,
    every ``eval_every`` steps and at the end; NaN is never the best. The metrics call the losses
    "loss" and "validation loss", after the ``label`` if there is one; ``callbacks``, one function
    or several, get the same dict.

    Each step has the bits of a loop written by hand: ``optimizer.zero_grad()``,
    ``loss.backward()``, ``optimizer.step()``, ``scheduler.step()``. Modules keep their mode. An
    option that changes results is off by default.

    With a ``run``, checkpoints hold everything that training depends on. They are written every
    ``save_every`` steps (None: every 10 seconds), at a new best evaluation, at the end, and when
    Ctrl-C or SIGTERM stops training, which happens after the step and raises Stopped. A resumed run
    continues from the newest one and ends with the same bits. The last ``keep`` and the best stay.

    - ``scheduler`` is stepped after each step, ReduceLROnPlateau with each validation loss.
    - ``accumulate`` n: a step takes n batches, and the mean of their losses.
    - ``ema`` d: ``average`` is the model of weights w̄ ← d w̄ + (1 - d) w, and ``evaluate`` uses it.
    - ``patience`` n ends training after n evaluations without a new best. ``max_seconds`` ends it
      after that time, evaluation included; a resumed run starts counting anew.
    - ``on_nan``: when the loss or a gradient is NaN or Inf, "stop" raises DataError, which names
      the operation; "skip" skips the step and undoes its changes of buffers. Weights that are NaN
      or Inf are never saved in a checkpoint: they raise DataError.
    - ``loss_scale`` s multiplies the loss before the backward pass and divides the gradients by s
      after it; steps with infinite gradients are skipped and halve s, 2,000 good ones double it.
    - ``capture``: steps are captured once and replayed (``tx.capture``), with the same bits: as a
      CUDA graph on a GPU, as a list of calls on numpy, where steps of small models take half the
      time. A NaN or Inf is reported at the next logged step; with ``loss_scale`` or on_nan="skip"
      each step is checked, which waits for a GPU. A step whose batches have other shapes than the
      first, as the last of an epoch may, runs uncaptured.
    - ``precision`` "bfloat16" or "float16": losses, those of ``evaluate`` too, are computed in
      ``tx.autocast``, and weights stay in float32. float16 starts with a ``loss_scale`` of 65,536.
    - ``threads`` n splits each batch among n threads, with one thread in each matrix product;
      "auto" chooses by sizes (see ``tinyxp.train.parallel``). Sums round differently. Where more
      would differ than that, as with ignored targets, class weights, a sum in place of a mean,
      BatchNorm, dropout or time-first batches, the first step raises ArgumentError.

    >>> model = tx.nn.Linear(1, 1)
    >>> trainer = Trainer(model, tx.optim.SGD(model.parameters(), lr=0.1))
    >>> loader = tx.data.DataLoader([(1.0, 0.0)] * 8, batch_size=4)
    >>> loss = lambda batch: tx.nn.functional.mse_loss(model(batch[0][:, None]), batch[1][:, None])
    >>> summary = trainer.fit(loader, loss, epochs=15)
    >>> summary.steps, summary.epochs, summary.ended
    (30, 15, '15 epochs done')
    """

    # -- the loop -----------------------------------------------------------------------------

    def fit(
        self,
        batches: Iterable[Any],
        loss_of: LossOf,
        steps: int | None = None,
        *,
        epochs: int | None = None,
    ) -> Summary:
        """Train until ``steps`` steps are done in all, or for ``epochs`` more passes through the
        batches; print what was done, and return it.

        In a resumed run epochs include those done before, so that the same program does the rest.

        ``batches`` are iterated as often as the steps need, if that is possible, as with a
        DataLoader or a list; an iterator that ends too early raises DataError. Batches with
        ``state_dict`` and ``load_state_dict``, such as ``tx.data.Epochs``, resume where they were;
        from others a resumed run first drops those used before. Raises ArgumentError, which names
        the argument that is wrong.
        """
        steps, epochs = expect_fit(batches, loss_of, steps, epochs)
        if not self.model.training:
            warnings.warn(
                "the model is in evaluation mode and is trained in it; call model.train() first "
                "to change that",
                stacklevel=2,
            )
        loss_of = autocast(dtype=self.precision)(loss_of) if self.precision else loss_of
        self._checkpoints = self.run and self.run.checkpoints(self.label, self.keep)
        self._loss: Tensor | None = None  # of the last step
        self._requested += epochs or 0
        before, start = (self._completed, self.done), time.monotonic()
        passes = Passes(batches, None if epochs is None else self._requested, before)
        self._setting = current_setting(self.model)  # before threads are limited
        with (
            Interrupts(self._stopped_at_once if self.run else None) as interrupts,
            self.run.writing() if self.run else nullcontext(),
            Parallel(self.model, self.threads) as parallel,
            checks_later(),  # a wrong index is reported with the next logged loss
        ):
            why = self._train(passes, parallel, loss_of, steps, interrupts, start)
        self._count(passes, steps)
        summary = Summary(
            self.done,
            passes.done,
            None if self._loss is None else self._loss.item(),
            self.validation,
            time.monotonic() - start,
            why,
        )
        self._progress.line(f"{self.label}{summary}")
        return summary

    def _count(self, passes: Passes, steps: int | None) -> None:
        """Count the epochs; a resumed program asks for fewer until it is at the interrupted fit."""
        self._completed = self._completed if passes.done is None else passes.done
        behind = self.run is not None and self.run.resumed and (steps is None or steps < self.done)
        self._requested = min(self._requested, self._completed) if behind else self._completed

    def _train(
        self,
        passes: Passes,
        parallel: Parallel,
        loss_of: LossOf,
        total: int | None,
        interrupts: Interrupts,
        start: float,
    ) -> str:
        """Step until training is over; return why it is."""
        source = self._remaining(passes, parallel)
        total = passes.steps(self.accumulate) if total is None else total
        step = Step(self, parallel, loss_of)
        prepare = partial(parallel.prepare, loss_of)
        self._progress = Progress(total, self.stream, self.done)
        self._since = (self.done, time.monotonic())
        note, saved, logged = "", start, self.done
        why = self._over(passes, total, None, start)
        while not why:
            best, group = self.best, passes.group(source, self.accumulate, self.capture, prepare)
            if group:
                self._loss = self._step(step, loss_of, group)
                self.done += 1
            last = not group or self.done == total
            due = self.evaluate is not None and self.done % self.eval_every == 0
            due = due or self.done % self.log_every == 0 or self.done == 1 or last
            if self._loss is not None and due and logged < self.done:
                note, logged = self._report(self._loss, last), self.done
            if group:
                text = note if logged == self.done else f"(step {logged}: {note})"
                self._progress.update(self.done, text)
            score = self.best if self.best != best else None
            stop, now = interrupts.signal, time.monotonic()  # read once, as it may come at any time
            why = self._over(passes, total, len(group), start)
            due = bool(why) or score is not None or stop is not None
            if self.save_every is not None:
                due = due or self.done % self.save_every == 0
            else:
                due = due or now - saved > SAVE_SECONDS
            if self._checkpoints and due:
                if names := not_finite(self.model):
                    raise DataError(
                        f"{names} became NaN or Inf in step {self.done}, which is not saved; "
                        "lower the learning rate, or set grad_clip"
                    )
                state = training_state(self, passes, parallel, self._setting)
                self._checkpoints.save(self.done, state, score)
                saved = time.monotonic()
            if stop is not None:
                text = f"stopped after step {self.done}, as asked"
                raise Stopped(text, stop, self.run.folder)  # type: ignore[union-attr]
        if passes.used_up:
            wanted = f"{total} steps" if passes.epochs is None else f"{passes.epochs} epochs"
            raise DataError(
                f"the batches ended after step {self.done} of {wanted}: an iterator can be used "
                "once only; give an iterable, such as the DataLoader itself"
            )
        return why

    def _over(self, passes: Passes, total: int | None, size: int | None, start: float) -> str:
        """Why training is over, if it is; ``size`` is the number of batches of the last step."""
        again = " already" if size is None else ""
        if self.ended:
            return f"no better validation loss in {self.patience} evaluations"
        if (total is not None and self.done >= total) or size == 0:
            by_epochs = passes.epochs is not None
            what = plural(passes.epochs, "epoch") if by_epochs else plural(total, "step")
            return f"{what} done{again}"
        if self.max_seconds is not None and time.monotonic() - start > self.max_seconds:
            return f"{self.max_seconds:g} seconds are over"
        return ""

    def _stopped_at_once(self, number: int) -> Stopped:
        steps = self._checkpoints.steps() if self._checkpoints else []
        saved = f"the last checkpoint is that of step {steps[-1]}" if steps else "nothing is saved"
        text = f"stopped at once in step {self.done + 1}; {saved}"
        return Stopped(text, number, self.run and self.run.folder)

    def _step(self, step: Step, loss_of: LossOf, batches: Any) -> Tensor:
        """Do one step, and what follows from whether it changed the parameters; its loss."""
        # with a loss scale infinite gradients are expected: NumPy need not warn of them
        quiet: Any = {} if self.loss_scale is None else {"over": "ignore", "invalid": "ignore"}
        with np.errstate(**quiet):
            loss, done = step(batches, self._scale())
        if not done and not self.careful:
            problem = why_not_finite(self.model, loss.item(), loss_of, batches)
            before = " or before" if self.capture else ""
            raise DataError(f"at step {self.done + 1}{before} {problem}")
        if self.loss_scale is not None:
            self.loss_scale, self.good = next_scale(self.loss_scale, self.good, finite=done)
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

    def _scale(self) -> Tensor | None:
        """The loss scale on the parameters' device."""
        if self.loss_scale is None:
            return None
        p = next(self.model.parameters())
        dtype = float64 if p.dtype is float64 else float32
        with backends.using(p.backend):
            return asarray(self.loss_scale, dtype=dtype, device=p.device)

    # -- evaluation and metrics ---------------------------------------------------------------

    def _report(self, loss: Tensor, last: bool) -> str:
        """Evaluate if it is time; log the metrics; return the text for the progress line."""
        value = loss.item()
        metrics: dict[str, Any] = {"step": self.done, f"{self.label}loss": value}
        note = f"{self.label}loss {value:.3f}"
        if self.evaluate is not None and (last or self.done % self.eval_every == 0):
            cast = autocast(dtype=self.precision) if self.precision else nullcontext()
            paused = time.monotonic()
            with evaluation(self.model), self._averaged(), cast:
                score = expect_score(self.evaluate())
            begun, start = self._since
            self._since = begun, start + time.monotonic() - paused
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
            begun, start = self._since  # without evaluation
            tokens = (self.done - begun) * self.tokens_per_step * self.accumulate
            metrics["tokens/s"] = round(tokens / (time.monotonic() - start))
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
        """Give the model its average weights in a ``with`` block, if there are any."""
        if self.average is None:
            yield
            return
        own = [p.array for p in self.model.parameters()]
        try:
            for p, q in zip(self.model.parameters(), self.average.module.parameters(), strict=True):
                p.array = q.array
            yield
        finally:
            for p, array in zip(self.model.parameters(), own, strict=True):
                p.array = array

    def _remaining(self, passes: Passes, parallel: Parallel) -> Iterator[Any]:
        """The batches still to come, after everything is restored from the newest checkpoint."""
        if self.run is None or not self.run.resumed:
            return iter(passes)
        newest = self._checkpoints.latest() if self._checkpoints else None
        self.run.rewind(f"{self.label}loss", newest[0] if newest else 0)
        if newest is None:
            return iter(passes)
        return restore(self, newest, passes, parallel, self._setting)


def mean_loss(model: Any, batches: Iterable[Any]) -> float:
    """The mean of ``model.loss(batch)`` over the samples of all batches, without gradients."""
    with evaluation(model):
        losses = [(model.loss(batch).item(), len(batch[0])) for batch in batches]
    return sum(loss * n for loss, n in losses) / sum(n for _, n in losses)


def decay_groups(params: Iterable[Tensor], weight_decay: float) -> list[dict[str, Any]]:
    """Parameter groups: weight decay for matrices, none for gains and biases of one axis."""
    params = list(params)
    groups = [
        {"params": [p for p in params if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in params if p.ndim < 2], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def unmoved(before: dict[str, Tensor], model: Module) -> list[str]:
    """The names of trainable parameters that equal their values ``before`` training."""
    return [
        name
        for name, p in model.named_parameters()
        if p.requires_grad and bool((p.detach() == before[name]).all())
    ]
