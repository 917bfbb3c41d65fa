"""Variants of Adam: NAdam, RAdam and Adamax."""

import math
from typing import Any

from tinyxp.backends import Array
from tinyxp.optim.optimizer import Group, Optimizer, State, average

__all__ = ["Adamax", "NAdam", "RAdam"]


class NAdam(Optimizer, switches="foreach maximize capturable differentiable"):
    """Adam with Nesterov's momentum: p ← p - lr (c₁ g + c₂ m) / (√v̂ + ε).

    c₁ = (1 - μₜ) / (1 - Πₜ) and c₂ = μₜ₊₁ / (1 - Πₜ₊₁), where μₜ = β₁ (1 - 0.96^(tψ) / 2),
    ψ is ``momentum_decay`` and Πₜ = μ₁ ⋯ μₜ. Source: Dozat 2016, algorithm 2, in PyTorch's form.

    >>> p = tx.asarray([1.0], requires_grad=True)
    >>> optimizer = tx.optim.NAdam([p])
    >>> p.grad = tx.asarray([3.0])
    >>> optimizer.step()
    >>> p
    tensor([0.9978871], requires_grad=True)
    """

    numbers = ("step", "mu_product")
    initial = {"step": 0, "mu_product": 1.0, "exp_avg": 0.0, "exp_avg_sq": 0.0}

    lr: float = 2e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    momentum_decay: float = 4e-3
    decoupled_weight_decay: bool = False

    def formula(self, xp: Any, p: Array, g: Array, state: State, group: Group) -> Array:
        (beta1, beta2), psi, t = group["betas"], group["momentum_decay"], state["step"]
        m, v = state["exp_avg"], state["exp_avg_sq"]
        mu, ahead = (beta1 * (1 - 0.5 * 0.96 ** (i * psi)) for i in (t, t + 1))
        state["mu_product"] *= mu
        average(m, g, beta1)
        average(v, g * g, beta2)
        c1 = (1 - mu) / (1 - state["mu_product"])
        c2 = ahead / (1 - state["mu_product"] * ahead)
        root = xp.sqrt(v / (1 - beta2**t))
        return p - group["lr"] * ((c1 * g + c2 * m) / (root + group["eps"]))


class RAdam(Optimizer, switches="foreach maximize capturable differentiable"):
    """Adam that divides by √v̂, rectified by r, only once v̂ has a small enough variance.

    With ρ∞ = 2 / (1 - β₂) - 1 and ρ = ρ∞ - 2 t β₂ᵗ / (1 - β₂ᵗ): p ← p - lr r m̂ / √v̂ if ρ > 5, where
    r² = (ρ - 4) (ρ - 2) ρ∞ / ((ρ∞ - 4) (ρ∞ - 2) ρ), and p ← p - lr m̂ until then. ε is added to √v.
    Source: Liu et al. 2020, algorithm 2, in PyTorch's form (the paper has ρ > 4).

    >>> p = tx.asarray([1.0], requires_grad=True)
    >>> optimizer = tx.optim.RAdam([p], lr=0.25)
    >>> p.grad = tx.asarray([3.0])
    >>> optimizer.step()  # the first step follows the gradient
    >>> p
    tensor([0.25], requires_grad=True)
    """

    initial = {"step": 0, "exp_avg": 0.0, "exp_avg_sq": 0.0}

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    decoupled_weight_decay: bool = False

    def formula(self, xp: Any, p: Array, g: Array, state: State, group: Group) -> Array:
        (beta1, beta2), t = group["betas"], state["step"]
        m, v = state["exp_avg"], state["exp_avg_sq"]
        average(m, g, beta1)
        average(v, g * g, beta2)
        size = group["lr"] / (1 - beta1**t)
        limit = 2 / (1 - beta2) - 1
        rho = limit - 2 * t * beta2**t / (1 - beta2**t)
        if rho <= 5:
            return p - size * m
        r = math.sqrt((rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho))
        return p - size * r * math.sqrt(1 - beta2**t) * (m / (xp.sqrt(v) + group["eps"]))


class Adamax(Optimizer, switches="maximize differentiable capturable"):
    """Adam with the infinity norm: u ← max(β₂ u, |g| + ε); p ← p - lr m̂ / u.

    Source: Kingma and Ba 2015, algorithm 2, in PyTorch's form (ε is an addition).

    >>> p = tx.asarray([1.0], requires_grad=True)
    >>> optimizer = tx.optim.Adamax([p], lr=0.25)
    >>> p.grad = tx.asarray([3.0])
    >>> optimizer.step()
    >>> p
    tensor([0.75], requires_grad=True)
    """

    initial = {"step": 0, "exp_avg": 0.0, "exp_inf": 0.0}

    lr: float = 2e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    foreach: bool | None = None

    def formula(self, xp: Any, p: Array, g: Array, state: State, group: Group) -> Array:
        beta1, beta2 = group["betas"]
        m, u = state["exp_avg"], state["exp_inf"]
        average(m, g, beta1)
        u[...] = xp.maximum(beta2 * u, xp.abs(g) + group["eps"])
        return p - group["lr"] / (1 - beta1 ** state["step"]) * (m / u)
