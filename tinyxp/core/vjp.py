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
        names = list(inspect.signature(fn).parameters)[2:]
        self.sources = [self._source(name, op) for name in names]
        # a line of source: a loop over the sources would take as long as the vjp of add
        line = "lambda xp, g, inputs, y, shapes, static: "
        line += f"vjp.fn(xp, g, {', '.join(self.sources)})"
        self.rule: Callable[..., Any] = eval(line, {"vjp": self})

    def _source(self, name: str, op: Operation[Any]) -> str:
        """The expression by which ``rule`` finds a value."""
        stem = name.removesuffix("_shape")
        if name in ("y", "shapes"):
            return name
        if name in op.operands:
            return f"inputs[{op.operands.index(name)}]"
        if name in ("this", "other") and len(op.operands) == 2:
            return f"inputs[{self.i if name == 'this' else 1 - self.i}]"
        if stem != name and stem in op.operands:
            return f"shapes[{op.operands.index(stem)}]"
        if name not in op.parameters:
            raise ArgumentError(
                f"the vjp of {op.name} names {name!r}, which {op.name} does not have"
            )
        if name in self.defaults:
            return f"static.get({name!r}, vjp.defaults[{name!r}])"
        return f"static[{name!r}]"
