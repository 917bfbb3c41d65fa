"""An optimizer in a captured step: its calls are recorded, or each replay calls it."""

from functools import partial
from operator import is_
from typing import Any

from tinyxp.backends import Array
from tinyxp.backends.common.capture import Capture
from tinyxp.core.deferred import assign
from tinyxp.core.tensor import Tensor, wrap


def call_in_replays(optimizer: Any, capture: Capture) -> bool:
    """Have each replay of the step that is being recorded call the optimizer; False if its calls
    can be recorded."""
    known = optimizer._params()
    capture.require(lambda: _same(optimizer._params(), known))
    if all(map(optimizer.can_capture, optimizer.param_groups)):
        return False
    params = [p for p in known if p.grad is not None]
    own = [(p.array, p.grad) for p in params]
    update = partial(_update, optimizer, params, [p for p in known if p.grad is None])
    data, gradients = [x for x, _ in own], [g.array for _, g in own]
    # no formula of this package keeps its arguments
    keeps = not type(optimizer).__module__.startswith("tinyxp.optim.")
    capture.call_update(data, gradients, update, keeps)
    for p, (x, g) in zip(params, own, strict=True):
        p.array, p.grad = x, g
    return True


def _same(some: list[Tensor], others: list[Tensor]) -> bool:
    return len(some) == len(others) and all(map(is_, some, others))


def _update(
    optimizer: Any,
    params: list[Tensor],
    others: list[Tensor],
    data: list[Array],
    gradients: list[Array],
) -> list[Array]:
    """New arrays of ``params``, from their arrays and gradients; ``others`` have no gradient."""
    for p in others:
        p.grad = None
    for p, x, g in zip(params, data, gradients, strict=True):
        assign(p, x, wrap(g, p.backend))
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
