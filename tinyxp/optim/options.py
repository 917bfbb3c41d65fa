"""Options of optimizers: how they are collected, and which values they may have."""

import math
from typing import Any

from tinyxp.core.tensor import Tensor
from tinyxp.errors import ArgumentError, DTypeError
from tinyxp.ops.creation import asarray

# options that are numbers in [0, limit)
LIMITS = dict.fromkeys(
    ("lr", "eps", "weight_decay", "momentum", "alpha", "lr_decay", "momentum_decay"), math.inf
) | {"betas": 1.0, "initial_accumulator_value": math.inf}


def arguments(scope: dict[str, Any]) -> dict[str, Any]:
    """The options of an optimizer, from the ``locals()`` of its ``__init__``."""
    return {k: v for k, v in scope.items() if k not in ("self", "params", "__class__")}


def checked(options: dict[str, Any]) -> dict[str, Any]:
    """The options, ``lr`` as a number. Raises ArgumentError or DTypeError for a wrong one."""
    options = with_number(options)
    for name in options.keys() & LIMITS.keys():
        value = options[name]
        if isinstance(value, (tuple, list)):
            for i, part in enumerate(value):
                check(f"{name}[{i}]", part, LIMITS[name])
        else:
            check(name, value, LIMITS[name])
    return options


def with_number(options: dict[str, Any]) -> dict[str, Any]:
    """The options, ``lr`` not being an array."""
    lr = options.get("lr")
    return options | {"lr": asarray(lr).item()} if hasattr(lr, "shape") else options


def check(name: str, value: Any, below: float = math.inf) -> None:
    """Raise ArgumentError unless the option ``name`` is a number in [0, below)."""
    if isinstance(value, Tensor):
        raise DTypeError(f"{name} expects a number, got a Tensor; use x.item()")
    if not 0.0 <= value < below:
        raise ArgumentError(f"{name} expects a number in [0, {below}), got {value}")
