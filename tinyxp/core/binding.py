"""Arguments by position, by keyword and under PyTorch's names: each may be given once."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from tinyxp.errors import DTypeError

# Other names of a parameter: PyTorch's for ours, and ours for PyTorch's.
SPELLINGS = {
    "dim": ("axis",),
    "dims": ("axis", "axes"),
    "keepdim": ("keepdims",),
    "shifts": ("shift",),
    "diagonal": ("k",),
    "axis": ("dim",),
    "keepdims": ("keepdim",),
    "x2": ("other",),
}
# PyTorch's names of operands, which are given by position here.
PYTORCH_OPERANDS = {"input": 0, "other": 1}


def bind(
    name: str,
    places: Sequence[str],
    args: Sequence[Any],
    options: Mapping[str, Any],
    keywords: Collection[str] = (),
    operands: Sequence[str] = (),
) -> dict[str, Any]:
    """The arguments of a call, by the names of the parameters of the function ``name``.

    ``places`` are the parameters that may be given by position, ``keywords`` those that may be
    given by keyword only, ``operands`` those that the call gave by position already. Raises
    DTypeError for an argument that is unknown, too many or given twice.
    """
    if len(args) > len(places):
        every = [*operands, *places]
        raise DTypeError(
            f"{name} takes {len(every)} positional arguments ({', '.join(every)}), got "
            f"{len(operands) + len(args)}; pass the others by name"
        )
    bound = dict(zip(places, args, strict=False))
    for keyword, value in options.items():
        spellings = (keyword, *SPELLINGS.get(keyword, ()))
        own = next((s for s in spellings if s in places or s in keywords), keyword)
        if (
            own in bound
            or own in operands
            or PYTORCH_OPERANDS.get(own, len(operands)) < len(operands)
        ):
            also = "" if own == keyword else f" (as {keyword})"
            raise DTypeError(f"{name} got {own} twice{also}; give it once")
        if own not in places and own not in keywords:
            known = ", ".join(dict.fromkeys([*places, *keywords])) or "positional arguments alone"
            raise DTypeError(f"{name} has no parameter {keyword!r}; it takes {known}")
        bound[own] = value
    return bound
