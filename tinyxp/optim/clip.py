"""Clipping of gradients, between ``backward()`` and ``step()``."""

from collections.abc import Iterable

from tinyxp import backends
from tinyxp.backends.errors import GradientError
from tinyxp.core import Tensor, wrap
from tinyxp.operation import mixed


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
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
    if not params:
        backend = backends.current()
        return wrap(backend.xp.zeros((), dtype=backend.dtypes["float32"]), backend)
    backend = params[0].backend
    xp = backend.xp
    grads = []
    for p in params:
        if p.backend is not backend:
            raise mixed("clip_grad_norm_", backend, p.backend)
        grads.append(p.grad.data)  # type: ignore[union-attr]
    dtype = xp.result_type(*grads)
    norms = [xp.astype(xp.linalg.vector_norm(g, ord=norm_type), dtype) for g in grads]
    norm = xp.linalg.vector_norm(xp.stack(norms), ord=norm_type)
    total = wrap(norm, backend)
    if error_if_nonfinite and not bool(xp.isfinite(norm)):
        raise GradientError(
            f"the norm of the gradients is {total.item()}, so they cannot be clipped; "
            "look for the first NaN, or leave error_if_nonfinite out"
        )
    factor = xp.clip(max_norm / (norm + 1e-6), max=1.0)
    for p, g in zip(params, grads, strict=True):
        p.grad = wrap(g * xp.astype(factor, g.dtype), backend)
    return total


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Bring every element of every gradient into [-clip_value, clip_value].

    >>> p = tx.asarray([3.0, -4.0], requires_grad=True)
    >>> p.sum().backward()
    >>> tx.optim.clip_grad_value_([p], 0.5)
    >>> p.grad
    tensor([0.5, 0.5])
    """
    for p in _with_grad(parameters):
        g, xp = p.grad.data, p.backend.xp  # type: ignore[union-attr]
        p.grad = wrap(xp.clip(g, -clip_value, clip_value), p.backend)


def _with_grad(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    params = [parameters] if isinstance(parameters, Tensor) else parameters
    return [p for p in params if p.grad is not None]
