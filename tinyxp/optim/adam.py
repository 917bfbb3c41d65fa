"""Adam and AdamW: steps scaled by running means of the gradient and of its square."""

import math
from typing import Any

from tinyxp.backends import Array
from tinyxp.core import Tensor
from tinyxp.optim.optimizer import Group, Optimizer, Parameters, check, owned


class Adam(Optimizer):
    """m ← β₁ m + (1 - β₁) g; v ← β₂ v + (1 - β₂) g²; p ← p - lr m̂ / (√v̂ + ε).

    m̂ = m / (1 - β₁ᵗ) and v̂ = v / (1 - β₂ᵗ) undo the start from zeros, t counting steps.
    ``weight_decay`` λ adds λ p to g; ``amsgrad`` takes the largest v so far for v. Source: Kingma
    and Ba 2015, algorithm 1; Reddi et al. 2018.

    >>> p = tx.asarray([1.0, 1.0], requires_grad=True)
    >>> optimizer = tx.optim.Adam([p], lr=0.5)
    >>> (p * tx.asarray([3.0, -4.0])).sum().backward()
    >>> optimizer.step()  # whatever the size of the gradient, a first step is as long as lr
    >>> p
    tensor([0.5, 1.5], requires_grad=True)
    """

    decoupled = False  # whether weight decay acts on p itself, and not through g

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        check("lr", lr)
        check("betas[0]", betas[0], below=1.0)
        check("betas[1]", betas[1], below=1.0)
        check("eps", eps)
        check("weight_decay", weight_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def update(self, params: list[Tensor], group: Group) -> None:
        plain = not group["amsgrad"] and (self.decoupled or not group["weight_decay"])
        together: dict[Any, list[Tensor]] = {}  # what a kernel can take in one call
        for p in params:
            state = self.state.setdefault(p, {})
            if not state:
                state |= {"step": 0, "exp_avg": owned(p), "exp_avg_sq": owned(p)}
            if group["amsgrad"]:
                state.setdefault("max_exp_avg_sq", owned(p))
            state["step"] += 1
            together.setdefault((p.backend, state["step"]), []).append(p)
        for (backend, step), some in together.items():
            kernel = backend.kernels.get("adamw") if plain else None
            if kernel is None:
                for p in some:
                    p.data = adam(p, _gradient(p, group), self.state[p], group, self.decoupled)
                continue
            new = kernel(
                [p.data for p in some],
                [_gradient(p, group) for p in some],
                [self.state[p]["exp_avg"] for p in some],
                [self.state[p]["exp_avg_sq"] for p in some],
                lr=group["lr"],
                beta1=group["betas"][0],
                beta2=group["betas"][1],
                eps=group["eps"],
                weight_decay=group["weight_decay"],
                step=step,
            )
            for p, data in zip(some, new, strict=True):
                p.data = data


class AdamW(Adam):
    """Adam with p ← (1 - lr λ) p for weight decay, beside the step and not through the gradient.

    Source: Loshchilov and Hutter 2019, algorithm 2.

    >>> p = tx.asarray([1.0], requires_grad=True)
    >>> tx.optim.AdamW([p]).defaults["weight_decay"]
    0.01
    """

    decoupled = True

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)


def _gradient(p: Tensor, group: Group) -> Array:
    g: Any = p.grad
    return -g.data if group["maximize"] else g.data


def adam(param: Tensor, g: Array, state: dict[str, Any], group: Group, decoupled: bool) -> Array:
    """The new value of one parameter."""
    xp, p = param.backend.xp, param.data
    lr, (beta1, beta2), decay = group["lr"], group["betas"], group["weight_decay"]
    if decay and decoupled:
        p = p * (1 - lr * decay)
    elif decay:
        g = g + decay * p
    m, v, step = state["exp_avg"], state["exp_avg_sq"], state["step"]
    m *= beta1
    m += (1 - beta1) * g
    v *= beta2
    v += (1 - beta2) * (g * g)
    if group["amsgrad"]:
        v = state["max_exp_avg_sq"] = xp.maximum(state["max_exp_avg_sq"], v)
    root = xp.sqrt(v) / math.sqrt(1 - beta2**step)
    return p - lr / (1 - beta1**step) * (m / (root + group["eps"]))
