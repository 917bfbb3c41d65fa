"""The Trainer's step, captured."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tinyxp.backends.errors import ArgumentError, BackendError, DataError
from tinyxp.core import Tensor
from tinyxp.finite import all_finite, why_not_finite
from tinyxp.graphs import graph_on

if TYPE_CHECKING:
    from tinyxp.parallel import Parallel
    from tinyxp.train import Trainer


def expect_capturable(trainer: "Trainer") -> None:
    """Raise ArgumentError for what needs a look at each step, BackendError on a backend where none
    can be captured."""
    looks = {
        "ema": trainer.ema is not None,
        "loss_scale": trainer.loss_scale is not None,
        "on_nan='skip'": trainer.on_nan == "skip",
    }
    if found := [name for name, given in looks.items() if given]:
        raise ArgumentError(
            f"graph=True replays a step without a look at it, which {' and '.join(found)} needs; "
            "leave one of them out"
        )
    where = {p.backend.name for p in trainer.model.parameters()}
    if where not in ({"numpy"}, {"cupy"}):
        raise BackendError(
            f"graph=True needs a model on 'numpy' or on 'cupy', got one on "
            f"{', '.join(map(repr, sorted(where)))}; move it: model.to('numpy')"
        )


def captured(
    trainer: "Trainer", parallel: "Parallel", loss_of: Callable[[Any], Tensor]
) -> Callable[[Any], Tensor]:
    """``Trainer._step`` of some batches by ``tx.capture``, the schedule outside of it."""

    def whole(batches: list[Any]) -> Tensor:
        trainer.optimizer.zero_grad()
        factor = 1 / len(batches)
        scaled = loss_of if len(batches) == 1 else lambda batch: loss_of(batch) * factor
        losses = []
        for batch in batches:
            losses.append(parallel.backward(scaled, batch))
        trainer.change()
        return sum(losses[1:], losses[0])

    replay = graph_on(next(trainer.model.parameters()).backend.name, whole)

    def step(batches: list[Any]) -> Tensor:
        loss: Tensor = replay(batches)
        if trainer.scheduler is not None:
            trainer.scheduler.step()
        grads = [p.grad for p in trainer.model.parameters() if p.grad is not None]
        looks = (trainer.done + 1) % trainer.log_every == 0
        if looks and not all_finite([loss, *grads]):
            problem = why_not_finite(trainer.model, loss.item(), loss_of, batches)
            raise DataError(f"at step {trainer.done + 1} or before {problem}")
        return loss

    return step
