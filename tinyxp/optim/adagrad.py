"""Adagrad and its descendants: a learning rate per element, from its squared gradients so far."""

from typing import Any

from tinyxp.backends import Array
from tinyxp.errors import ArgumentError
from tinyxp.optim.optimizer import Group, Optimizer, State, average

__all__ = ["Adadelta", "Adagrad", "RMSprop"]


class Adagrad(Optimizer, switches="maximize differentiable fused"):
    """s ← s + g²; p ← p - η g / (√s + ε), with η = lr / (1 + (t - 1) lr_decay) at step t.

    s starts at ``initial_accumulator_value``. Source: Duchi et al. 2011, figure 1, diagonal form.

    >>> p = tx.asarray([1.0, 1.0], requires_grad=True)
    >>> optimizer = tx.optim.Adagrad([p], lr=0.5)
    >>> for _ in range(2):
    ...     p.grad = tx.asarray([3.0, -4.0])
    ...     optimizer.step()  # by lr, then by lr / √2
    >>> p
    tensor([0.14644659, 1.8535534 ], requires_grad=True)
    """

    lr: float = 1e-2
    lr_decay: float = 0.0
    weight_decay: float = 0.0
    initial_accumulator_value: float = 0.0
    eps: float = 1e-10
    foreach: bool | None = None

    def start(self, group: Group) -> dict[str, Any]:
        return {"step": 0, "sum": group["initial_accumulator_value"]}

    def formula(self, xp: Any, p: Array, g: Array, state: State, group: Group) -> Array:
        s = state["sum"]
        s += g * g
        rate = group["lr"] / (1 + (state["step"] - 1) * group["lr_decay"])
        return p - rate * (g / (xp.sqrt(s) + group["eps"]))


class RMSprop(Optimizer):
    """v ← α v + (1 - α) g²; p ← p - lr g / (√v + ε).

    ``centered`` replaces v by v - ḡ², where ḡ is a running mean of g; with ``momentum`` μ the step
    is lr b, where b ← μ b + g / (√v + ε). Source: Hinton 2012, lecture 6e; centered: Graves 2013,
    eqs. 38 to 40.

    >>> p = tx.asarray([1.0], requires_grad=True)
    >>> optimizer = tx.optim.RMSprop([p], lr=0.5, alpha=0.75)
    >>> p.grad = tx.asarray([3.0])
    >>> optimizer.step()  # v is a quarter of g²
    >>> p
    tensor([0.], requires_grad=True)
    """

    lr: float = 1e-2
    alpha: float = 0.99
    eps: float = 1e-8
    weight_decay: float = 0.0
    momentum: float = 0.0
    centered: bool = False
    capturable: bool = False
    foreach: bool | None = None
    maximize: bool = False
    differentiable: bool = False

    def start(self, group: Group) -> dict[str, Any]:
        names = ["square_avg", *["momentum_buffer"] * (group["momentum"] > 0)]
        return {"step": 0} | dict.fromkeys([*names, *["grad_avg"] * group["centered"]], 0.0)

    def formula(self, xp: Any, p: Array, g: Array, state: State, group: Group) -> Array:
        v = state["square_avg"]
        average(v, g * g, group["alpha"])
        if group["centered"]:
            average(state["grad_avg"], g, group["alpha"])
            v = v - state["grad_avg"] * state["grad_avg"]
        g = g / (xp.sqrt(v) + group["eps"])
        if group["momentum"] > 0:
            b = state["momentum_buffer"]
            b *= group["momentum"]
            b += g
            g = b
        return p - group["lr"] * g


class Adadelta(Optimizer, switches="capturable maximize differentiable"):
    """v ← ρ v + (1 - ρ) g²; d = √(u + ε) / √(v + ε) g; u ← ρ u + (1 - ρ) d²; p ← p - lr d.

    The step d has the units of p, because it is scaled by the steps so far. Source: Zeiler 2012,
    algorithm 1 (lr is an addition).

    >>> p = tx.asarray([1.0], requires_grad=True)
    >>> optimizer = tx.optim.Adadelta([p], eps=1.0)
    >>> p.grad = tx.asarray([3.0])
    >>> optimizer.step()
    >>> p
    tensor([-1.1764288], requires_grad=True)
    """

    initial = {"step": 0, "square_avg": 0.0, "acc_delta": 0.0}

    lr: float = 1.0
    rho: float = 0.9
    eps: float = 1e-6
    weight_decay: float = 0.0
    foreach: bool | None = None

    def prepare(self) -> None:
        if not 0 <= self.defaults["rho"] <= 1:
            raise ArgumentError(f"rho expects a number in [0, 1], got {self.defaults['rho']}")

    def formula(self, xp: Any, p: Array, g: Array, state: State, group: Group) -> Array:
        v, u, eps = state["square_avg"], state["acc_delta"], group["eps"]
        average(v, g * g, group["rho"])
        d = xp.sqrt(u + eps) / xp.sqrt(v + eps) * g
        average(u, d * d, group["rho"])
        return p - group["lr"] * d
