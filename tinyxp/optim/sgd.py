"""Stochastic gradient descent: with momentum, and with an average of the parameters."""

from typing import Any

from tinyxp.backends import Array
from tinyxp.errors import ArgumentError
from tinyxp.optim.optimizer import Group, Optimizer, State

__all__ = ["ASGD", "SGD"]


class SGD(Optimizer, switches="maximize foreach differentiable fused"):
    """b ← μ b + (1 - dampening) g; p ← p - lr b, where b starts as the first g.

    μ is ``momentum``; ``nesterov`` steps by g + μ b instead of b, ``weight_decay`` λ adds λ p to g,
    ``maximize`` negates g. Source: Sutskever et al. 2013, in PyTorch's form.

    >>> p = tx.asarray([1.0], requires_grad=True)
    >>> optimizer = tx.optim.SGD([p], lr=0.5, momentum=0.5)
    >>> for _ in range(2):
    ...     p.grad = tx.asarray([1.0])
    ...     optimizer.step()  # by 0.5, then by 0.5 · 1.5
    >>> p
    tensor([-0.25], requires_grad=True)
    """

    lazily = ("momentum_buffer",)

    lr: float = 1e-3
    momentum: float = 0.0
    dampening: float = 0.0
    weight_decay: float = 0.0
    nesterov: bool = False

    def prepare(self) -> None:
        momentum, dampening = self.defaults["momentum"], self.defaults["dampening"]
        if self.defaults["nesterov"] and (momentum <= 0 or dampening != 0):
            raise ArgumentError(
                "nesterov expects a momentum above 0 and no dampening, "
                f"got momentum={momentum}, dampening={dampening}"
            )

    def formula(self, xp: Any, p: Array, g: Array, state: State, group: Group) -> Array:
        if momentum := group["momentum"]:
            b = state.get("momentum_buffer")
            if b is None:
                b = state["momentum_buffer"] = xp.asarray(g, copy=True)
            else:
                b *= momentum
                b += (1 - group["dampening"]) * g
            g = g + momentum * b if group["nesterov"] else b
        return p - group["lr"] * g


class ASGD(Optimizer):
    """p ← (1 - λ η) p - η g, with a running mean ``ax`` of p: ax ← ax + μ (p - ax).

    After step t, η = lr / (1 + λ lr t)^α and μ = 1 / max(1, t - t0), so averaging starts after t0
    steps. λ is ``lambd``; the mean is ``optimizer.state[p]["ax"]``. Source: Polyak and Juditsky
    1992, with Bottou's rate, in PyTorch's form.

    >>> p = tx.asarray([1.0], requires_grad=True)
    >>> optimizer = tx.optim.ASGD([p], lr=0.5, lambd=0.0)
    >>> p.grad = tx.asarray([1.0])
    >>> optimizer.step()
    >>> p
    tensor([0.5], requires_grad=True)
    """

    numbers = ("step", "eta", "mu")

    lr: float = 1e-2
    lambd: float = 1e-4
    alpha: float = 0.75
    t0: float = 1e6
    weight_decay: float = 0.0
    foreach: bool | None = None
    maximize: bool = False
    differentiable: bool = False
    capturable: bool = False

    def start(self, group: Group) -> dict[str, Any]:
        return {"step": 0, "eta": group["lr"], "mu": 1.0, "ax": 0.0}

    def formula(self, xp: Any, p: Array, g: Array, state: State, group: Group) -> Array:
        lr, lambd, t = group["lr"], group["lambd"], state["step"]
        p = p * (1 - lambd * state["eta"]) - state["eta"] * g
        ax = state["ax"]
        ax += state["mu"] * (p - ax)
        state["eta"] = lr / (1 + lambd * lr * t) ** group["alpha"]
        state["mu"] = 1 / max(1, t - group["t0"])
        return p
