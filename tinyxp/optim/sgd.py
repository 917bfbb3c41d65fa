"""Stochastic gradient descent, with momentum."""

from typing import Any

from tinyxp.backends import Array
from tinyxp.backends.errors import ArgumentError
from tinyxp.core import Tensor
from tinyxp.optim.optimizer import Group, Optimizer, Parameters, check, owned


class SGD(Optimizer):
    """b ← μ b + (1 - dampening) g; p ← p - lr b, where b starts as the first g.

    μ is ``momentum``; ``nesterov`` steps by g + μ b instead of b, ``weight_decay`` λ adds λ p to g,
    ``maximize`` climbs. Source: Sutskever et al. 2013, as PyTorch has it.

    >>> p = tx.asarray([1.0], requires_grad=True)
    >>> tx.optim.SGD([p], lr=0.1, momentum=0.9, nesterov=True)
    SGD(lr=0.1, momentum=0.9, dampening=0.0, weight_decay=0.0, nesterov=True, maximize=False)
    """

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        check("lr", lr)
        check("momentum", momentum)
        check("weight_decay", weight_decay)
        if nesterov and (momentum == 0 or dampening != 0):
            raise ArgumentError(
                "nesterov expects a momentum above 0 and no dampening, "
                f"got momentum={momentum}, dampening={dampening}"
            )
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def update(self, params: list[Tensor], group: Group) -> None:
        for p in params:
            p.data = sgd(p, p.grad, self.state.setdefault(p, {}), group)


def sgd(param: Tensor, grad: Any, state: dict[str, Any], group: Group) -> Array:
    """The new value of one parameter."""
    p, g = param.data, -grad.data if group["maximize"] else grad.data
    momentum = group["momentum"]
    if group["weight_decay"]:
        g = g + group["weight_decay"] * p
    if momentum:
        b = state.get("momentum_buffer")
        if b is None:
            b = state["momentum_buffer"] = owned(param, g)
        else:
            b *= momentum
            b += (1 - group["dampening"]) * g
        g = g + momentum * b if group["nesterov"] else b
    return p - group["lr"] * g
