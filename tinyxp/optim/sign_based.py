"""Optimizers that step by the sign of a gradient: Lion and Rprop."""

from typing import Any

from tinyxp.backends import Array
from tinyxp.errors import ArgumentError
from tinyxp.optim.optimizer import Group, Optimizer, State, average

__all__ = ["Lion", "Rprop"]


class Lion(Optimizer, switches="maximize"):
    """p ← (1 - lr λ) p - lr sign(β₁ m + (1 - β₁) g); m ← β₂ m + (1 - β₂) g.

    λ is ``weight_decay``. Every element moves by lr, so choose lr 3 to 10 times smaller than for
    AdamW and λ larger by the same factor. PyTorch has no Lion. Source: Chen et al.
    2023, algorithm 2.

    >>> p = tx.asarray([1.0, 1.0], requires_grad=True)
    >>> optimizer = tx.optim.Lion([p], lr=0.25)
    >>> p.grad = tx.asarray([3.0, -4.0])
    >>> optimizer.step()
    >>> p
    tensor([0.75, 1.25], requires_grad=True)
    """

    decoupled = True
    initial = {"exp_avg": 0.0}

    lr: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.0

    def formula(self, xp: Any, p: Array, g: Array, state: State, group: Group) -> Array:
        (beta1, beta2), m = group["betas"], state["exp_avg"]
        new = p - group["lr"] * xp.sign(beta1 * m + (1 - beta1) * g)
        average(m, g, beta2)
        return new


class Rprop(Optimizer, switches="capturable foreach maximize differentiable"):
    """p ← p - s sign(g), where the step s of an element grows while the sign of its g stays.

    s starts at ``lr`` and stays within ``step_sizes``. If g keeps its sign, s is multiplied by the
    second of ``etas``; if not, by the first, and the element skips a step. Meant for gradients of
    the whole data. Source: Riedmiller and Braun 1993, in the form iRprop⁻ of Igel and Hüsken
    2000.

    >>> p = tx.asarray([1.0], requires_grad=True)
    >>> optimizer = tx.optim.Rprop([p], lr=0.25, etas=(0.5, 2.0))
    >>> for _ in range(2):
    ...     p.grad = tx.asarray([3.0])
    ...     optimizer.step()  # by 0.25, then by 0.5
    >>> p
    tensor([0.25], requires_grad=True)
    """

    lr: float = 1e-2
    etas: tuple[float, float] = (0.5, 1.2)
    step_sizes: tuple[float, float] = (1e-6, 50)

    def prepare(self) -> None:
        etas = self.defaults["etas"]
        if not 0 < etas[0] < 1 < etas[1]:
            raise ArgumentError(f"etas expects one number in (0, 1) and one above 1, got {etas}")

    def start(self, group: Group) -> dict[str, Any]:
        return {"step": 0, "prev": 0.0, "step_size": group["lr"]}

    def formula(self, xp: Any, p: Array, g: Array, state: State, group: Group) -> Array:
        prev, size = state["prev"], state["step_size"]
        down, up = group["etas"]
        same = xp.sign(g * prev)
        size[...] = xp.clip(
            size * xp.where(same > 0, up, xp.where(same < 0, down, xp.ones_like(g))),
            *group["step_sizes"],
        )
        prev[...] = xp.where(same < 0, xp.zeros_like(g), g)
        return p - size * xp.sign(prev)
