"""LRScheduler, the base of all schedules, and checks of their options."""

import inspect
from collections.abc import Iterable
from copy import copy
from typing import Any, ClassVar

from tinyxp.backends.common.capture import capturing
from tinyxp.core.foreign_errors import typed, typed_init
from tinyxp.errors import ArgumentError, CaptureError, DTypeError
from tinyxp.nn.fields import declared_fields
from tinyxp.optim.optimizer import Optimizer
from tinyxp.optim.options import DeclaresFields, constructor
from tinyxp.optim.state_dict import expect_names

__all__ = ["LRScheduler"]

# keys of states that do not affect later rates and differ between releases of PyTorch
BOOKKEEPING = frozenset(
    ("_step_count", "_is_initial", "_get_lr_called_within_step", "_initial_step", "verbose")
)
PER_GROUP = (
    *("base_lrs", "_last_lr", "max_lrs", "min_lrs"),
    *("base_momentums", "max_momentums", "lr_lambdas"),
)


class LRScheduler(DeclaresFields):
    """The base of all schedules. A subclass adds ``lr_at``, or PyTorch's ``get_lr``. Those of
    tinyxp may declare their options as fields, which end with ``last_epoch``.

    Call ``step()`` after every ``optimizer.step()``. ``last_epoch`` counts the calls; to resume,
    pass the number of the last one, or load the state. Raises DTypeError if ``optimizer`` is not
    an Optimizer, ArgumentError if it is resumed with groups that lack 'initial_lr'.
    """

    spare = BOOKKEEPING
    counts: ClassVar[tuple[str, ...]] = ()  # options that are integers from 1 up

    optimizer: Optimizer

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if cls.__module__.startswith("tinyxp.") and "last_epoch" in inspect.get_annotations(cls):
            fields = declared_fields(cls)
            cls.__init__ = constructor(cls, "optimizer", fields, cls._init)  # type: ignore[method-assign]
        typed_init(cls)

    def _init(self, optimizer: Optimizer, options: dict[str, Any]) -> None:
        for name in self.counts:
            at_least(name, options[name], 1)
        for name, value in options.items():
            setattr(self, name, value)
        self.prepare()
        LRScheduler.__init__(self, optimizer, self.last_epoch)

    def prepare(self) -> None:
        """Check the options and derive others. Raises ArgumentError."""

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
        """Set the first rates, before any step of training."""
        self._is_initial = True
        self.step()
        self._is_initial = False

    def attach(self, optimizer: Optimizer) -> None:
        """Store the optimizer whose rates the schedule sets."""
        if not isinstance(optimizer, Optimizer):
            raise DTypeError(f"a schedule expects an optimizer, got {type(optimizer).__name__}")
        self.optimizer = optimizer

    def lr_at(self, epoch: int, base_lr: float, group: int) -> float:
        """The learning rate of a group after ``epoch`` calls of ``step``."""
        raise NotImplementedError

    def get_lr(self) -> list[float]:
        """The rates for ``last_epoch``, called by ``step``."""
        return [self.lr_at(self.last_epoch, lr, i) for i, lr in enumerate(self.base_lrs)]

    def lrs_from_start(self) -> list[float]:
        """The rates for ``last_epoch``, independent of the present ones."""
        if type(self).lr_at is LRScheduler.lr_at:
            return self.get_lr()
        return LRScheduler.get_lr(self)

    def step(self, epoch: int | None = None) -> None:
        """Set the next learning rate, or that of ``epoch``."""
        if capturing() is not None:
            raise CaptureError(
                "scheduler.step() inside a captured step would run only once; call it after each "
                "call of the captured step"
            )
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        self._set(self.get_lr() if epoch is None else self.lrs_from_start())

    def _set(self, lrs: list[float]) -> None:
        for group, lr in zip(self.optimizer.param_groups, lrs, strict=True):
            group["lr"] = lr
        self._last_lr = list(lrs)

    def restart(self) -> None:
        """Start again from the present rates of the groups."""
        self.last_epoch = -1
        self.begin()

    def get_last_lr(self) -> list[float]:
        """The learning rate of each group that this schedule set last."""
        return list(self._last_lr)

    def state_dict(self) -> dict[str, Any]:
        """The options and the position, under PyTorch's names; functions are left out, as in
        PyTorch."""
        held = {k: v for k, v in vars(self).items() if k != "optimizer" and not callable(v)}
        return {k: copy(v) for k, v in held.items()} | {"_step_count": self.last_epoch + 1}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a state, ours or PyTorch's, including its options. The rates of the groups
        are in the state of the optimizer.

        Raises ArgumentError for the state of another schedule, or for another number of groups.
        """
        self._expect(state_dict)
        self._take({k: v for k, v in state_dict.items() if k not in BOOKKEEPING})

    def _expect(self, state: dict[str, Any]) -> None:
        """Raise ArgumentError unless it is the state of such a schedule."""
        expect_keys(type(self).__name__, self.state_dict().keys(), state.keys(), self.spare)
        groups = len(self.optimizer.param_groups)
        for name in PER_GROUP:  # in this order, so that an error is the same each time
            if name in state and len(state[name]) != groups:
                raise ArgumentError(
                    f"{name} expects one value for each of {groups} groups, got a state with "
                    f"{len(state[name])}; make the optimizer with the same groups first"
                )

    def _take(self, state: dict[str, Any]) -> None:
        """Store the values of a state."""
        for name, value in state.items():
            rates = name in PER_GROUP and name != "lr_lambdas"  # PyTorch's may be tensors
            setattr(self, name, [float(lr) for lr in value] if rates else copy(value))


def expect_keys(kind: str, own: Iterable[str], given: Iterable[str], spare: Iterable[str]) -> None:
    """Raise ArgumentError unless a state has the keys ``own``; those in ``spare`` are optional."""
    expect_names(f"a {kind}:", {*own} - {*spare}, {*own, *spare}, given)


def for_each_group(name: str, value: Any, optimizer: Optimizer) -> list[Any]:
    """The option ``name`` of each group, from one value for all or a list with one each."""
    n = len(optimizer.param_groups)
    values = [value] * n if not isinstance(value, (list, tuple)) else list(value)
    if len(values) != n:
        raise ArgumentError(f"{name} expects one value for each of {n} groups, got {len(values)}")
    return values


def at_least(name: str, value: Any, low: int) -> None:
    """Raise ArgumentError unless ``value`` is an integer from ``low`` up."""
    if not isinstance(value, int) or value < low:
        raise ArgumentError(f"{name} expects an integer from {low} up, got {value}")
