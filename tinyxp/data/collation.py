"""Join samples into batches."""

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any

import numpy as np

from tinyxp.core.foreign_errors import typed
from tinyxp.core.tensor import Tensor
from tinyxp.errors import DTypeError, ShapeError
from tinyxp.ops.creation import asarray
from tinyxp.ops.shaping import stack


@typed
def collate(samples: list[Any]) -> Any:
    """Join samples into a batch, along a new first axis.

    Tensors and arrays (also PyTorch's) are stacked; numbers become one tensor, Python floats a
    float32 one. Tuples, named tuples, lists and dicts are joined part by part; strings stay a list.
    Raises ShapeError if samples differ in shape or number of parts, DTypeError for other types.

    >>> tx.data.collate([(1.0, "a"), (2.0, "b")])
    (tensor([1., 2.]), ['a', 'b'])
    """
    first = samples[0]
    if isinstance(first, (str, bytes)):
        return samples
    if isinstance(first, Tensor):
        return stack(samples)
    if isinstance(first, np.ndarray):
        if len({x.shape for x in samples}) > 1:
            shapes = sorted({x.shape for x in samples})
            raise ShapeError(f"samples of one batch must have one shape, got {shapes}")
        return asarray(np.stack(samples))
    if isinstance(first, np.generic):
        return asarray(np.asarray(samples))
    if isinstance(first, (bool, int, float, complex)):
        return asarray(samples)
    if hasattr(first, "__dlpack__"):
        return stack([asarray(x) for x in samples])
    if isinstance(first, Mapping):
        if any(x.keys() != first.keys() for x in samples):
            raise ShapeError(f"samples of one batch must all have the keys {list(first)}")
        return _like(first, {key: collate([x[key] for x in samples]) for key in first})
    if isinstance(first, Sequence):
        if any(len(x) != len(first) for x in samples):
            counts = sorted({len(x) for x in samples})
            raise ShapeError(
                f"samples of one batch must have the same number of parts, got {counts}"
            )
        return _like_sequence(first, [collate(list(part)) for part in zip(*samples, strict=True)])
    raise DTypeError(
        f"cannot join samples of type {type(first).__name__} into a batch; pass a collate_fn"
    )


def convert(sample: Any) -> Any:
    """A sample without a batch (``batch_size=None``), its arrays converted to tensors."""
    if isinstance(sample, (str, bytes, Tensor)):
        return sample
    if isinstance(sample, (np.ndarray, np.generic)):
        return asarray(np.asarray(sample)) if np.asarray(sample).dtype.kind in "biufc" else sample
    if hasattr(sample, "__dlpack__"):
        return asarray(sample)
    if isinstance(sample, Mapping):
        return _like(sample, {key: convert(value) for key, value in sample.items()})
    if isinstance(sample, Sequence):
        return _like_sequence(sample, [convert(part) for part in sample])
    return sample


def _like(mapping: Mapping[Any, Any], parts: dict[Any, Any]) -> Any:
    """The parts in a mapping of the same type, if possible."""
    if type(mapping) is dict or not hasattr(mapping, "update"):
        return parts
    new: Any = copy(mapping)  # its constructor may need arguments, as of defaultdict
    new.update(parts)
    return new


def _like_sequence(sequence: Sequence[Any], parts: list[Any]) -> Any:
    """The parts as a tuple, a named tuple or a list, like the sample."""
    if isinstance(sequence, tuple):
        return type(sequence)(*parts) if hasattr(sequence, "_fields") else tuple(parts)
    return parts
