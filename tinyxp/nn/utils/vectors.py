"""Conversion of a model's parameters to one vector, and back."""

from collections.abc import Iterable
from typing import Any

from tinyxp.core.foreign_errors import typed
from tinyxp.core.operation import expect_tensors
from tinyxp.core.tensor import Tensor
from tinyxp.errors import ShapeError
from tinyxp.ops.creation import to
from tinyxp.ops.parts import _split
from tinyxp.ops.shaping import concat, reshape

__all__ = ["parameters_to_vector", "vector_to_parameters"]


@typed
def parameters_to_vector(parameters: Iterable[Tensor]) -> Any:
    """Concatenate the elements of all parameters, differentiably: (Σ sizes).

    >>> model = tx.nn.Linear(2, 3)
    >>> tx.nn.utils.parameters_to_vector(model.parameters()).shape
    (9,)
    """
    return concat([reshape(p, (-1,)) for p in parameters])


@typed
def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Copy the values of a vector into parameters, which keep dtype, backend and device.

    Raises ShapeError unless the sizes sum to its length, DTypeError.

    >>> p = tx.nn.Parameter(tx.zeros((1, 2)))
    >>> tx.nn.utils.vector_to_parameters(tx.asarray([1.0, 2.0]), [p])
    >>> p
    Parameter(tensor([[1., 2.]], requires_grad=True))
    """
    expect_tensors("vector_to_parameters", vec)
    params = list(parameters)
    sizes = tuple(p.size for p in params)
    if vec.shape != (sum(sizes),):
        raise ShapeError(
            f"vector_to_parameters expects a vector of {sum(sizes)} elements, got {vec.shape}"
        )
    parts = _split(vec.detach(), sizes=sizes)
    for p, part in zip(params, parts, strict=True):
        value = to(reshape(part, p.shape), p.backend.name, dtype=p.dtype)
        p.array = to(value, p.device).array
