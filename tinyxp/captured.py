"""The Trainer's step as a CUDA graph."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tinyxp import backends
from tinyxp.backends.errors import ArgumentError, BackendError, DataError
from tinyxp.core import Tensor
from tinyxp.cuda import graph
from tinyxp.finite import all_finite, why_not_finite

if TYPE_CHECKING:
    from tinyxp.train import Trainer


def expect_capturable(trainer: "Trainer") -> None:
    """Raise ArgumentError for what needs a look at each step, BackendError without a GPU."""
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
    backends.get("cupy")
    if elsewhere := {p.backend.name for p in trainer.model.parameters()} - {"cupy"}:
        raise BackendError(
            f"graph=True needs a model on a GPU, got one on {', '.join(map(repr, elsewhere))}; "
            "move it: model.to('cupy'), or --backend cupy"
        )


def captured(trainer: "Trainer", loss_of: Callable[[Any], Tensor]) -> Callable[[Any], Tensor]:
    """``Trainer._step`` of some batches by ``tx.cuda.graph``, the schedule outside of it."""

    def whole(batches: list[Any]) -> Tensor:
        trainer.optimizer.zero_grad()
        losses = []
        for batch in batches:
            loss = loss_of(batch)
            if len(batches) > 1:
                loss = loss * (1 / len(batches))
            loss.backward()
            losses.append(loss.detach())
        trainer.change()
        return sum(losses[1:], losses[0])

    replay = graph(whole)

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
