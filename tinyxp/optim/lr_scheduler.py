"""Learning-rate schedules: each a function of the step, with PyTorch's names and values.

PyTorch's get their rate from the one before; here it follows from the step alone, so that a
schedule can be resumed, joined and read anywhere.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

from tinyxp.backends.errors import ArgumentError
from tinyxp.optim.optimizer import Optimizer


class LRScheduler:
    """The base of all schedules: ``lr_at`` is all that one has to add.

    Call ``step()`` after every ``optimizer.step()``. ``last_epoch`` counts the calls; to resume,
    give the last one's number, or load the state.
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.optimizer = optimizer
        for group in optimizer.param_groups:
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise ArgumentError(
                    f"resuming at last_epoch={last_epoch} expects 'initial_lr' in every group; "
                    "load the optimizer's state first"
                )
        self.base_lrs: list[float] = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self.step()

    def lr_at(self, epoch: int, base_lr: float, group: int) -> float:
        """The learning rate of a group after ``epoch`` calls of ``step``."""
        raise NotImplementedError

    def step(self) -> None:
        """Go on to the next learning rate."""
        self.last_epoch += 1
        for i, group in enumerate(self.optimizer.param_groups):
            group["lr"] = self.lr_at(self.last_epoch, self.base_lrs[i], i)

    def get_last_lr(self) -> list[float]:
        """The learning rate of each group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """``last_epoch`` and ``base_lrs``; the rates themselves are in the optimizer's state."""
        return {"last_epoch": self.last_epoch, "base_lrs": list(self.base_lrs)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state."""
        self.last_epoch = state_dict["last_epoch"]
        self.base_lrs = list(state_dict["base_lrs"])


class LambdaLR(LRScheduler):
    """lr = initial lr · ``lr_lambda(epoch)``; a list holds one function for each group.

    >>> optimizer = tx.optim.SGD([tx.asarray([1.0])], lr=8.0)
    >>> schedule = tx.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.5**epoch)
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [4.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        n = len(optimizer.param_groups)
        self.lr_lambdas = [lr_lambda] * n if callable(lr_lambda) else list(lr_lambda)
        if len(self.lr_lambdas) != n:
            raise ArgumentError(
                f"expected a function for each of {n} groups, got {len(self.lr_lambdas)}"
            )
        super().__init__(optimizer, last_epoch)

    def lr_at(self, epoch: int, base_lr: float, group: int) -> float:
        return base_lr * self.lr_lambdas[group](epoch)


class CosineAnnealingLR(LRScheduler):
    """lr = η + (initial lr - η) (1 + cos(π epoch / T_max)) / 2, with η = ``eta_min``.

    Source: Loshchilov and Hutter 2017, eq. 5, without restarts.

    >>> optimizer = tx.optim.SGD([tx.asarray([1.0])], lr=1.0)
    >>> schedule = tx.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=2)
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.5]
    """

    def __init__(
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        if T_max < 1:
            raise ArgumentError(f"T_max expects a number of steps from 1 up, got {T_max}")
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def lr_at(self, epoch: int, base_lr: float, group: int) -> float:
        cosine = (1 + math.cos(math.pi * epoch / self.T_max)) / 2
        return self.eta_min + (base_lr - self.eta_min) * cosine


class LinearLR(LRScheduler):
    """lr = initial lr · a factor that goes from ``start_factor`` to ``end_factor`` in a line.

    >>> optimizer = tx.optim.SGD([tx.asarray([1.0])], lr=1.0)
    >>> schedule = tx.optim.lr_scheduler.LinearLR(optimizer, 0.5, total_iters=2)
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.75]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if not 0 < start_factor <= 1 or not 0 <= end_factor <= 1:
            raise ArgumentError(
                f"expected start_factor in (0, 1] and end_factor in [0, 1], got {start_factor} "
                f"and {end_factor}"
            )
        if total_iters < 1:
            raise ArgumentError(f"total_iters expects a number from 1 up, got {total_iters}")
        self.start_factor, self.end_factor = start_factor, end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def lr_at(self, epoch: int, base_lr: float, group: int) -> float:
        done = min(epoch, self.total_iters) / self.total_iters
        return base_lr * (self.start_factor + (self.end_factor - self.start_factor) * done)


class SequentialLR(LRScheduler):
    """One schedule after the other: the i-th from ``milestones[i - 1]`` on, counting from there.

    >>> optimizer = tx.optim.SGD([tx.asarray([1.0])], lr=1.0)
    >>> warmup = tx.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.5, total_iters=2)
    >>> cosine = tx.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=2)
    >>> schedule = tx.optim.lr_scheduler.SequentialLR(optimizer, [warmup, cosine], milestones=[2])
    >>> [schedule.lr_at(epoch, 1.0, 0) for epoch in range(5)]
    [0.5, 0.75, 1.0, 0.5, 0.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: Sequence[LRScheduler],
        milestones: Sequence[int],
        last_epoch: int = -1,
    ) -> None:
        if len(schedulers) != len(milestones) + 1 or sorted(set(milestones)) != list(milestones):
            raise ArgumentError(
                "expected one more schedule than milestones, and these in rising order, got "
                f"{len(schedulers)} schedules and milestones {list(milestones)}"
            )
        if any(scheduler.optimizer is not optimizer for scheduler in schedulers):
            raise ArgumentError("expected schedules of this optimizer, got one of another")
        self.schedulers, self.milestones = list(schedulers), list(milestones)
        super().__init__(optimizer, last_epoch)

    def lr_at(self, epoch: int, base_lr: float, group: int) -> float:
        i = sum(milestone <= epoch for milestone in self.milestones)
        start = self.milestones[i - 1] if i else 0
        return self.schedulers[i].lr_at(epoch - start, base_lr, group)


def cosine_with_warmup(
    optimizer: Optimizer, warmup_steps: int, total_steps: int, min_lr_ratio: float = 0.1
) -> LambdaLR:
    """A line up to the initial lr over ``warmup_steps``, then half a cosine down to
    ``min_lr_ratio`` of it at ``total_steps``, where it stays.

    Source: nanoGPT's ``get_lr``; GPT-3 (Brown et al. 2020, appendix B) was trained so.

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
        return min_lr_ratio + (1 - min_lr_ratio) * (1 + math.cos(math.pi * done)) / 2

    return LambdaLR(optimizer, ratio)
