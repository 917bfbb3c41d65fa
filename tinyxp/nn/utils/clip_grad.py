"""Clipping of gradients, between ``backward()`` and ``step()``.

``foreach`` is taken as in PyTorch and changes nothing, there being one implementation.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from tinyxp import backends
from tinyxp.backends import Array
from tinyxp.core.dtypes import float32
from tinyxp.core.foreign_errors import typed
from tinyxp.core.operation import is_half, mixed
from tinyxp.core.tensor import Tensor, wrap
from tinyxp.errors import GradientError
from tinyxp.ops.bounds import clip
from tinyxp.ops.creation import asarray, astype, move
from tinyxp.ops.logic import isfinite

__all__ = ["clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm"]

Tensors = Tensor | Iterable[Tensor]


@typed
def clip_grad_norm_(
    parameters: Tensors,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale all gradients together by min(1, max_norm / (norm + 1e-6)); returns their norm.

    The norm is that of all gradients as one vector. It stays on the device: no value is read back,
    except for ``error_if_nonfinite``, which raises GradientError if the norm is infinite or NaN.
    Source: Pascanu et al. 2013, algorithm 1.

    >>> p = tx.asarray([3.0, 4.0], requires_grad=True)
    >>> (p * p).sum().backward()
    >>> tx.optim.clip_grad_norm_([p], max_norm=1.0)
    tensor(10.)
    """
    params = _with_grad(parameters)
    norm = get_total_norm([p.grad for p in params], norm_type, error_if_nonfinite)  # type: ignore[misc]
    clip_grads_with_norm_(params, max_norm, norm)
    return norm


@typed
def get_total_norm(
    tensors: Tensors,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The norm of tensors as one vector: (Σ |x|^norm_type)^(1 / norm_type), max |x| for infinity.

    Zero if there are none. Raises BackendError if they lie on several backends, and GradientError
    if the norm is infinite or NaN and ``error_if_nonfinite``.

    >>> tx.optim.get_total_norm([tx.asarray([3.0]), tx.asarray([4.0])])
    tensor(5.)
    """
    tensors = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    if not tensors:
        backend = backends.current()
        return wrap(backend.xp.zeros((), dtype=backend.dtypes["float32"]), backend)
    backend = tensors[0].backend
    xp = backend.xp
    for x in tensors:
        if x.backend is not backend:
            raise mixed("get_total_norm", backend, x.backend)
    kernel: Any = backend.functions.get("total_norm") if norm_type == 2 else None
    norm = NotImplemented if kernel is None else kernel([x.array for x in tensors])
    if norm is NotImplemented:
        arrays = [astype(x.detach(), float32).array if is_half(x) else x.array for x in tensors]
        norm = _one_by_one(xp, arrays, norm_type)
    total = wrap(norm, backend)
    if error_if_nonfinite and not bool(xp.isfinite(norm)):
        raise GradientError(
            f"the norm of the gradients is {total.item()}, so they cannot be clipped; "
            "look for the first NaN, or leave error_if_nonfinite out"
        )
    return total


def _one_by_one(xp: Any, arrays: list[Array], norm_type: float) -> Array:
    """The norm of the norms of all arrays."""
    norms = [xp.linalg.vector_norm(x, ord=norm_type) for x in arrays]
    if len({n.dtype for n in norms}) > 1:
        widest = xp.result_type(*norms)
        norms = [xp.astype(n, widest) for n in norms]
    return xp.linalg.vector_norm(xp.stack(norms), ord=norm_type)


@typed
def clip_grads_with_norm_(
    parameters: Tensors, max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Scale all gradients by min(1, max_norm / (total_norm + 1e-6)), the norm being known.

    >>> p = tx.asarray([3.0, 4.0], requires_grad=True)
    >>> (p * p).sum().backward()
    >>> tx.optim.clip_grads_with_norm_([p], 15.0, tx.optim.get_total_norm([p.grad]))
    >>> p.grad  # of norm 10
    tensor([6., 8.])
    """
    norm = asarray(total_norm).detach()
    params = _with_grad(parameters)
    grads: list[Array] = [p.grad.array for p in params]  # type: ignore[union-attr]
    kernel: Any = norm.backend.functions.get("clip_by_norm")
    if kernel is not None and all(p.backend is norm.backend for p in params):
        news = kernel(grads, norm.array, max_norm)
        if news is not NotImplemented:
            for p, g in zip(params, news, strict=True):
                p.grad = wrap(g, p.backend)
            return
    xp = norm.backend.xp
    factor = wrap(xp.clip(max_norm / (norm.array + 1e-6), max=1.0), norm.backend)
    near: dict[Any, Array] = {}  # the factor in each place and dtype
    for p, g in zip(params, grads, strict=True):
        key = p.backend, p.device, g.dtype
        if key not in near:
            near[key] = p.backend.xp.astype(move(factor, p.backend, p.device).array, g.dtype)
        p.grad = wrap(g * near[key], p.backend)


@typed
def clip_grad_value_(parameters: Tensors, clip_value: float, foreach: bool | None = None) -> None:
    """Bring every element of every gradient into [-clip_value, clip_value].

    >>> p = tx.asarray([3.0, -4.0], requires_grad=True)
    >>> p.sum().backward()
    >>> tx.optim.clip_grad_value_([p], 0.5)
    >>> p.grad
    tensor([0.5, 0.5])
    """
    for p in _with_grad(parameters):
        if is_half(p.grad):
            p.grad = clip(p.grad.detach(), -clip_value, clip_value)  # type: ignore[union-attr]
            continue
        g, xp = p.grad.array, p.backend.xp  # type: ignore[union-attr]
        p.grad = wrap(xp.clip(g, -clip_value, clip_value), p.backend)


def _with_grad(parameters: Tensors) -> list[Tensor]:
    params = [parameters] if isinstance(parameters, Tensor) else parameters
    return [p for p in params if p.grad is not None]


def all_finite(tensors: Sequence[Tensor]) -> bool:
    """Whether all elements of all tensors are finite.

    >>> all_finite([tx.asarray([1.0, 1e30]), tx.asarray(2.0)]), all_finite([tx.asarray(tx.nan)])
    (True, False)
    """
    # the norm is fast and finite only if they are; but the squares of large numbers overflow
    with np.errstate(all="ignore"):
        if bool(isfinite(get_total_norm(tensors))):
            return True
    return all(bool(isfinite(x).all()) for x in tensors)
