"""Autocast: within a block, operations choose the dtype of their operands (see ``amp.autocast``).

Which they choose stands beside each one's definition: ``autocast="lower"``, the block's dtype of 16
bits, for products; ``autocast="float32"`` for what loses too much in 16 bits; else what comes.
"""

from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from threading import get_ident
from typing import Any

from tinyxp.backends.common.context import Block, bound
from tinyxp.core import dtypes
from tinyxp.core.tape import is_recording
from tinyxp.core.tensor import Tensor, namespace


@dataclass(frozen=True, eq=False)
class Region:
    """A block: its dtype of 16 bits (None: autocast is off in it).

    ``casts`` holds those of parameters, so that each is cast once: the parameter, its data then,
    and the cast. It is the outermost block's, and goes with it.
    """

    dtype: dtypes.DType | None
    casts: dict[Any, tuple[Tensor, Any, Tensor]] | None = field(default_factory=dict)

    def afresh(self) -> "Region":
        """The same with no casts from before: for what is run twice, and compared."""
        return Region(self.dtype)


_region: ContextVar[Region | None] = ContextVar("tinyxp_autocast", default=None)
casting = _region.get  # the block here, or None


def within(region: Region | None) -> Block:
    """In a region, or (None) in none."""
    return bound(_region, region)


def inner(dtype: dtypes.DType | None, keep: bool) -> Block:
    """In a new region within the one here. Off and within none, it is as if there were none."""
    outer = casting()
    if outer is None and dtype is None:
        return within(None)
    casts: Any = None
    if keep:
        casts = {} if outer is None or outer.casts is None else outer.casts
    return within(Region(dtype, casts))


def autocast_call(op: Any, args: Sequence[Any], static: dict[str, Any]) -> Any:
    """``op.call(args, static)`` with operands of the dtype that it chooses, and no autocast inside.

    Operands of other kinds stay, and so do all beside a float64 or complex one.
    """
    region = casting()
    assert region is not None
    if region.dtype is not None and op.autocast is not None:
        target = region.dtype if op.autocast == "lower" else dtypes.float32
        kinds = {x.dtype for x in args if isinstance(x, Tensor)}
        if kinds.isdisjoint((dtypes.float64, dtypes.complex64, dtypes.complex128)):
            args = tuple([_cast(x, target, region) for x in args])
    token = _region.set(None)
    try:
        return op.call(args, static)
    finally:
        _region.reset(token)


def _cast(x: Any, target: dtypes.DType, region: Region) -> Any:
    if not isinstance(x, Tensor) or x.dtype is target or x.dtype.kind != "real floating":
        return x
    if not x._leaf or region.casts is None:
        return namespace().astype(x, target)
    # of each thread its own: a graph belongs to the thread that goes back through it
    key = id(x), target, is_recording(), get_ident()
    known = region.casts.get(key)
    if known is not None:
        leaf, data, y = known
        used_up = y._node is not None and y._node.context is None
        if leaf is x and data is x.array and not used_up:
            return y
    y = namespace().astype(x, target)
    region.casts[key] = (x, x.array, y)
    return y
