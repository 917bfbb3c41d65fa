"""The finder of NaNs: stops at the first operation, forward or backward, that makes one."""

import math
from collections.abc import Iterator, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from tinyxp import backends
from tinyxp.backends.bound import Block, block
from tinyxp.backends.errors import AnomalyError, DTypeError
from tinyxp.core import Tensor
from tinyxp.debug.instruments import Observer, observing
from tinyxp.debug.sites import Site, site
from tinyxp.operation import described
from tinyxp.tape import Node


class detect_anomaly(Block, bare=True):
    """Inside the ``with`` block, an operation that makes a NaN or Inf raises AnomalyError.

    It made one if its result or a gradient holds it and nothing that went in does: so -inf that was
    put there on purpose, as in a mask before a softmax, may pass. The error names the operation,
    its operands' shapes and the line that called it; for a backward pass, the line of the forward
    pass. ``check_inf=False`` looks for NaN alone. Each operation takes longer by a look at its
    result.

    >>> x = tx.asarray([1.0, 0.0], requires_grad=True)
    >>> with tx.detect_anomaly():
    ...     tx.sqrt(x).sum().backward()  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    tinyxp.backends.errors.AnomalyError: the gradient of sqrt, called at ..., made Inf: ...
    """

    def __init__(self, check_inf: bool = True) -> None:
        if not isinstance(check_inf, bool):
            raise DTypeError(f"check_inf is True or False, got {type(check_inf).__name__}")
        self._finder = _Finder(check_inf)

    def _open(self) -> Block:
        return _found_by(self._finder)


@block
def _found_by(finder: "_Finder") -> Iterator[None]:
    with observing(finder), np.errstate(all="ignore"):  # the error says more
        yield


class _Finder(Observer):
    def __init__(self, check_inf: bool) -> None:
        self.check_inf = check_inf
        self.sites: WeakKeyDictionary[Node, Site] = WeakKeyDictionary()  # of the forward pass

    def called(self, op: Any, args: tuple[Any, ...], static: dict[str, Any], y: Any) -> None:
        results = [x for x in (y if isinstance(y, (tuple, list)) else (y,)) if type(x) is Tensor]
        for result in results:
            if result._node is not None and result._node not in self.sites:
                self.sites[result._node] = site(4)
                for parent in result._node.parents:  # of one result among several
                    if isinstance(parent, Node) and parent not in self.sites:
                        self.sites[parent] = self.sites[result._node]
        made = self._made(results, [*args, *static.values()])
        if made:
            raise AnomalyError(
                f"{op.name} made {made} at {site(4)} from {_shapes(args)}: keep its operands "
                "inside its domain, say by tx.clip or an eps"
            )

    def pulled(self, node: Node, g: Any, parts: Sequence[Any]) -> None:
        made = self._made(parts, g if isinstance(g, (tuple, list)) else [g])
        if made:
            where = self.sites.get(node)
            at = f", called at {where}," if where else ""
            raise AnomalyError(
                f"the gradient of {node.op.name}{at} made {made}: {_shapes(parts)}; its slope is "
                "not finite there, say at a border of its domain"
            )

    def _made(self, results: Sequence[Any], sources: Sequence[Any]) -> str | None:
        """What was made here: "NaN" if there is one in the results and none in the sources, "Inf"
        likewise, or None."""
        if all(_state(x)[2] for x in results):
            return None
        nan, inf = (any(_state(x)[i] for x in results) for i in (0, 1))
        had_nan, had_inf = (any(_state(x)[i] for x in sources) for i in (0, 1))
        if nan and not had_nan:
            return "NaN"
        return "Inf" if self.check_inf and inf and not (had_inf or had_nan) else None


def _state(x: Any) -> tuple[bool, bool, bool]:
    """Whether x holds a NaN, holds an Inf, holds finite numbers alone."""
    if isinstance(x, float):
        return math.isnan(x), math.isinf(x), math.isfinite(x)
    array = x.data if isinstance(x, Tensor) else x
    backend = backends.of(array) if hasattr(array, "dtype") else None
    if backend is None or array.dtype not in backend.floating:
        return False, False, True
    xp: Any = backend.xp
    if bool(xp.all(xp.isfinite(array))):
        return False, False, True
    return bool(xp.any(xp.isnan(array))), bool(xp.any(xp.isinf(array))), False


def _shapes(values: Sequence[Any]) -> str:
    """Tensors and arrays by shape and dtype, in words."""
    arrays = [x.data if isinstance(x, Tensor) else x for x in values if x is not None]
    owners = [backends.of(x) if hasattr(x, "dtype") else None for x in arrays]
    return ", ".join(
        repr(x) if owner is None else described(x, owner)
        for x, owner in zip(arrays, owners, strict=True)
    )
