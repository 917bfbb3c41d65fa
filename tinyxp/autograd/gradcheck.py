"""Gradient checks: the gradients of any function against central differences in float64."""

import functools
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from tinyxp.autograd.tensors import grad
from tinyxp.core import dtypes
from tinyxp.core.operation import expect_callable
from tinyxp.core.tape import enable_grad
from tinyxp.core.tensor import Tensor, wrap
from tinyxp.errors import ArgumentError, GradientError
from tinyxp.ops.complexes import real


def gradcheck(
    f: Callable[..., Any],
    *inputs: Any,
    order: int = 1,
    eps: float = 1e-5,
    rtol: float = 1e-5,
    atol: float = 1e-6,
    seed: int = 0,
    name: str | None = None,
) -> bool:
    """Compare the gradients of ``f(*inputs)`` with central differences; True, or GradientError.

    Every floating Tensor among ``inputs`` must be float64 or complex128 and is differentiated. The
    result, a tensor or several, is reduced to one number with random weights w:
    L(x) = Re Σ w · f(x). Each element of dL/dx is compared with (L(x + eps) - L(x - eps)) / 2 eps,
    for a complex x along the real and the imaginary axis. With ``order=2`` d(cL)/dx is checked
    too, as a function of x and of c = 1 (an argument after the inputs), and so on. The error names
    the argument, the index and both values.

    >>> tx.gradcheck(lambda x: x**3, tx.asarray([1.0, 2.0], dtype=tx.float64), order=2)
    True
    """
    expect_callable("gradcheck", f)
    if not isinstance(seed, int) or seed < 0:
        raise ArgumentError(f"gradcheck expects a whole number as seed, got {seed!r}")
    label = name or str(getattr(f, "__name__", "f"))
    wanted = []
    for i, x in enumerate(inputs):
        if _floating(x):
            if x.dtype not in (dtypes.float64, dtypes.complex128):
                raise ArgumentError(
                    f"gradcheck needs float64 or complex128, got {x.dtype!r} for argument {i}"
                )
            wanted.append(i)
    if not wanted:
        raise ArgumentError("gradcheck needs at least one float64 Tensor")
    rng = np.random.default_rng(seed)
    n = len(inputs)
    weights: list[Any] = []

    def loss(*args: Any) -> Tensor:
        ys = f(*args[:n])
        ys = [y for y in (ys if isinstance(ys, (tuple, list)) else [ys]) if _floating(y)]
        if not weights:
            weights.extend(_on(_normal(rng, y), y) for y in ys)
        terms = [real((y * w).sum()) for y, w in zip(ys, weights, strict=True)]
        return functools.reduce(operator.mul, args[n:], functools.reduce(operator.add, terms))

    _compare(loss, inputs, wanted, eps, rtol, atol, label)
    if order >= 2:

        def slopes(*args: Any) -> tuple[Any, ...]:
            found = _gradients(loss, args, wanted, create_graph=True)
            pairs = zip(wanted, found, strict=True)
            return tuple(args[i].detach() * 0 if g is None else g for i, g in pairs)

        # also as a function of a factor of L, in which a vjp must be linear
        gradcheck(
            slopes,
            *inputs,
            _on(1.0, weights[0]),
            order=order - 1,
            eps=eps,
            rtol=rtol,
            atol=atol,
            seed=seed + 1,
            name=f"gradient of {label}",
        )
    return True


def _floating(y: Any) -> bool:
    return isinstance(y, Tensor) and y.dtype.kind.endswith("floating")


def _normal(rng: np.random.Generator, like: Tensor) -> Any:
    """Normal numbers in the shape of ``like``, complex ones if it is complex."""
    if like.dtype.kind == "complex floating":
        return rng.normal(size=like.shape) + 1j * rng.normal(size=like.shape)
    return rng.normal(size=like.shape)


def _on(array: Any, like: Tensor) -> Tensor:
    """A NumPy array as a Tensor beside ``like``."""
    return wrap(like.backend.from_numpy(np.asarray(array), like.device), like.backend)


def _gradients(
    loss: Callable[..., Tensor], inputs: Any, wanted: list[int], create_graph: bool
) -> tuple[Tensor | None, ...]:
    with enable_grad():
        leaves = list(inputs)
        for i in wanted:
            if not leaves[i].requires_grad:
                leaves[i] = leaves[i].detach().requires_grad_()
        y = loss(*leaves)
        if not y.requires_grad:
            return (None,) * len(wanted)
        targets = [leaves[i] for i in wanted]
        return grad(y, targets, create_graph=create_graph, allow_unused=True)


def _compare(
    loss: Callable[..., Tensor],
    inputs: Any,
    wanted: list[int],
    eps: float,
    rtol: float,
    atol: float,
    label: str,
) -> None:
    # first without a graph: this draws the weights, and f must not need a graph
    loss(*inputs)
    for i, g in zip(wanted, _gradients(loss, inputs, wanted, False), strict=True):
        x = inputs[i]
        values = np.array(x.backend.to_numpy(x.array))

        def difference(step: Any, i: int = i, x: Tensor = x, values: Any = values) -> float:
            ahead, behind = (
                loss(*inputs[:i], _on(moved, x), *inputs[i + 1 :]).item()
                for moved in (values + eps * step, values - eps * step)
            )
            return float(ahead - behind) / (2 * eps)

        if g is None and abs(difference(_normal(np.random.default_rng(0), x))) <= atol:
            continue  # one random direction shows that nothing depends on x
        found = np.zeros_like(values) if g is None else x.backend.to_numpy(g.array)
        directions = (1, 1j) if x.dtype.kind == "complex floating" else (1,)
        for place in np.ndindex(values.shape):
            unit = np.zeros_like(values)
            unit[place] = 1
            # the gradient is ∂L/∂Re x + i ∂L/∂Im x
            expected = sum(d * difference(d * unit) for d in directions)
            error = abs(expected - found[place])
            if not error <= atol + rtol * abs(expected):
                raise GradientError(
                    f"{label} d/dx{i}, {x.dtype.name}, backend {x.backend.name}: error {error:.0e} "
                    f"at {place}: the gradient is {found[place]:.8g}, differences give "
                    f"{expected:.8g}"
                )
