"""One training step: gradients, a check for NaN and Inf, the update; eager or captured."""

from functools import partial
from typing import Any

from tinyxp.capture.step import CapturedStep
from tinyxp.core.tensor import Tensor
from tinyxp.errors import InputsError
from tinyxp.nn.utils.clip_grad import all_finite, clip_grad_norm_
from tinyxp.ops.creation import astype
from tinyxp.train.options import Options
from tinyxp.train.parallel import Parallel
from tinyxp.train.split_check import LossOf, expect_loss


class Step:
    """``step(batches, scale)`` changes the parameters by the gradients of the mean loss of some
    batches; it returns the loss, and whether there was an update.

    With ``capture`` it is recorded once and replayed. A skipped step must not be recorded, so steps
    run uncaptured until one succeeds.
    """

    def __init__(self, options: Options, parallel: Parallel, loss_of: LossOf) -> None:
        self.options, self.parallel, self.loss_of = options, parallel, loss_of
        self.captured: CapturedStep | None = None
        self.ready = not options.careful  # whether the next step may be recorded

    def __call__(self, batches: Any, scale: Tensor | None) -> tuple[Tensor, bool]:
        if self.options.capture:
            return self._replay(batches, scale)
        return self._run(self.loss_of, batches, scale)

    def _run(self, loss_of: LossOf, batches: Any, scale: Tensor | None) -> tuple[Tensor, bool]:
        options = self.options
        options.optimizer.zero_grad()
        buffers = [(buffer, buffer.array) for buffer in options.model.buffers()]

        def scaled(batch: Any) -> Tensor:  # the bits of a loop written by hand
            loss = expect_loss(loss_of(batch))
            loss = loss if len(batches) == 1 else loss / len(batches)
            return loss if scale is None else loss * scale

        losses = [self.parallel.backward(scaled, batch) for batch in batches]
        loss = sum(losses[1:], losses[0])
        if scale is not None:
            loss = loss / scale
            for g in self._gradients():
                g.array = astype(g.detach() * (1 / scale), g.dtype, copy=False).array
        looks = options.careful
        if not options.capture:  # on a GPU the check would wait for the step
            looks |= self._logged() or not loss.device.startswith("cuda")
        if looks and not all_finite([loss, *self._gradients()]):
            for buffer, array in buffers:
                buffer.array = array
            return loss, False
        self.update()
        return loss, True

    def update(self) -> None:
        """Change the parameters by their gradients."""
        if self.options.grad_clip:
            clip_grad_norm_(self.options.model.parameters(), self.options.grad_clip)
        self.options.optimizer.step()

    def _replay(self, batches: list[Any], scale: Tensor | None) -> tuple[Tensor, bool]:
        # capture compares what a step reaches by name: the loss function is an argument, because
        # it does not look into objects of the library
        run = partial(self._run, self.loss_of)
        if not self.ready:
            loss, self.ready = run(batches, scale)
            return loss, self.ready
        first = self.captured is None
        if self.captured is None:
            backend = next(self.options.model.parameters()).backend.name
            self.captured = CapturedStep(run, backend)
        try:
            loss, done = self.captured(batches, scale)
        except InputsError:  # the sizes differ from those that were recorded
            loss, done = run(batches, scale)
        if first and not done:
            self.captured, self.ready = None, False
        if not self.options.careful and self._logged():
            done = all_finite([loss, *self._gradients()])
        return loss, done

    def _logged(self) -> bool:
        return (self.options.done + 1) % self.options.log_every == 0

    def _gradients(self) -> list[Tensor]:
        return [p.grad for p in self.options.model.parameters() if p.grad is not None]
