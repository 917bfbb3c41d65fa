"""Cyclic schedules: CyclicLR, OneCycleLR and cosine annealing with warm restarts."""

import math
from collections.abc import Callable
from typing import Any

from tinyxp.errors import ArgumentError
from tinyxp.optim.lr_scheduler.base import (
    BOOKKEEPING,
    LRScheduler,
    at_least,
    expect_keys,
    for_each_group,
)
from tinyxp.optim.lr_scheduler.factors import cosine
from tinyxp.optim.optimizer import Optimizer

__all__ = ["CosineAnnealingWarmRestarts", "CyclicLR", "OneCycleLR"]


class CosineAnnealingWarmRestarts(LRScheduler):
    """lr = η + (initial lr - η) (1 + cos(π t / T)) / 2, where t counts from the last restart.

    The first restart comes after T = ``T_0`` steps, each later one after ``T_mult`` times as many;
    η is ``eta_min``. ``step(epoch)`` accepts fractions of an epoch. Source: Loshchilov and Hutter
    2017, eq. 5.

    >>> optimizer = tx.optim.SGD([tx.asarray([1.0])], lr=1.0)
    >>> schedule = tx.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=2, T_mult=2)
    >>> [round(schedule.lr_at(epoch, 1.0, 0), 2) for epoch in range(7)]
    [1.0, 0.5, 1.0, 0.85, 0.5, 0.15, 1.0]
    """

    counts = ("T_0", "T_mult")

    T_0: int
    T_mult: int = 1
    eta_min: float = 0.0
    last_epoch: int = -1

    def prepare(self) -> None:
        self.epoch: float = self.last_epoch  # may be a fraction

    def since_restart(self, epoch: float) -> tuple[float, int]:
        """The steps since the last restart, and the steps between it and the next."""
        length = self.T_0
        if self.T_mult == 1:
            return epoch % length, length
        while epoch >= length:
            epoch -= length
            length *= self.T_mult
        return epoch, length

    def lr_at(self, epoch: float, base_lr: float, group: int) -> float:
        t, length = self.since_restart(epoch)
        return self.eta_min + (base_lr - self.eta_min) * cosine(t / length)

    def step(self, epoch: float | None = None) -> None:
        """Set the next learning rate, or that of ``epoch``, which may be a fraction."""
        self.epoch = self.epoch + 1 if epoch is None else epoch
        if self.epoch < 0:
            raise ArgumentError(f"epoch expects a number >= 0, got {epoch}")
        self._set([self.lr_at(self.epoch, lr, i) for i, lr in enumerate(self.base_lrs)])
        self.last_epoch = math.floor(self.epoch)

    def restart(self) -> None:
        self.step(0)

    def state_dict(self) -> dict[str, Any]:
        t, length = self.since_restart(self.epoch)
        state = super().state_dict() | {"T_cur": t, "T_i": length}
        del state["epoch"]
        return state

    def _take(self, state: dict[str, Any]) -> None:
        own = {k: v for k, v in state.items() if k not in ("T_cur", "T_i")}
        super()._take(own | {"epoch": state["last_epoch"] + state["T_cur"] % 1})


class MomentumLR(LRScheduler):
    """A schedule that also moves momentum, or Adam's β₁, opposite to the rate.

    A subclass adds ``momentum_at(epoch, group)`` beside ``lr_at``. The groups hold the bounds
    "base_momentum" and "max_momentum"; momentum starts at the second.
    """

    cycle_momentum: bool
    use_beta1: bool

    # keys of states if momentum is not cycled, and if it is
    spare = BOOKKEEPING | {"use_beta1", "base_momentums", "max_momentums"}
    needs: tuple[str, ...] = ("use_beta1",)

    def _expect(self, state: dict[str, Any]) -> None:
        super()._expect(state)
        if not state["cycle_momentum"]:
            return
        expect_keys(type(self).__name__, {*state, *self.needs}, state, ())
        if state["use_beta1"] != ("betas" in self.optimizer.defaults):
            raise ArgumentError(
                "this is the state of a schedule that moves "
                f"{'betas' if state['use_beta1'] else 'momentum'}, but the optimizer has none"
            )

    def momentum_at(self, epoch: int, group: int) -> float:
        """The momentum of a group after ``epoch`` calls of ``step``."""
        raise NotImplementedError

    def begin_momentum(self, cycle: bool, base: Any, high: Any, last_epoch: int) -> Any:
        """Write the bounds into the groups, unless the schedule is resumed; return them."""
        self.cycle_momentum = cycle
        if not cycle:
            return None
        self.use_beta1 = "betas" in self.optimizer.defaults
        if not {"momentum", "betas"} & self.optimizer.defaults.keys():
            raise ArgumentError(
                f"cycle_momentum expects an optimizer with momentum or betas, got "
                f"{type(self.optimizer).__name__}; pass cycle_momentum=False"
            )
        bases = for_each_group("base_momentum", base, self.optimizer)
        highs = for_each_group("max_momentum", high, self.optimizer)
        if last_epoch == -1:
            for i, group in enumerate(self.optimizer.param_groups):
                group |= {"base_momentum": bases[i], "max_momentum": highs[i]}
        return bases, highs

    def _set(self, lrs: list[float]) -> None:
        super()._set(lrs)
        if not self.cycle_momentum:
            return
        for i, group in enumerate(self.optimizer.param_groups):
            momentum = self.momentum_at(self.last_epoch, i)
            if self.use_beta1:
                group["betas"] = (momentum, *group["betas"][1:])
            else:
                group["momentum"] = momentum


# functions of gamma and the cycle or the epoch
MODES: dict[str, Callable[[float, float], float]] = {
    "triangular": lambda gamma, cycle: 1.0,
    "triangular2": lambda gamma, cycle: 2.0 ** (1 - cycle),
    "exp_range": lambda gamma, epoch: gamma**epoch,
}


class CyclicLR(MomentumLR):
    """lr = base_lr + (max_lr - base_lr) · triangle · scale; momentum moves the other way.

    The triangle rises from 0 to 1 in ``step_size_up`` steps and falls in ``step_size_down`` (the
    same number if None). ``mode`` names the scale: "triangular" 1, "triangular2" 2^(1 - cycle),
    "exp_range" γ^epoch; or it is ``scale_fn`` of the cycle, or of the epoch if ``scale_mode`` is
    "iterations". Source: Smith 2017, section 3.1.

    >>> optimizer = tx.optim.SGD([tx.asarray([1.0])], lr=1.0, momentum=0.5)
    >>> schedule = tx.optim.lr_scheduler.CyclicLR(optimizer, 1.0, 3.0, step_size_up=2)
    >>> [schedule.lr_at(epoch, 1.0, 0) for epoch in range(5)]
    [1.0, 2.0, 3.0, 2.0, 1.0]
    """

    needs = ("use_beta1", "base_momentums", "max_momentums")

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.8,
        max_momentum: float | list[float] = 0.9,
        last_epoch: int = -1,
    ) -> None:
        self.attach(optimizer)
        if scale_fn is None and mode not in MODES:
            raise ArgumentError(f"mode expects one of {', '.join(MODES)}, got {mode!r}")
        if scale_fn is None:
            scale_mode = "iterations" if mode == "exp_range" else "cycle"
        if scale_mode not in ("cycle", "iterations"):
            raise ArgumentError(f"scale_mode expects 'cycle' or 'iterations', got {scale_mode!r}")
        down = step_size_up if step_size_down is None else step_size_down
        at_least("step_size_up", step_size_up, 1)
        at_least("step_size_down", down, 1)
        self.mode, self.gamma, self.scale_mode = mode, gamma, scale_mode
        self._scale_fn_custom = scale_fn
        self.total_size, self.step_ratio = step_size_up + down, step_size_up / (step_size_up + down)
        base_lrs = for_each_group("base_lr", base_lr, optimizer)
        self.max_lrs = for_each_group("max_lr", max_lr, optimizer)
        bounds = self.begin_momentum(cycle_momentum, base_momentum, max_momentum, last_epoch)
        if bounds is not None:
            self.base_momentums, self.max_momentums = bounds
        if last_epoch == -1:
            for group, lr in zip(optimizer.param_groups, base_lrs, strict=True):
                group["lr"] = lr
        LRScheduler.__init__(self, optimizer, last_epoch)
        self.base_lrs = base_lrs

    def state_dict(self) -> dict[str, Any]:
        held = dict(getattr(self._scale_fn_custom, "__dict__", {})) or None
        return super().state_dict() | {"_scale_fn_custom": held}

    def _take(self, state: dict[str, Any]) -> None:
        held = state["_scale_fn_custom"]
        if held is not None:
            if self._scale_fn_custom is None:
                raise ArgumentError("this state is of a CyclicLR with a scale_fn; pass one here")
            self._scale_fn_custom.__dict__.update(held)
        super()._take({k: v for k, v in state.items() if k != "_scale_fn_custom"})

    def _scale(self, x: float) -> float:
        if self._scale_fn_custom is not None:
            return self._scale_fn_custom(x)
        return MODES[self.mode](self.gamma, x)

    def height(self, epoch: int) -> float:
        """Where between the bounds: the triangle, scaled."""
        cycle = math.floor(1 + epoch / self.total_size)
        x = 1 + epoch / self.total_size - cycle
        rising = x <= self.step_ratio
        height = x / self.step_ratio if rising else (x - 1) / (self.step_ratio - 1)
        return height * self._scale(cycle if self.scale_mode == "cycle" else epoch)

    def lr_at(self, epoch: int, base_lr: float, group: int) -> float:
        return base_lr + (self.max_lrs[group] - base_lr) * self.height(epoch)

    def momentum_at(self, epoch: int, group: int) -> float:
        low, high = self.base_momentums[group], self.max_momentums[group]
        return high - (high - low) * self.height(epoch)


PHASE = ("end_step", "start_lr", "end_lr", "start_momentum", "end_momentum")


class OneCycleLR(MomentumLR):
    """lr rises from max_lr / div_factor to max_lr, then falls to
    max_lr / div_factor / final_div_factor.

    The rise takes ``pct_start`` of ``total_steps`` (or of ``epochs * steps_per_epoch``); with
    ``three_phase`` the fall back to the first rate takes as many. Each phase is half a cosine, or
    linear if ``anneal_strategy`` is "linear"; momentum moves the other way. Source: Smith and Topin
    2018; the two phases are fastai's.

    >>> optimizer = tx.optim.SGD([tx.asarray([1.0])], lr=1.0, momentum=0.5)
    >>> schedule = tx.optim.lr_scheduler.OneCycleLR(
    ...     optimizer, 4.0, total_steps=5, pct_start=0.6, div_factor=2.0, anneal_strategy="linear"
    ... )
    >>> [round(schedule.lr_at(epoch, 2.0, 0), 3) for epoch in range(5)]
    [2.0, 3.0, 4.0, 2.0, 0.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        self.attach(optimizer)
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ArgumentError("expected total_steps, or epochs and steps_per_epoch")
            at_least("epochs", epochs, 1)
            at_least("steps_per_epoch", steps_per_epoch, 1)
            total_steps = epochs * steps_per_epoch
        at_least("total_steps", total_steps, 1)
        if not 0 <= pct_start <= 1:
            raise ArgumentError(f"pct_start expects a number in [0, 1], got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise ArgumentError(f"anneal_strategy expects 'cos' or 'linear', got {anneal_strategy}")
        self.total_steps, self._anneal_func_type = total_steps, anneal_strategy
        rise = pct_start * total_steps
        phases = [(rise - 1, "initial_lr", "max_lr", "max_momentum", "base_momentum")]
        if three_phase:
            phases += [
                (2 * rise - 2, "max_lr", "initial_lr", "base_momentum", "max_momentum"),
                (total_steps - 1, "initial_lr", "min_lr", "max_momentum", "max_momentum"),
            ]
        else:
            phases.append((total_steps - 1, "max_lr", "min_lr", "base_momentum", "max_momentum"))
        self._schedule_phases: list[dict[str, Any]] = [
            dict(zip(PHASE, phase, strict=True)) for phase in phases
        ]
        max_lrs = for_each_group("max_lr", max_lr, optimizer)
        if last_epoch == -1:
            for group, high in zip(optimizer.param_groups, max_lrs, strict=True):
                group |= {"initial_lr": high / div_factor, "max_lr": high}
                group["min_lr"] = group["initial_lr"] / final_div_factor
        self.begin_momentum(cycle_momentum, base_momentum, max_momentum, last_epoch)
        LRScheduler.__init__(self, optimizer, last_epoch)

    def phase(self, epoch: int) -> tuple[float, dict[str, Any]]:
        """The fraction of its phase that is done after ``epoch`` steps, and the phase."""
        if epoch > self.total_steps:
            raise ArgumentError(
                f"step {epoch} is beyond the {self.total_steps} steps of this cycle"
            )
        start = 0.0
        for phase in self._schedule_phases[:-1]:
            if epoch <= phase["end_step"]:
                break
            start = phase["end_step"]
        else:
            phase = self._schedule_phases[-1]
        end = phase["end_step"]
        done = (epoch - start) / (end - start) if end != start else 1.0
        return 1 - cosine(done) if self._anneal_func_type == "cos" else done, phase

    def _between(self, epoch: int, group: int, what: str) -> float:
        done, phase = self.phase(epoch)
        bounds = self.optimizer.param_groups[group]
        start, end = bounds[phase[f"start_{what}"]], bounds[phase[f"end_{what}"]]
        return float(start + (end - start) * done)

    def lr_at(self, epoch: int, base_lr: float, group: int) -> float:
        return self._between(epoch, group, "lr")

    def momentum_at(self, epoch: int, group: int) -> float:
        return self._between(epoch, group, "momentum")
