"""A vjp as its author writes it: a function whose parameters name what it needs of the call."""

import inspect
from collections.abc import Callable
from typing import Any

from tinyxp.core.operation import Operation
from tinyxp.errors import ArgumentError


class Vjp:
    """The vjp of operand ``i``: a function ``(xp, g, ...)`` whose further parameters name what it
    needs of the call.

    They are operands, ``y`` for the result, ``x_shape`` for the shape of the operand ``x``,
    ``shapes`` for those of all, or static parameters. In a rule that both operands share, ``this``
    is operand ``i`` and ``other`` is the other one. ``rule(xp, g, inputs, y, shapes, static)``
    calls the function with what it names; ``sources`` says where each value comes from.
    """

    def __init__(self, fn: Callable[..., Any], op: Operation[Any], i: int) -> None:
        self.fn = fn
        self.i = i
        self.defaults = op.defaults
        self.sources = [
            self._source(name, op) for name in list(inspect.signature(fn).parameters)[2:]
        ]
        # a line of source: a loop over the sources would take as long as the vjp of add
        parts = ", ".join(map(self._expression, self.sources))
        line = f"lambda xp, g, inputs, y, shapes, static: vjp.fn(xp, g, {parts})"
        self.rule: Callable[..., Any] = eval(line, {"vjp": self})

    def _source(self, name: str, op: Operation[Any]) -> Any:
        """An operand's index, ``"y"``, ``("shape", i)``, ``("shapes",)`` or a parameter's name."""
        if name == "y":
            return "y"
        if name == "shapes":
            return ("shapes",)
        if name in op.operands:
            return op.operands.index(name)
        if name in ("this", "other") and len(op.operands) == 2:
            return self.i if name == "this" else 1 - self.i
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
