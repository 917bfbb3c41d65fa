"""Adam and AdamW: steps scaled by running means of the gradient and of its square."""

import math
from collections.abc import Iterator
from typing import Any

from tinyxp.backends import Array
from tinyxp.core import Tensor, is_complex
from tinyxp.optim.optimizer import Group, Optimizer, Parameters, State, arguments, average


class Adam(Optimizer):
    """m ← β₁ m + (1 - β₁) g; v ← β₂ v + (1 - β₂) g²; p ← p - lr m̂ / (√v̂ + ε).

    m̂ = m / (1 - β₁ᵗ) and v̂ = v / (1 - β₂ᵗ) undo the start from zeros, t counting steps.
    ``weight_decay`` λ adds λ p to g, or shrinks p as AdamW does if ``decoupled_weight_decay``;
    ``amsgrad`` takes the largest v so far for v. Source: Kingma and Ba 2015, algorithm 1; Reddi et
    al. 2018.

    >>> p = tx.asarray([1.0, 1.0], requires_grad=True)
    >>> optimizer = tx.optim.Adam([p], lr=0.5)
    >>> (p * tx.asarray([3.0, -4.0])).sum().backward()
    >>> optimizer.step()  # whatever the size of the gradient, a first step is as long as lr
    >>> p
    tensor([0.5, 1.5], requires_grad=True)
    """

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        super().__init__(params, arguments(locals()))

    def start(self, group: Group) -> dict[str, Any]:
        names = ["exp_avg", "exp_avg_sq", *["max_exp_avg_sq"] * group["amsgrad"]]
        return {"step": 0} | dict.fromkeys(names, 0.0)

    def update(self, params: list[Tensor], group: Group) -> None:
        decoupled = group["decoupled_weight_decay"] or not group["weight_decay"]
        plain = decoupled and not group["amsgrad"]
        together: dict[Any, list[Tensor]] = {}  # what a kernel can take in one call
        start = self.start(group)
        for p in params:
            if plain and "adamw" in p.backend.kernels and not is_complex(p):
                step = self.begun(p, start)["step"]
                together.setdefault((p.backend, step), []).append(p)
            else:
                super().update([p], group)
        for (backend, step), alike in together.items():
            for some in _runs(alike):
                new = backend.kernels["adamw"](
                    [p.data for p in some],
                    [-p.grad.data if group["maximize"] else p.grad.data for p in some],  # type: ignore[union-attr]
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

    def formula(self, xp: Any, p: Array, g: Array, state: State, group: Group) -> Array:
        (beta1, beta2), t = group["betas"], state["step"]
        m, v = state["exp_avg"], state["exp_avg_sq"]
        average(m, g, beta1)
        average(v, g * g, beta2)
        if group["amsgrad"]:
            v = state["max_exp_avg_sq"] = xp.maximum(state["max_exp_avg_sq"], v)
        root = xp.sqrt(v) / math.sqrt(1 - beta2**t)
        return p - group["lr"] / (1 - beta1**t) * (m / (root + group["eps"]))


def _runs(params: list[Tensor], most: int = 1 << 20) -> Iterator[list[Tensor]]:
    """Parameters that together have a million elements or so: the memory of one run's old values
    serves for the new ones of the next."""
    some: list[Tensor] = []
    size = 0
    for p in params:
        some.append(p)
        size += p.size
        if size >= most:
            yield some
            some, size = [], 0
    if some:
        yield some


class AdamW(Adam):
    """Adam with p ← (1 - lr λ) p for weight decay, beside the step and not through the gradient.

    Source: Loshchilov and Hutter 2019, algorithm 2.

    >>> p = tx.asarray([1.0], requires_grad=True)
    >>> tx.optim.AdamW([p]).defaults["weight_decay"]
    0.01
    """

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
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        options = arguments(locals())
        super().__init__(params, **options, decoupled_weight_decay=True)
