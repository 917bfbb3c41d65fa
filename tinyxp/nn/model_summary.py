"""A summary of a model: a table of its modules, their output shapes and parameters."""

from collections.abc import Sequence
from typing import Any

from tinyxp.core.tape import no_grad
from tinyxp.core.tensor import Tensor
from tinyxp.core.tree import leaves
from tinyxp.errors import DTypeError
from tinyxp.nn.module import Module

__all__ = ["summary"]


def summary(model: Module, *args: Any, **kwargs: Any) -> str:
    """Return a table of all modules: name, class, output shape, number of own parameters.

    With arguments, the model is called with them once, in evaluation mode without gradients, to
    find the shapes; without, that column is missing. A tied parameter counts in its first module.

    >>> model = tx.nn.Sequential(tx.nn.Linear(2, 3), tx.nn.ReLU())
    >>> print(tx.nn.summary(model, tx.zeros((5, 2))))
    module  kind        output  parameters
    -       Sequential  (5, 3)           0
    0       Linear      (5, 3)           9
    1       ReLU        (5, 3)           0
    9 parameters, of which 9 are trained; 36 bytes with buffers
    """
    if not isinstance(model, Module):
        raise DTypeError(f"summary expects an nn.Module, got {type(model).__name__}")
    shapes = _shapes(model, args, kwargs) if args or kwargs else None
    rows = [["module", "kind", *([] if shapes is None else ["output"]), "parameters"]]
    counted: set[Tensor] = set()
    for name, module in model.named_modules():
        own = [p for p in module.parameters(recurse=False) if p not in counted]
        counted.update(own)
        output = [] if shapes is None else [shapes.get(module, "-")]
        count = sum(p.size for p in own)
        rows.append([name or "-", type(module).__name__, *output, f"{count:,}"])
    parameters = list(model.parameters())
    trained = sum(p.size for p in parameters if p.requires_grad)
    held = sum(x.size * x.dtype.itemsize for x in (*parameters, *model.buffers()))
    total = sum(p.size for p in parameters)
    last = f"{total:,} parameters, of which {trained:,} are trained; {held:,} bytes with buffers"
    return Table("\n".join([*align_columns(rows), last]))


class Table(str):
    """A string whose repr is the text itself, so a notebook shows it without quotes."""

    __slots__ = ()
    __repr__ = str.__str__


def _shapes(model: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[Module, str]:
    """The output shapes of each module in one call of the model."""
    shapes: dict[Module, str] = {}

    def see(module: Module, args: Any, output: Any) -> None:
        found = [str(x.shape) for _, x in leaves(output) if isinstance(x, Tensor)]
        shapes[module] = ", ".join(found)

    modes = {module: module.training for module in model.modules()}
    handles = [module.register_forward_hook(see) for module in modes]
    try:
        with no_grad():
            model.eval()(*args, **kwargs)
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in modes.items():
            module.training = mode
    return shapes


def align_columns(rows: list[list[str]], right: Sequence[int] = (-1,)) -> list[str]:
    """Return rows of cells as lines of text; the columns ``right`` are right-aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    flush = {i % len(widths) for i in right}
    return [
        "  ".join(
            cell.rjust(width) if i in flush else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
