"""An optimizer within a recorded step: its calls are recorded, or each replay calls it."""

from functools import partial
from operator import is_
from typing import Any

from tinyxp.backends import Array
from tinyxp.backends.common.capture import Capture
from tinyxp.core.away import give
from tinyxp.core.tensor import Tensor, wrap


def recorded(optimizer: Any, capture: Capture) -> bool:
    """Have each replay of the step that is recorded take the optimizer's step as it is; False where
    its calls can be recorded."""
    known = list(optimizer._params())
    capture.require(partial(_has, optimizer, known))
    if all(map(optimizer.can_capture, optimizer.param_groups)):
        return False
    params = [p for p in known if p.grad is not None]
    own = [(p.array, p.grad) for p in params]
    step = partial(_stepped, optimizer, params, [p for p in known if p.grad is None])
    data, gradients = [x for x, _ in own], [g.array for _, g in own]
    capture.call_update(data, gradients, step, not _is_ours(optimizer))
    for p, (x, g) in zip(params, own, strict=True):
        p.array, p.grad = x, g
    return True


def _has(optimizer: Any, params: list[Tensor]) -> bool:
    """Whether these are the optimizer's parameters, and no others."""
    own = list(optimizer._params())
    return len(own) == len(params) and all(map(is_, own, params))


def _is_ours(optimizer: Any) -> bool:
    """Whether the formula is one of this package, none of which keeps arrays that it is given."""
    return type(optimizer).__module__.startswith("tinyxp.optim.")


def _stepped(
    optimizer: Any,
    params: list[Tensor],
    others: list[Tensor],
    data: list[Array],
    gradients: list[Array],
) -> list[Array]:
    """The new data of ``params``, from their data and gradients; ``others`` have no gradient."""
    for p in others:
        p.grad = None
    for p, x, g in zip(params, data, gradients, strict=True):
        give(p, x, wrap(g, p.backend))
    try:
        optimizer._change()
    except BaseException:
        for p, x in zip(params, data, strict=True):
            if p.array is x:
                p.array, p.grad = x.copy(), None
        raise
    new = [p.array for p in params]
    for p in params:
        p.grad = None
    return new
