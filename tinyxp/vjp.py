"""A vjp as its author writes it: a function whose parameters name what it needs of the call."""

import inspect
from collections.abc import Callable
from typing import Any

from tinyxp.backends.errors import ArgumentError
from tinyxp.operation import Operation


class Vjp:
    """One vjp, and where each of its parameters comes from: an operand's index, ``"y"``, an
    operand's shape ``("shape", i)`` or a static parameter's name."""

    def __init__(self, fn: Callable[..., Any], op: Operation[Any]) -> None:
        self.fn = fn
        self.defaults = op.defaults
        self.sources = [
            self._source(name, op) for name in list(inspect.signature(fn).parameters)[2:]
        ]

    @staticmethod
    def _source(name: str, op: Operation[Any]) -> Any:
        if name == "y":
            return "y"
        if name == "shapes":
            return ("shapes",)
        if name in op.operands:
            return op.operands.index(name)
        stem = name.removesuffix("_shape")
        if stem != name and stem in op.operands:
            return ("shape", op.operands.index(stem))
        if name not in op.parameters:
            raise ArgumentError(
                f"the vjp of {op.name} names {name!r}, which {op.name} does not have"
            )
        return name

    def __call__(
        self, xp: Any, g: Any, inputs: Any, y: Any, shapes: Any, static: dict[str, Any]
    ) -> Any:
        values = []
        for source in self.sources:
            if isinstance(source, int):
                values.append(inputs[source])
            elif isinstance(source, tuple):
                values.append(shapes if len(source) == 1 else shapes[source[1]])
            elif source == "y":
                values.append(y)
            else:
                values.append(static[source] if source in static else self.defaults[source])
        return self.fn(xp, g, *values)
