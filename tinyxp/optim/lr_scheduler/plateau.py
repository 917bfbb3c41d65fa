"""A schedule that reduces the rate when a metric stops improving."""

import math
from typing import Any

from tinyxp.errors import ArgumentError
from tinyxp.optim.lr_scheduler.base import BOOKKEEPING, LRScheduler, for_each_group
from tinyxp.optim.optimizer import Optimizer

__all__ = ["ReduceLROnPlateau"]


class ReduceLROnPlateau(LRScheduler):
    """lr ← max(lr · ``factor``, ``min_lr``) once a metric has not improved for more than
    ``patience`` steps.

    Call ``step(metric)`` after each validation. Lower ("min") or higher ("max") is better, by
    ``mode``. To count as better, a metric must beat the best by ``threshold``, relative to the best
    ("rel") or absolute ("abs"). The ``cooldown`` steps after a reduction do not count. A change of
    at most ``eps`` is not made.

    >>> optimizer = tx.optim.SGD([tx.asarray([1.0])], lr=1.0)
    >>> schedule = tx.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
    >>> for loss in (3.0, 2.0, 2.0, 2.0):
    ...     schedule.step(loss)
    >>> schedule.get_last_lr()
    [0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | list[float] = 0.0,
        eps: float = 1e-8,
    ) -> None:
        if factor >= 1:
            raise ArgumentError(f"factor expects a number below 1, got {factor}")
        if mode not in ("min", "max") or threshold_mode not in ("rel", "abs"):
            raise ArgumentError(
                "expected mode 'min' or 'max' and threshold_mode 'rel' or 'abs', got "
                f"{mode!r} and {threshold_mode!r}"
            )
        self.attach(optimizer)
        self.mode, self.factor, self.patience, self.eps = mode, factor, patience, eps
        self.threshold, self.threshold_mode, self.cooldown = threshold, threshold_mode, cooldown
        self.min_lrs = for_each_group("min_lr", min_lr, optimizer)
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = self.last_epoch = 0
        self._last_lr = [group["lr"] for group in optimizer.param_groups]

    def is_better(self, metric: float) -> bool:
        """Whether a metric beats the best so far by the threshold."""
        sign = -1 if self.mode == "min" else 1
        if self.threshold_mode == "abs":
            bound = self.best + sign * self.threshold
        else:
            bound = self.best * (1 + sign * self.threshold)
        return sign * metric > sign * bound

    def step(self, metrics: Any, epoch: int | None = None) -> None:  # type: ignore[override]
        """Count a metric, a number or a Tensor of one element, and reduce the rates if necessary.

        ``epoch`` is the number of this step; None means one more than the last.
        """
        metric = float(metrics)
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        if self.is_better(metric):
            self.best, self.num_bad_epochs = metric, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        lrs = [group["lr"] for group in self.optimizer.param_groups]
        if self.num_bad_epochs > self.patience:
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
            lower = [max(lr * self.factor, low) for lr, low in zip(lrs, self.min_lrs, strict=True)]
            lrs = [b if a - b > self.eps else a for a, b in zip(lrs, lower, strict=True)]
        self._set(lrs)

    spare = BOOKKEEPING | {"default_min_lr", "mode_worse"}  # they follow from the others

    def state_dict(self) -> dict[str, Any]:
        state = super().state_dict()
        del state["_step_count"]
        worst = math.inf if self.mode == "min" else -math.inf
        return state | {"default_min_lr": self.min_lrs[0], "mode_worse": worst}

    def _take(self, state: dict[str, Any]) -> None:
        super()._take({k: v for k, v in state.items() if k not in self.spare})
