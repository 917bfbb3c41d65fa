"""``tx.autograd.grad``: gradients of tensors. Gradients of functions are in ``functions``."""

from collections.abc import Iterable, Sequence
from typing import Any

from tinyxp.core.operation import expect_tensors
from tinyxp.core.tape import edge_of, propagate
from tinyxp.core.tensor import Tensor, wrap
from tinyxp.errors import ArgumentError, GradientError


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
    that the outputs do not depend on, unless ``allow_unused``: then its gradient is None.

    >>> x = tx.asarray(2.0, requires_grad=True)
    >>> (slope,) = tx.autograd.grad(x**3, x, create_graph=True)
    >>> (curvature,) = tx.autograd.grad(slope, x)
    >>> slope.item(), curvature.item()
    (12.0, 12.0)
    """
    outputs, inputs = _several(outputs), _several(inputs)
    if grad_outputs is None:
        grad_outputs = [None] * len(outputs)
    seeds = _several(grad_outputs)
    if len(seeds) != len(outputs):
        raise ArgumentError(f"expected {len(outputs)} grad_outputs, got {len(seeds)}")
    edges = [edge_of(x) for x in inputs]
    for i, edge in enumerate(edges):
        if edge is None:
            raise GradientError(f"input {i} does not require grad; call requires_grad_() on it")
    found = propagate(outputs, seeds, edges, recording=create_graph, retain=retain_graph)
    result = []
    for i, (edge, x) in enumerate(zip(edges, inputs, strict=True)):
        g = found.get(edge)
        if g is None and not allow_unused:
            raise GradientError(
                f"the outputs do not depend on input {i}; pass allow_unused=True to get None for it"
            )
        result.append(g if g is None or create_graph else wrap(g, x.backend))
    return tuple(result)


def _several(x: Any) -> list[Any]:
    """One Tensor or several as a list; None stands for a gradient of ones."""
    found = [x] if isinstance(x, Tensor) or not isinstance(x, Iterable) else list(x)
    expect_tensors("grad", *(y for y in found if y is not None))
    return found
