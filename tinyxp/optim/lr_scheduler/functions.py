"""Schedules from the user's function of the step, and cosine_with_warmup."""

from collections.abc import Callable, Sequence
from typing import Any

from tinyxp.core.foreign_errors import typed
from tinyxp.errors import ArgumentError
from tinyxp.optim.lr_scheduler.base import LRScheduler, for_each_group
from tinyxp.optim.lr_scheduler.factors import cosine
from tinyxp.optim.optimizer import Optimizer

__all__ = ["LambdaLR", "MultiplicativeLR", "cosine_with_warmup"]

Functions = Callable[[int], float] | Sequence[Callable[[int], float]]


class LambdaLR(LRScheduler):
    """lr = initial lr · ``lr_lambda(epoch)``; a list holds one function for each group.

    >>> optimizer = tx.optim.SGD([tx.asarray([1.0])], lr=8.0)
    >>> schedule = tx.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.5**epoch)
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [4.0]
    """

    def __init__(self, optimizer: Optimizer, lr_lambda: Functions, last_epoch: int = -1) -> None:
        self.attach(optimizer)
        self.lr_lambdas = for_each_group("lr_lambda", lr_lambda, optimizer)
        super().__init__(optimizer, last_epoch)

    def lr_at(self, epoch: int, base_lr: float, group: int) -> float:
        return base_lr * self.lr_lambdas[group](epoch)

    def state_dict(self) -> dict[str, Any]:
        """The state of every schedule, with the attributes of callable objects; functions have
        none."""
        held = [dict(getattr(f, "__dict__", {})) or None for f in self.lr_lambdas]
        return super().state_dict() | {"lr_lambdas": held}

    def _take(self, state: dict[str, Any]) -> None:
        for function, held in zip(self.lr_lambdas, state["lr_lambdas"], strict=True):
            if held and not hasattr(function, "__dict__"):
                raise ArgumentError(
                    f"{function!r} cannot take the attributes of the callable in the state"
                )
            if held:
                function.__dict__.update(held)
        super()._take({k: v for k, v in state.items() if k != "lr_lambdas"})


class MultiplicativeLR(LambdaLR):
    """lr ← lr · ``lr_lambda(epoch)`` at each step; a list holds one function for each group.

    >>> optimizer = tx.optim.SGD([tx.asarray([1.0])], lr=8.0)
    >>> schedule = tx.optim.lr_scheduler.MultiplicativeLR(optimizer, lambda epoch: 0.5)
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [4.0]
    """

    def lr_at(self, epoch: int, base_lr: float, group: int) -> float:
        for i in range(1, epoch + 1):
            base_lr *= self.lr_lambdas[group](i)
        return base_lr

    def get_lr(self) -> list[float]:
        lrs = [group["lr"] for group in self.optimizer.param_groups]
        if self._is_initial:
            return lrs
        return [lr * f(self.last_epoch) for lr, f in zip(lrs, self.lr_lambdas, strict=True)]

    def lrs_from_start(self) -> list[float]:
        return self.get_lr()  # it cannot be computed from the start


@typed
def cosine_with_warmup(
    optimizer: Optimizer, warmup_steps: int, total_steps: int, min_lr_ratio: float = 0.1
) -> LambdaLR:
    """Linear warm-up to the initial lr over ``warmup_steps``, then half a cosine down to
    ``min_lr_ratio`` of it at ``total_steps``, and constant after that.

    Source: nanoGPT's ``get_lr``; GPT-3 used it (Brown et al. 2020, appendix B).

    >>> optimizer = tx.optim.SGD([tx.asarray([1.0])], lr=1.0)
    >>> schedule = tx.optim.lr_scheduler.cosine_with_warmup(optimizer, 1, 3, min_lr_ratio=0.0)
    >>> [round(schedule.lr_at(epoch, 1.0, 0), 6) for epoch in range(4)]
    [0.5, 1.0, 0.5, 0.0]
    """
    if not 0 <= warmup_steps <= total_steps:
        raise ArgumentError(
            f"expected 0 <= warmup_steps <= total_steps, got {warmup_steps} and {total_steps}"
        )

    def ratio(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / (warmup_steps + 1)
        if step >= total_steps:
            return min_lr_ratio
        done = (step - warmup_steps) / (total_steps - warmup_steps)
        return min_lr_ratio + (1 - min_lr_ratio) * cosine(done)

    return LambdaLR(optimizer, ratio)
