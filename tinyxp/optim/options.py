"""Options of optimizers: how a class declares them, and which values they may have."""

import inspect
import math
from collections.abc import Callable
from inspect import Parameter, Signature
from typing import Any, dataclass_transform

from tinyxp.core.tensor import Tensor
from tinyxp.errors import ArgumentError, DTypeError
from tinyxp.ops.creation import asarray

Options = dict[str, Any]
# options that are numbers in [0, limit)
LIMITS = dict.fromkeys(
    ("lr", "eps", "weight_decay", "momentum", "alpha", "lr_decay", "momentum_decay"), math.inf
) | {"betas": 1.0, "initial_accumulator_value": math.inf}

# options that most optimizers of PyTorch take by keyword, off by default
SWITCHES = {
    name: Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
    for default, annotation, names in (
        (None, bool | None, ("foreach", "fused")),
        (False, bool, ("maximize", "capturable", "differentiable", "decoupled_weight_decay")),
    )
    for name in names
}


@dataclass_transform(eq_default=False)
class DeclaresFields:
    """What tells type checkers that fields are arguments of the constructor."""


def constructor(
    cls: Any, of: str, fields: dict[str, Parameter], init: Callable[..., None]
) -> Callable[..., None]:
    """The ``__init__`` of a class with these fields after the argument ``of``; it calls ``init``
    with that and a dict of the fields."""
    kind: Any = Parameter.POSITIONAL_OR_KEYWORD
    first = [Parameter("self", kind), Parameter(of, kind)]
    signature = Signature([*first, *fields.values()], return_annotation=None)

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        bound = signature.bind(self, *args, **kwargs)
        bound.apply_defaults()
        init(self, bound.arguments[of], {name: bound.arguments[name] for name in fields})

    __init__.__qualname__ = f"{cls.__qualname__}.__init__"
    __init__.__module__ = cls.__module__
    __init__.__signature__ = signature  # type: ignore[attr-defined]
    return __init__


def option_names(cls: Any) -> set[str]:
    """The names of the options that the constructor of an optimizer takes."""
    return {*inspect.signature(cls.__init__).parameters} - {
        "self",
        "params",
        "defaults",
        "args",
        "kwargs",
    }


def check_options(options: Options) -> Options:
    """The options, with ``lr`` as a number. Raises ArgumentError or DTypeError for a wrong one."""
    lr = options.get("lr")
    if hasattr(lr, "shape"):
        options = options | {"lr": asarray(lr).item()}
    for name in options.keys() & LIMITS.keys():
        value = options[name]
        if isinstance(value, (tuple, list)):
            for i, part in enumerate(value):
                _check(f"{name}[{i}]", part, LIMITS[name])
        else:
            _check(name, value, LIMITS[name])
    return options


def _check(name: str, value: Any, limit: float) -> None:
    """Raise ArgumentError unless the option ``name`` is a number in [0, limit)."""
    if isinstance(value, Tensor):
        raise DTypeError(f"{name} expects a number, got a Tensor; use x.item()")
    if not 0.0 <= value < limit:
        raise ArgumentError(f"{name} expects a number in [0, {limit}), got {value}")
