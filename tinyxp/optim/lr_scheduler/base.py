"""What all schedules share."""

from collections.abc import Iterable
from typing import Any

from tinyxp.backends.capture import capturing
from tinyxp.backends.errors import ArgumentError, CaptureError, DTypeError
from tinyxp.operation import typed, typed_init
from tinyxp.optim.optimizer import Optimizer


class LRScheduler:
    """The base of all schedules: ``lr_at`` is all that one has to add, or PyTorch's ``get_lr``.

    Call ``step()`` after every ``optimizer.step()``. ``last_epoch`` counts the calls; to resume,
    give the last one's number, or load the state. Raises DTypeError for what is no optimizer,
    ArgumentError when resumed with groups that lack 'initial_lr'.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        typed_init(cls)

    @typed
    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.attach(optimizer)
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
        self.begin()

    def begin(self) -> None:
        """The first step, which is no step of training."""
        self._is_initial = True
        self.step()
        self._is_initial = False

    def attach(self, optimizer: Optimizer) -> None:
        """Take the optimizer whose rates are set."""
        if not isinstance(optimizer, Optimizer):
            raise DTypeError(f"a schedule expects an optimizer, got {type(optimizer).__name__}")
        self.optimizer = optimizer

    def lr_at(self, epoch: int, base_lr: float, group: int) -> float:
        """The learning rate of a group after ``epoch`` calls of ``step``."""
        raise NotImplementedError

    def get_lr(self) -> list[float]:
        """The rates for ``last_epoch``, ``step`` having just counted it."""
        return [self.lr_at(self.last_epoch, lr, i) for i, lr in enumerate(self.base_lrs)]

    def lrs_from_start(self) -> list[float]:
        """The rates for ``last_epoch``, whatever the groups have now."""
        if type(self).lr_at is LRScheduler.lr_at:
            return self.get_lr()
        return LRScheduler.get_lr(self)

    def step(self, epoch: int | None = None) -> None:
        """Go on to the next learning rate, or to that of ``epoch``."""
        if capturing() is not None:
            raise CaptureError(
                "scheduler.step() inside a captured step would run once and never again; call it "
                "after each call of the graph"
            )
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        self._set(self.get_lr() if epoch is None else self.lrs_from_start())

    def _set(self, lrs: list[float]) -> None:
        for group, lr in zip(self.optimizer.param_groups, lrs, strict=True):
            group["lr"] = lr
        self._last_lr = list(lrs)

    def restart(self) -> None:
        """The first step, from the rates that the groups have."""
        self.last_epoch = -1
        self.begin()

    def get_last_lr(self) -> list[float]:
        """The learning rate of each group, as this schedule has set it."""
        return list(self._last_lr)

    def state_dict(self) -> dict[str, Any]:
        """What changes from step to step, under PyTorch's names."""
        return {
            "last_epoch": self.last_epoch,
            "_step_count": self.last_epoch + 1,
            "base_lrs": list(self.base_lrs),
            "_last_lr": list(self._last_lr),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state, ours or PyTorch's; the groups' rates are in the optimizer's state."""
        self.last_epoch = state_dict["last_epoch"]
        self.base_lrs = list(state_dict["base_lrs"])
        self._last_lr = list(state_dict["_last_lr"])


def for_each_group(name: str, value: Any, optimizer: Optimizer) -> list[Any]:
    """The option ``name`` of each group: one value for all, or a list with one for each."""
    n = len(optimizer.param_groups)
    values = [value] * n if not isinstance(value, (list, tuple)) else list(value)
    if len(values) != n:
        raise ArgumentError(f"{name} expects one value for each of {n} groups, got {len(values)}")
    return values


def same_optimizer(optimizer: Optimizer, schedulers: Iterable[LRScheduler]) -> None:
    """Raise ArgumentError unless all schedules are of this optimizer."""
    if any(getattr(scheduler, "optimizer", None) is not optimizer for scheduler in schedulers):
        raise ArgumentError("expected schedules of this optimizer, got one of another")


def at_least(name: str, value: Any, low: int) -> None:
    """Raise ArgumentError unless ``value`` is an integer from ``low`` up."""
    if not isinstance(value, int) or value < low:
        raise ArgumentError(f"{name} expects an integer from {low} up, got {value}")
