"""Autocast: within a block, operations choose the dtype of their operands (see ``amp.autocast``).

The definition of each operation states its choice: ``autocast="lower"``, the 16-bit dtype of the
block, for products; ``autocast="float32"`` for operations that lose too much in 16 bits; without
either, operands keep their dtypes.
"""

from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from threading import get_ident
from typing import Any

from tinyxp.backends.common.context import Block, bound, with_value
from tinyxp.core import dtypes
from tinyxp.core.tape import is_grad_enabled
from tinyxp.core.tensor import Tensor, namespace


@dataclass(frozen=True, eq=False)
class Region:
    """An autocast block: its 16-bit dtype, or None for a block in which autocast is off.

    ``casts`` caches the casts of leaves, so that each is cast once: the leaf, its array at that
    time, and the cast. The outermost block owns the cache.
    """

    dtype: dtypes.DType | None
    casts: dict[Any, tuple[Tensor, Any, Tensor]] | None = field(default_factory=dict)

    def afresh(self) -> "Region":
        """The same with an empty cache, for a function that is run twice and compared."""
        return Region(self.dtype)


_region: ContextVar[Region | None] = ContextVar("tinyxp_autocast", default=None)
casting = _region.get  # the current region, or None


def within(region: Region | None) -> Block:
    """A block inside a region, or outside of all regions (None)."""
    return bound(_region, region)


def inner(dtype: dtypes.DType | None, keep: bool) -> Block:
    """A block inside a new region; outside of all if there is nothing to turn off."""
    outer = casting()
    if outer is None and dtype is None:
        return within(None)
    casts: Any = None
    if keep:
        casts = {} if outer is None or outer.casts is None else outer.casts
    return within(Region(dtype, casts))


def autocast_call(op: Any, args: Sequence[Any], static: dict[str, Any]) -> Any:
    """``op.call(args, static)`` with operands of the dtype that op chooses, and no autocast inside.

    Integers keep their dtype; beside a float64 or complex operand all keep theirs.
    """
    region = casting()
    assert region is not None
    if region.dtype is not None and op.autocast is not None:
        target = region.dtype if op.autocast == "lower" else dtypes.float32
        kinds = {x.dtype for x in args if isinstance(x, Tensor)}
        if kinds.isdisjoint((dtypes.float64, dtypes.complex64, dtypes.complex128)):
            args = tuple([_cast(x, target, region) for x in args])
    return with_value(_region, None, op.call, args, static)


def _cast(x: Any, target: dtypes.DType, region: Region) -> Any:
    if not isinstance(x, Tensor) or x.dtype is target or x.dtype.kind != "real floating":
        return x
    if not x._leaf or region.casts is None:
        return namespace().astype(x, target)
    # one cast for each thread: a graph belongs to the thread that runs backward through it
    key = id(x), target, is_grad_enabled(), get_ident()
    known = region.casts.get(key)
    if known is not None:
        leaf, data, y = known
        used_up = y._node is not None and y._node.context is None
        if leaf is x and data is x.array and not used_up:
            return y
    y = namespace().astype(x, target)
    region.casts[key] = (x, x.array, y)
    return y
