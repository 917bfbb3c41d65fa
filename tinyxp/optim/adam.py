"""Adam and AdamW: steps scaled by running means of the gradient and of its square."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from tinyxp.backends import Array
from tinyxp.backends.common.adamw import AdamWStep
from tinyxp.backends.common.capture import capturing
from tinyxp.core.tensor import Tensor, is_complex
from tinyxp.optim.optimizer import Group, Optimizer, State, average
from tinyxp.optim.packs import Pack, Plan, split_into_packs, split_into_runs

__all__ = ["Adam", "AdamW"]

MEANS = ("exp_avg", "exp_avg_sq")


class Adam(
    Optimizer, switches="foreach maximize capturable differentiable fused decoupled_weight_decay"
):
    """m ← β₁ m + (1 - β₁) g; v ← β₂ v + (1 - β₂) g²; p ← p - lr m̂ / (√v̂ + ε).

    m̂ = m / (1 - β₁ᵗ) and v̂ = v / (1 - β₂ᵗ) correct the bias of the zero start after t steps.
    ``weight_decay`` λ adds λ p to g, or shrinks p as AdamW does if ``decoupled_weight_decay``;
    ``amsgrad`` uses the largest v so far. Source: Kingma and Ba 2015, algorithm 1; Reddi et
    al. 2018.

    >>> p = tx.asarray([1.0, 1.0], requires_grad=True)
    >>> optimizer = tx.optim.Adam([p], lr=0.5)
    >>> (p * tx.asarray([3.0, -4.0])).sum().backward()
    >>> optimizer.step()  # the first step has length lr, whatever the size of the gradient
    >>> p
    tensor([0.5, 1.5], requires_grad=True)
    """

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    amsgrad: bool = False

    def prepare(self) -> None:
        self._plans: dict[int, Plan] = {}  # by the id of a group

    def start(self, group: Group) -> dict[str, Any]:
        names = ["exp_avg", "exp_avg_sq", *["max_exp_avg_sq"] * group["amsgrad"]]
        return {"step": 0} | dict.fromkeys(names, 0.0)

    def can_capture(self, group: Group) -> bool:
        decoupled = group["decoupled_weight_decay"] or not group["weight_decay"]
        known = all(_has_kernel(p) and self._of_its_dtype(p) for p in group["params"])
        return decoupled and not group["amsgrad"] and known

    def _rewinding(self) -> Callable[[], None]:
        back = super()._rewinding()

        def forget() -> None:
            self._plans.clear()  # they hold the parameters of the last step
            back()

        return forget

    def update(self, params: list[Tensor], group: Group) -> None:
        decoupled = group["decoupled_weight_decay"] or not group["weight_decay"]
        if group["amsgrad"] or not decoupled:
            return super().update(params, group)
        plan = self._plans.get(id(group))
        if plan is None or not plan.fits(params, self.state):
            plan = self._plans[id(group)] = self._plan(params, self.start(group))
        super().update(plan.others, group)
        capture = capturing()
        for packs in plan.runs:
            advance = None
            if capture is not None and capture.recording:
                capture.require(partial(self._still, packs, group, _constants(group)))
                advance = partial(_step, packs, group, 1)
                step = _step(packs, group)
            else:
                step = _step(packs, group, 1)
            backend: Any = packs[0].params[0].backend
            new = backend.functions["adamw"](
                [pack.array for pack in packs],
                [-pack.gradient() if group["maximize"] else pack.gradient() for pack in packs],
                *[[pack.state[i] for pack in packs] for i in (0, 1)],
                step,
                advance,
            )
            for pack, data in zip(packs, new, strict=True):
                if data is not pack.array:
                    pack.change(data)
        return None

    def _still(self, packs: list[Pack], group: Group, constants: tuple[Any, ...]) -> bool:
        """Whether a recorded step of ``packs`` still does what a step would do now."""
        # a step of another loss may have skipped one of them, so that its count is lower
        counts = {state["step"] for pack in packs for state in pack.states}
        known = len(counts) == 1 and all(pack.known(self.state) for pack in packs)
        return known and _constants(group) == constants

    def _of_its_dtype(self, p: Tensor) -> bool:
        """Whether the state of p, if there is one, has the dtype of p, as a kernel needs it."""
        state = self.state.get(p) or {}
        return all(state[name].dtype == p.array.dtype for name in MEANS if name in state)

    def _plan(self, params: list[Tensor], start: State) -> Plan:
        others: list[Tensor] = []
        together: dict[Any, list[Tensor]] = {}  # by what a kernel needs alike in one call
        for p in params:
            if _has_kernel(p):
                state = self.state_of(p, start)
                if self._of_its_dtype(p):
                    key = (p.backend, p.device, p.array.dtype, state["step"])
                    together.setdefault(key, []).append(p)
                    continue
            others.append(p)
        packs = [
            [Pack(some, self.state, MEANS) for some in split_into_packs(alike)]
            for alike in together.values()
        ]
        return Plan(params, others, [run for each in packs for run in split_into_runs(each)])

    def __getstate__(self) -> dict[str, Any]:
        # copied arrays no longer share one buffer
        return self.__dict__ | {"_plans": {}}

    def formula(self, xp: Any, p: Array, g: Array, state: State, group: Group) -> Array:
        (beta1, beta2), t = group["betas"], state["step"]
        m, v = state["exp_avg"], state["exp_avg_sq"]
        average(m, g, beta1)
        average(v, g * g, beta2)
        if group["amsgrad"]:
            # for 0-d arrays NumPy returns a scalar
            v = state["max_exp_avg_sq"] = xp.asarray(xp.maximum(state["max_exp_avg_sq"], v))
        root = xp.sqrt(v) / math.sqrt(1 - beta2**t)
        return p - group["lr"] / (1 - beta1**t) * (m / (root + group["eps"]))


def _constants(group: Group) -> tuple[Any, ...]:
    """The options that a recording fixes; a replay reads the others."""
    decays = bool(group["weight_decay"])
    options = (group[name] for name in ("amsgrad", "maximize", "eps"))
    return decays, decays and group["decoupled_weight_decay"], *options, tuple(group["betas"])


def _has_kernel(p: Tensor) -> bool:
    return "adamw" in p.backend.functions and not is_complex(p)


def _step(packs: list[Pack], group: Group, more: int = 0) -> AdamWStep:
    """The numbers of a step of the packs, after counting ``more`` steps."""
    for pack in packs if more else ():
        for state in pack.states:
            state["step"] += more
    count = packs[0].states[0]["step"]
    (beta1, beta2), decay = group["betas"], group["weight_decay"]
    return AdamWStep(beta1, beta2, group["eps"], group["lr"], decay, count)


class AdamW(Adam, switches="maximize foreach capturable differentiable fused"):
    """Adam with weight decay p ← (1 - lr λ) p that is decoupled from the gradient.

    Source: Loshchilov and Hutter 2019, algorithm 2.

    >>> p = tx.asarray([1.0], requires_grad=True)
    >>> tx.optim.AdamW([p]).defaults["weight_decay"]
    0.01
    """

    fixed = {"decoupled_weight_decay": True}

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 1e-2
    amsgrad: bool = False
