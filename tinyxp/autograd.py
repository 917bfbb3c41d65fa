"""Gradients as functions: ``tx.autograd.grad`` of tensors, ``tx.grad`` of a function."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

from tinyxp.backends.errors import ArgumentError, GradientError
from tinyxp.core import Tensor, wrap
from tinyxp.graph import behind_identity, edge_of, enable_grad, ordered, propagate


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients of Σ outputs · grad_outputs with respect to each of ``inputs``, as a tuple.

    ``inputs`` may be leaves or intermediate results; nothing is written to ``grad``. With
    ``create_graph`` the gradients can be differentiated again. Raises GradientError for an input
    that the outputs do not depend on, unless ``allow_unused`` (None stands for it then).

    >>> x = tx.asarray(2.0, requires_grad=True)
    >>> (slope,) = tx.autograd.grad(x**3, x, create_graph=True)
    >>> (curvature,) = tx.autograd.grad(slope, x)
    >>> slope.item(), curvature.item()
    (12.0, 12.0)
    """
    outputs = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    inputs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    if grad_outputs is None:
        grad_outputs = [None] * len(outputs)
    seeds = [grad_outputs] if isinstance(grad_outputs, Tensor) else list(grad_outputs)
    if len(seeds) != len(outputs):
        raise ArgumentError(f"expected {len(outputs)} grad_outputs, got {len(seeds)}")
    edges = [edge_of(x) for x in inputs]
    for i, edge in enumerate(edges):
        if edge is None:
            raise GradientError(f"input {i} does not require grad; call requires_grad_() on it")
    found = propagate(outputs, seeds, edges, recording=create_graph, retain=retain_graph)
    result = []
    for i, (edge, x) in enumerate(zip(edges, inputs, strict=True)):
        g = found.get(edge)  # type: ignore[arg-type]
        if g is None and not allow_unused:
            raise GradientError(
                f"the outputs do not depend on input {i}; pass allow_unused=True to get None for it"
            )
        result.append(g if g is None or create_graph else wrap(g, x.backend))
    return tuple(result)


def grad_of(f: Callable[..., Tensor], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """The function that computes the gradient of ``f`` (of one number) at its arguments.

    ``argnums`` says with respect to which arguments: one gives a Tensor, several a tuple. Nests to
    any order. The gradient at an argument that ``f`` does not depend on is 0.

    >>> slope = tx.grad(lambda x: x**3)
    >>> slope(tx.asarray(2.0)).item(), tx.grad(slope)(tx.asarray(2.0)).item()
    (12.0, 12.0)
    """
    wanted = (argnums,) if isinstance(argnums, int) else tuple(argnums)

    @functools.wraps(f)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        inner = list(args)
        with enable_grad():
            for i in wanted:
                x = args[i]
                if not isinstance(x, Tensor):
                    raise ArgumentError(f"argument {i} must be a Tensor, got {type(x).__name__}")
                inner[i] = (
                    behind_identity(x.data, x.backend, edge_of(x))
                    if x.requires_grad
                    else x.detach().requires_grad_()
                )
            y = f(*inner, **kwargs)
            fresh = {edge_of(inner[i]) for i in wanted}
            # differentiate again only if somebody outside, an outer grad or a model, can ask for it
            outside = any(isinstance(e, Tensor) and e not in fresh for e in ordered([edge_of(y)]))
            targets = [inner[i] for i in wanted]
            if y.requires_grad or y._cut:
                found = grad(y, targets, create_graph=outside, allow_unused=True)
            else:
                found = (None,) * len(targets)
        result = tuple(
            wrap(x.backend.xp.zeros_like(x.data), x.backend) if g is None else g
            for g, x in zip(found, targets, strict=True)
        )
        return result[0] if isinstance(argnums, int) else result

    return gradient
