"""Combinations of schedules: one after the other, or all at every step."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from tinyxp.errors import ArgumentError, DTypeError
from tinyxp.optim.lr_scheduler.base import BOOKKEEPING, LRScheduler, expect_keys
from tinyxp.optim.lr_scheduler.plateau import ReduceLROnPlateau
from tinyxp.optim.optimizer import Optimizer

__all__ = ["ChainedScheduler", "SequentialLR"]


class CombinedScheduler(LRScheduler):
    """The base of schedules that consist of others."""

    schedulers: list[LRScheduler]
    spare: frozenset[str] = BOOKKEEPING | {"last_epoch"}

    def of(self, optimizer: Optimizer, schedulers: Sequence[LRScheduler]) -> None:
        """Store the schedules; they must belong to this optimizer and need no metric."""
        self.attach(optimizer)
        self.schedulers = list(schedulers)
        if any(getattr(part, "optimizer", None) is not optimizer for part in self.schedulers):
            raise ArgumentError("expected schedules of this optimizer, got one of another")
        for scheduler in self.schedulers:
            if isinstance(scheduler, ReduceLROnPlateau):
                raise DTypeError(
                    "ReduceLROnPlateau needs a metric at each step; call it separately"
                )

    def get_last_lr(self) -> list[float]:
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        return {
            "_last_lr": self.get_last_lr(),
            "_schedulers": [scheduler.state_dict() for scheduler in self.schedulers],
        }

    def _expect(self, state: dict[str, Any]) -> None:
        expect_keys(type(self).__name__, self.state_dict(), state, self.spare)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._expect(state_dict)
        states = state_dict["_schedulers"]
        if len(states) != len(self.schedulers):
            raise ArgumentError(
                f"expected the states of {len(self.schedulers)} schedules, got {len(states)}"
            )
        for scheduler, state in zip(self.schedulers, states, strict=True):
            scheduler._expect(state)  # all, before any is changed
        for scheduler, state in zip(self.schedulers, states, strict=True):
            scheduler.load_state_dict(state)


class SequentialLR(CombinedScheduler):
    """One schedule after the other: schedule i starts at step ``milestones[i - 1]``.

    >>> optimizer = tx.optim.SGD([tx.asarray([1.0])], lr=1.0)
    >>> warmup = tx.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.5, total_iters=2)
    >>> cosine = tx.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=2)
    >>> schedule = tx.optim.lr_scheduler.SequentialLR(optimizer, [warmup, cosine], milestones=[2])
    >>> [schedule.lr_at(epoch, 1.0, 0) for epoch in range(5)]
    [0.5, 0.75, 1.0, 0.5, 0.0]
    """

    spare = BOOKKEEPING

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: Sequence[LRScheduler],
        milestones: Sequence[int],
        last_epoch: int = -1,
    ) -> None:
        if len(schedulers) != len(milestones) + 1 or sorted(set(milestones)) != list(milestones):
            raise ArgumentError(
                "expected one more schedule than milestones, and milestones in rising order, got "
                f"{len(schedulers)} schedules and milestones {list(milestones)}"
            )
        self.of(optimizer, schedulers)
        self.milestones = list(milestones)
        self.last_epoch = last_epoch + 1
        for group in optimizer.param_groups:  # undo the first steps of the schedules
            group["lr"] = group["initial_lr"]
        self.restart()

    def restart(self) -> None:
        self.schedulers[bisect_right(self.milestones, 0)].restart()

    def step(self, epoch: int | None = None) -> None:
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        i = bisect_right(self.milestones, self.last_epoch)
        start = self.milestones[i - 1] if i else 0
        jumps = epoch is not None or (i and start == self.last_epoch)
        self.schedulers[i].step(self.last_epoch - start if jumps else None)

    def state_dict(self) -> dict[str, Any]:
        own = {"last_epoch": self.last_epoch, "_milestones": list(self.milestones)}
        return own | super().state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.last_epoch = state_dict["last_epoch"]
        self.milestones = list(state_dict["_milestones"])

    def lr_at(self, epoch: int, base_lr: float, group: int) -> float:
        i = bisect_right(self.milestones, epoch)
        start = self.milestones[i - 1] if i else 0
        return self.schedulers[i].lr_at(epoch - start, base_lr, group)


class ChainedScheduler(CombinedScheduler):
    """All schedules at every step; each continues from the rate that the previous one set.

    >>> optimizer = tx.optim.SGD([tx.asarray([1.0])], lr=1.0)
    >>> constant = tx.optim.lr_scheduler.ConstantLR(optimizer, factor=0.5, total_iters=1)
    >>> halved = tx.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    >>> schedule = tx.optim.lr_scheduler.ChainedScheduler([constant, halved])
    >>> schedule.get_last_lr()
    [0.5]
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.5]
    """

    def __init__(
        self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None
    ) -> None:
        if not schedulers:
            raise ArgumentError("a ChainedScheduler expects schedules, got none")
        self.of(schedulers[0].optimizer if optimizer is None else optimizer, schedulers)

    def step(self, epoch: int | None = None) -> None:
        if epoch == 0:
            self.restart()
        elif epoch is not None:
            raise ArgumentError(f"a ChainedScheduler takes single steps, got epoch={epoch}")
        else:
            for scheduler in self.schedulers:
                scheduler.step()

    def restart(self) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        for scheduler in self.schedulers:
            scheduler.restart()

    @property
    def last_epoch(self) -> int:  # type: ignore[override]
        """The number of steps of the first schedule."""
        return self.schedulers[0].last_epoch
