"""A vjp as its author writes it: a function whose parameters name what it needs of the call."""

import inspect
from collections.abc import Callable
from typing import Any

from tinyxp.core.operation import Operation
from tinyxp.errors import ArgumentError


class Vjp:
    """One vjp, and where each of its parameters comes from: an operand's index, ``"y"``, an
    operand's shape ``("shape", i)`` or a static parameter's name.

    ``rule(xp, g, inputs, y, shapes, static)`` calls it with what it names.
    """

    def __init__(self, fn: Callable[..., Any], op: Operation[Any]) -> None:
        self.fn = fn
        self.defaults = op.defaults
        self.sources = [
            self._source(name, op) for name in list(inspect.signature(fn).parameters)[2:]
        ]
        # written out once: to go through the sources at each call takes as long as the vjp of add
        parts = ", ".join(map(self._expression, self.sources))
        line = f"lambda xp, g, inputs, y, shapes, static: vjp.fn(xp, g, {parts})"
        self.rule: Callable[..., Any] = eval(line, {"vjp": self})

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

    def _expression(self, source: Any) -> str:
        """Where ``rule`` finds one of the values."""
        if source == "y":
            return "y"
        if isinstance(source, int):
            return f"inputs[{source}]"
        if isinstance(source, tuple):
            return "shapes" if len(source) == 1 else f"shapes[{source[1]}]"
        if source in self.defaults:
            return f"static.get({source!r}, vjp.defaults[{source!r}])"
        return f"static[{source!r}]"
