"""Schedules that multiply the initial rate by a function of the step."""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from typing import Any

from tinyxp.errors import ArgumentError
from tinyxp.optim.lr_scheduler.base import LRScheduler

__all__ = [
    "ConstantLR", "CosineAnnealingLR", "ExponentialLR", "LinearLR", "MultiStepLR", "PolynomialLR",
    "StepLR",
]  # fmt: skip


class FactorLR(LRScheduler):
    """lr = ε + (initial lr - ε) · ``scale(epoch)``, where ε is the ``floor`` of the group.

    If something else has changed the rate since the last step, the schedule multiplies that rate:
    lr ← ε + (lr - ε) · scale(epoch) / scale(epoch - 1). So schedules that are stepped in turn
    multiply each other.
    """

    def scale(self, epoch: int) -> float:
        """The factor of the initial rate after ``epoch`` calls of ``step``."""
        raise NotImplementedError

    def floor(self, group: int) -> float:
        """The rate at a factor of 0."""
        return 0.0

    def lr_at(self, epoch: int, base_lr: float, group: int) -> float:
        floor = self.floor(group)
        return floor + (base_lr - floor) * self.scale(epoch)

    def get_lr(self) -> list[float]:
        epoch = self.last_epoch
        if self._is_initial and epoch > 0:  # resumed with the rates of this step
            return [group["lr"] for group in self.optimizer.param_groups]
        before = self.scale(epoch - 1) if epoch > 0 else 1.0
        now = self.scale(epoch)
        lrs = []
        for i, (group, base) in enumerate(
            zip(self.optimizer.param_groups, self.base_lrs, strict=True)
        ):
            lr, floor = group["lr"], self.floor(i)
            if now == before:
                lrs.append(lr)
            elif lr == floor + (base - floor) * before:
                lrs.append(self.lr_at(epoch, base, i))
            elif before:
                lrs.append(floor + (lr - floor) * (now / before))
            else:  # the last factor was 0
                lrs.append(lr + (base - floor) * now)
        return lrs


class StepLR(FactorLR):
    """lr = initial lr · γ^⌊epoch / step_size⌋.

    >>> optimizer = tx.optim.SGD([tx.asarray([1.0])], lr=1.0)
    >>> schedule = tx.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
    >>> [schedule.lr_at(epoch, 1.0, 0) for epoch in range(5)]
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """

    counts = ("step_size",)

    step_size: int
    gamma: float = 0.1
    last_epoch: int = -1

    def scale(self, epoch: int) -> float:
        return self.gamma ** (epoch // self.step_size)


class MultiStepLR(FactorLR):
    """lr = initial lr · γⁿ, where n is the number of ``milestones`` passed.

    >>> optimizer = tx.optim.SGD([tx.asarray([1.0])], lr=1.0)
    >>> schedule = tx.optim.lr_scheduler.MultiStepLR(optimizer, [1, 4], gamma=0.5)
    >>> [schedule.lr_at(epoch, 1.0, 0) for epoch in range(5)]
    [1.0, 0.5, 0.5, 0.5, 0.25]
    """

    milestones: Sequence[int]
    gamma: float = 0.1
    last_epoch: int = -1

    def prepare(self) -> None:
        self.milestones = sorted(self.milestones)

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"milestones": Counter(self.milestones)}

    def _take(self, state: dict[str, Any]) -> None:
        super()._take(state | {"milestones": sorted(Counter(state["milestones"]).elements())})

    def scale(self, epoch: int) -> float:
        return self.gamma ** bisect_right(self.milestones, epoch)


class ExponentialLR(FactorLR):
    """lr = initial lr · γ^epoch.

    >>> optimizer = tx.optim.SGD([tx.asarray([1.0])], lr=1.0)
    >>> schedule = tx.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    >>> [schedule.lr_at(epoch, 1.0, 0) for epoch in range(3)]
    [1.0, 0.5, 0.25]
    """

    gamma: float
    last_epoch: int = -1

    def scale(self, epoch: int) -> float:
        return self.gamma**epoch


class ConstantLR(FactorLR):
    """lr = initial lr · ``factor`` for ``total_iters`` steps, then the initial lr.

    >>> optimizer = tx.optim.SGD([tx.asarray([1.0])], lr=1.0)
    >>> schedule = tx.optim.lr_scheduler.ConstantLR(optimizer, factor=0.5, total_iters=2)
    >>> [schedule.lr_at(epoch, 1.0, 0) for epoch in range(4)]
    [0.5, 0.5, 1.0, 1.0]
    """

    factor: float = 1.0 / 3
    total_iters: int = 5
    last_epoch: int = -1

    def prepare(self) -> None:
        if not 0 <= self.factor <= 1:
            raise ArgumentError(f"factor expects a number in [0, 1], got {self.factor}")

    def scale(self, epoch: int) -> float:
        return self.factor if epoch < self.total_iters else 1.0


class LinearLR(FactorLR):
    """lr = initial lr · a factor that moves linearly from ``start_factor`` to ``end_factor``.

    >>> optimizer = tx.optim.SGD([tx.asarray([1.0])], lr=1.0)
    >>> schedule = tx.optim.lr_scheduler.LinearLR(optimizer, 0.5, total_iters=2)
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.75]
    """

    start_factor: float = 1.0 / 3
    end_factor: float = 1.0
    total_iters: int = 5
    last_epoch: int = -1

    def prepare(self) -> None:
        if not 0 < self.start_factor <= 1 or not 0 <= self.end_factor <= 1:
            raise ArgumentError(
                "expected start_factor in (0, 1] and end_factor in [0, 1], got "
                f"{self.start_factor} and {self.end_factor}"
            )
        if self.total_iters < 1:
            raise ArgumentError(f"total_iters expects a number >= 1, got {self.total_iters}")

    def scale(self, epoch: int) -> float:
        done = min(epoch, self.total_iters) / self.total_iters
        return self.start_factor + (self.end_factor - self.start_factor) * done


class PolynomialLR(FactorLR):
    """lr = initial lr · (1 - epoch / total_iters)^power, and 0 from ``total_iters`` on.

    >>> optimizer = tx.optim.SGD([tx.asarray([1.0])], lr=1.0)
    >>> schedule = tx.optim.lr_scheduler.PolynomialLR(optimizer, total_iters=4, power=2.0)
    >>> [schedule.lr_at(epoch, 1.0, 0) for epoch in (0, 2, 4, 6)]
    [1.0, 0.25, 0.0, 0.0]
    """

    counts = ("total_iters",)

    total_iters: int = 5
    power: float = 1.0
    last_epoch: int = -1

    def scale(self, epoch: int) -> float:
        return (1 - min(epoch, self.total_iters) / self.total_iters) ** self.power


class CosineAnnealingLR(FactorLR):
    """lr = η + (initial lr - η) (1 + cos(π epoch / T_max)) / 2, with η = ``eta_min``.

    Source: Loshchilov and Hutter 2017, eq. 5, without restarts.

    >>> optimizer = tx.optim.SGD([tx.asarray([1.0])], lr=1.0)
    >>> schedule = tx.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=2)
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.5]
    """

    T_max: int
    eta_min: float = 0.0
    last_epoch: int = -1

    def prepare(self) -> None:
        if self.T_max < 1:
            raise ArgumentError(f"T_max expects a number of steps >= 1, got {self.T_max}")

    def floor(self, group: int) -> float:
        return self.eta_min

    def scale(self, epoch: int) -> float:
        return cosine(epoch / self.T_max)


def cosine(done: float) -> float:
    """Half a cosine: 1 at 0, 0 at 1."""
    return (1 + math.cos(math.pi * done)) / 2
