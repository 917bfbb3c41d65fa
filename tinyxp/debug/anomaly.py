"""Anomaly detection stops at the first operation, forward or backward, that makes a NaN or Inf."""

import math
from collections.abc import Iterator, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from tinyxp import backends
from tinyxp.backends.common.context import Block, block
from tinyxp.core.foreign_errors import describe
from tinyxp.core.tape import Node
from tinyxp.core.tensor import Tensor
from tinyxp.debug.observers import Observer, observing
from tinyxp.debug.sites import Site, site
from tinyxp.errors import AnomalyError, DTypeError


class detect_anomaly(Block, bare=True):
    """Inside the ``with`` block, an operation that makes a NaN or Inf raises AnomalyError.

    An operation makes one if its result or a gradient holds it and none of its operands does, so
    -inf in a mask before a softmax is allowed. The error names the operation, the shapes of its
    operands and the line that called it, in a backward pass the line of the forward pass.
    ``check_inf=False`` looks for NaN only. Every operation takes longer, because its operands and
    its result are checked.

    >>> x = tx.asarray([1.0, 0.0], requires_grad=True)
    >>> with tx.detect_anomaly():
    ...     tx.sqrt(x).sum().backward()  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    tinyxp.errors.AnomalyError: the gradient of sqrt, called at ..., made Inf: ...
    """

    def __init__(self, check_inf: bool = True) -> None:
        if not isinstance(check_inf, bool):
            raise DTypeError(f"check_inf is True or False, got {type(check_inf).__name__}")
        self._finder = _Finder(check_inf)

    def _open(self) -> Block:
        return _observe(self._finder)


@block
def _observe(finder: "_Finder") -> Iterator[None]:
    with observing(finder), np.errstate(all="ignore"):  # the error says more than a warning
        yield


class _Finder(Observer):
    def __init__(self, check_inf: bool) -> None:
        self.check_inf = check_inf
        # where the forward pass called each
        self.sites: WeakKeyDictionary[Node, Site] = WeakKeyDictionary()
        # nodes whose operands hold a NaN, and an Inf
        self.tainted: WeakKeyDictionary[Node, tuple[bool, bool]] = WeakKeyDictionary()

    def on_call(self, op: Any, args: tuple[Any, ...], static: dict[str, Any], y: Any) -> None:
        results = [x for x in (y if isinstance(y, (tuple, list)) else (y,)) if type(x) is Tensor]
        sources = [*args, *static.values()]
        had = _nonfinite(sources)
        for result in results:
            node = result._node
            if node is None or node in self.sites:
                continue
            where = site(4)
            for thing in (node, *node.parents):  # parents, if it is one of several results
                if isinstance(thing, Node) and thing not in self.sites:
                    self.sites[thing] = where
                    if any(had):
                        self.tainted[thing] = had
        made = self._new_nonfinite(results, had)
        if made:
            raise AnomalyError(
                f"{op.name} made {made} at {site(4)} from {_shapes(args)}: keep its operands "
                "inside its domain, for example by tx.clip or an eps"
            )

    def on_pull(self, op: Any, node: Node, g: Any, recording: bool, parts: Sequence[Any]) -> None:
        came = _nonfinite(g if isinstance(g, (tuple, list)) else [g])
        had = self.tainted.get(node, (False, False))
        made = self._new_nonfinite(parts, (came[0] or had[0], came[1] or had[1]))
        if made:
            where = self.sites.get(node)
            at = f", called at {where}," if where else ""
            raise AnomalyError(
                f"the gradient of {node.op.name}{at} made {made}: {_shapes(parts)}; its slope is "
                "not finite there, as at the border of a domain"
            )

    def _new_nonfinite(self, results: Sequence[Any], had: tuple[bool, bool]) -> str | None:
        """Whether the results hold a "NaN" or "Inf" that the operands do not, else None."""
        nan, inf = _nonfinite(results)
        had_nan, had_inf = had
        if nan and not had_nan:
            return "NaN"
        return "Inf" if self.check_inf and inf and not (had_inf or had_nan) else None


def _nonfinite(values: Sequence[Any]) -> tuple[bool, bool]:
    """Whether any of the values holds a NaN, and whether any holds an Inf."""
    states = [state(x) for x in values if x is not None]
    return any(nan for nan, *_ in states), any(inf for _, inf, _ in states)


def state(x: Any) -> tuple[bool, bool, bool]:
    """Whether x holds a NaN, whether it holds an Inf, and whether all of it is finite."""
    if isinstance(x, float):
        return math.isnan(x), math.isinf(x), math.isfinite(x)
    array = x.array if isinstance(x, Tensor) else x
    backend = backends.of(array) if hasattr(array, "dtype") else None
    if backend is None or array.dtype not in backend.floating:
        return False, False, True
    xp: Any = backend.xp
    if bool(xp.all(xp.isfinite(array))):
        return False, False, True
    return bool(xp.any(xp.isnan(array))), bool(xp.any(xp.isinf(array))), False


def _shapes(values: Sequence[Any]) -> str:
    """The shapes and dtypes of tensors and arrays, as text."""
    arrays = [x.array if isinstance(x, Tensor) else x for x in values if x is not None]
    owners = [backends.of(x) if hasattr(x, "dtype") else None for x in arrays]
    return ", ".join(
        repr(x) if owner is None else describe(x, owner)
        for x, owner in zip(arrays, owners, strict=True)
    )
