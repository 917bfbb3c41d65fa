"""Sequences of different lengths: padded in one tensor, or packed without padding.

>>> from tinyxp.nn.utils.rnn import pack_sequence, pad_packed_sequence
>>> packed = pack_sequence([tx.asarray([1.0, 2.0, 3.0]), tx.asarray([4.0])])
>>> packed.data, packed.batch_sizes
(tensor([1., 4., 2., 3.]), tensor([2, 1, 1]))
>>> pad_packed_sequence(packed, batch_first=True)
(tensor([[1., 2., 3.],
        [4., 0., 0.]]), tensor([3, 1]))
"""

from collections.abc import Iterable
from typing import Any, NamedTuple, Self

import numpy as np

from tinyxp import backends
from tinyxp.core.foreign_errors import typed
from tinyxp.core.operation import expect_tensors
from tinyxp.core.tensor import Tensor
from tinyxp.errors import ArgumentError, DTypeError, ShapeError
from tinyxp.ops import padding
from tinyxp.ops.arithmetic import where
from tinyxp.ops.creation import asarray, to
from tinyxp.ops.gathering import take
from tinyxp.ops.parts import unstack
from tinyxp.ops.shaping import reshape, stack

__all__ = [
    "PackedSequence", "invert_permutation", "pack_padded_sequence", "pack_sequence",
    "pad_packed_sequence", "pad_sequence", "unpack_sequence", "unpad_sequence",
]  # fmt: skip


def host(numbers: Any) -> Any:
    """Convert integers in a Tensor or a list to a NumPy array of one axis."""
    found = numbers.detach().numpy() if isinstance(numbers, Tensor) else np.asarray(numbers)
    if found.ndim != 1 or found.dtype.kind not in "iu":
        raise DTypeError(
            f"lengths must be integers in a list or a tensor of one axis, got {found.dtype} of "
            f"shape {found.shape}"
        )
    return found.astype(np.int64)


def sizes_of(sequence: "PackedSequence") -> Any:
    """The ``batch_sizes``, on the host. Raises ArgumentError unless they say where each row of
    ``data`` belongs."""
    sizes, rows = host(sequence.batch_sizes), sequence.data.shape[0]
    if sizes.sum() != rows or (np.diff(sizes, append=0) > 0).any():
        raise ArgumentError(
            f"a PackedSequence of {rows} rows expects batch_sizes that sum to {rows} and never "
            f"grow, got {sizes.tolist()}"
        )
    return sizes


def _beside(x: Tensor, numbers: Any) -> Any:
    """Convert an array of NumPy to a Tensor on the backend and device of x."""
    with backends.using(x.backend):
        return asarray(numbers, device=x.device)


class _Fields(NamedTuple):
    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


class PackedSequence(_Fields):
    """Sequences sorted by length, the longest first, stored time by time.

    ``data`` (Σ lengths, ...) holds the first elements of all sequences, then the second ones …;
    ``batch_sizes`` (T,) counts them at each time. ``sorted_indices`` are the positions of the
    sorted sequences in the batch, ``unsorted_indices`` the inverse; both are None for a batch that
    was sorted. ``pack_padded_sequence`` and ``pack_sequence`` make it.
    """

    __slots__ = ()

    def __new__(
        cls,
        data: Tensor,
        batch_sizes: Tensor,
        sorted_indices: Tensor | None = None,
        unsorted_indices: Tensor | None = None,
    ) -> Self:
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, backend_or_device: Any = None, dtype: Any = None) -> Self:
        """Move to another backend or device; only ``data`` changes its dtype."""
        data, *rest = self
        data = to(data, backend_or_device, dtype=dtype)
        moved = [None if x is None else to(to(x, data.backend.name), data.device) for x in rest]
        return type(self)(data, *moved)  # type: ignore[arg-type]


@typed
def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """q with q[p[i]] = i; None for None.

    >>> tx.nn.utils.rnn.invert_permutation(tx.asarray([2, 0, 1]))
    tensor([1, 2, 0])
    """
    return None if permutation is None else _beside(permutation, np.argsort(host(permutation)))


def _expect_axes(name: str, x: Any, least: int) -> None:
    expect_tensors(name, x)
    if x.ndim < least:
        raise ShapeError(f"{name} expects a tensor of {least} axes or more, got shape {x.shape}")


@typed
def pack_padded_sequence(
    input: Tensor, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Pack a padded batch: the first lengths[b] elements of each sequence b.

    Shapes: input (T, B, ...), with ``batch_first`` (B, T, ...); lengths B integers, in a list or a
    tensor, in decreasing order unless ``enforce_sorted`` is False: then they are sorted first.
    Raises ShapeError, ArgumentError, DTypeError.

    >>> x = tx.asarray([[1, 2], [3, 4], [5, 6]])  # (T, B)
    >>> tx.nn.utils.rnn.pack_padded_sequence(x, [3, 1]).data
    tensor([1, 2, 3, 5])
    """
    _expect_axes("pack_padded_sequence", input, 2)
    counts = host(lengths)
    batch, time = input.shape[:2] if batch_first else input.shape[1::-1]
    if not input.size or counts.shape != (batch,):
        raise ShapeError(
            f"pack_padded_sequence expects a length for each of {batch} sequences, not empty, got "
            f"{len(counts)} for shape {input.shape}"
        )
    if counts.min() < 1 or counts.max() > time:
        raise ArgumentError(
            f"pack_padded_sequence expects lengths from 1 to {time}, got {counts.tolist()}"
        )
    if enforce_sorted and (np.diff(counts) > 0).any():
        raise ArgumentError(
            "pack_padded_sequence expects lengths in decreasing order, got "
            f"{counts.tolist()}; pass enforce_sorted=False"
        )
    order = np.arange(batch) if enforce_sorted else np.argsort(-counts, kind="stable")
    there = counts[order] > np.arange(counts.max())[:, None]  # (time, sorted batch)
    t, b = np.nonzero(there)
    places = order[b] * time + t if batch_first else t * batch + order[b]
    rows = reshape(input, (batch * time, *input.shape[2:]))
    return PackedSequence(
        take(rows, _beside(input, places), axis=0),
        _beside(input, there.sum(axis=1)),
        None if enforce_sorted else _beside(input, order),
    )


@typed
def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Any, Any]:
    """The inverse of ``pack_padded_sequence``: (padded, lengths), in the original order.

    ``padded`` is (T, B, ...), with ``batch_first`` (B, T, ...); T is the longest length, or
    ``total_length``. Raises ArgumentError if that is less, DTypeError.
    """
    if not isinstance(sequence, PackedSequence):
        raise DTypeError(
            f"pad_packed_sequence expects a PackedSequence, got {type(sequence).__name__}"
        )
    data, sizes = sequence.data, sizes_of(sequence)
    longest = len(sizes)
    time = longest if total_length is None else total_length
    if time < longest:
        raise ArgumentError(
            f"pad_packed_sequence: total_length is {total_length}, and the longest sequence "
            f"{longest}"
        )
    sizes = np.pad(sizes, (0, time - longest))
    b = np.arange(sizes[0] if longest else 0)
    there = b < sizes[:, None]  # (time, sorted batch)
    places = np.where(there, (np.cumsum(sizes) - sizes)[:, None] + b, 0)
    if sequence.unsorted_indices is not None:
        order = host(sequence.unsorted_indices)
        there, places = there[:, order], places[:, order]
    lengths = _beside(data, there.sum(axis=0))
    if batch_first:
        there, places = there.T, places.T
    padded = take(data, _beside(data, places), axis=0)
    mask = _beside(data, there.reshape(*there.shape, *(1,) * (data.ndim - 1)))
    return where(mask, padded, _filler(data, padding_value)), lengths


def _filler(x: Tensor, value: float) -> float:
    """The padding value as a number of the kind of x."""
    return value if x.dtype.kind.endswith("floating") else int(value)


@typed
def pad_sequence(
    sequences: Tensor | Iterable[Tensor],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Any:
    """Pad sequences (L, ...) of different lengths L with ``padding_value``, and stack them.

    The result is (T, B, ...), with ``batch_first`` (B, T, ...), T the longest length;
    ``padding_side="left"`` pads before them. Raises ShapeError, ArgumentError, DTypeError.

    >>> a, b = tx.asarray([1.0, 2.0]), tx.asarray([3.0])
    >>> tx.nn.utils.rnn.pad_sequence([a, b], batch_first=True, padding_value=-1.0)
    tensor([[ 1.,  2.],
            [ 3., -1.]])
    """
    if not isinstance(sequences, Iterable):
        raise DTypeError(f"pad_sequence expects a list of Tensors, got {type(sequences).__name__}")
    every = unstack(sequences, axis=0) if isinstance(sequences, Tensor) else list(sequences)
    if not every:
        raise ArgumentError("pad_sequence expects one sequence or more, got none")
    if padding_side not in ("left", "right"):
        raise ArgumentError(f"padding_side is 'left' or 'right', got {padding_side!r}")
    for x in every:
        _expect_axes("pad_sequence", x, 1)
        if x.shape[1:] != every[0].shape[1:]:
            raise ShapeError(
                "pad_sequence expects sequences (L, ...) that differ in L only, got "
                f"{every[0].shape} and {x.shape}"
            )
    longest = max(len(x) for x in every)
    padded = []
    for x in every:
        margin = (0, longest - len(x)) if padding_side == "right" else (longest - len(x), 0)
        width = (margin, *[(0, 0)] * (x.ndim - 1))
        padded.append(padding.pad(x, width, constant_values=_filler(x, padding_value)))
    return stack(padded, axis=0 if batch_first else 1)


@typed
def unpad_sequence(padded_sequences: Tensor, lengths: Any, batch_first: bool = False) -> list[Any]:
    """Cut the sequences of a padded batch to their lengths: the inverse of ``pad_sequence``.

    Raises ShapeError, DTypeError.

    >>> tx.nn.utils.rnn.unpad_sequence(tx.asarray([[1, 2], [3, 0]]), [2, 1], batch_first=True)
    [tensor([1, 2]), tensor([3])]
    """
    _expect_axes("unpad_sequence", padded_sequences, 2)
    rows, counts = unstack(padded_sequences, axis=0 if batch_first else 1), host(lengths)
    if len(rows) != len(counts):
        raise ShapeError(
            f"unpad_sequence expects a length for each of {len(rows)} sequences, got {len(counts)}"
        )
    return [row[: max(n, 0)] for row, n in zip(rows, counts.tolist(), strict=True)]


@typed
def pack_sequence(sequences: Iterable[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Pack sequences (L, ...), the longest first unless ``enforce_sorted`` is False.

    Raises ShapeError, ArgumentError, DTypeError; see ``pack_padded_sequence``.

    >>> tx.nn.utils.rnn.pack_sequence([tx.asarray([1, 2]), tx.asarray([3])]).data
    tensor([1, 3, 2])
    """
    every = list(sequences)
    padded = pad_sequence(every)
    return pack_padded_sequence(padded, [len(x) for x in every], enforce_sorted=enforce_sorted)


@typed
def unpack_sequence(packed_sequences: PackedSequence) -> list[Any]:
    """Unpack the sequences of a PackedSequence, in the original order.

    >>> from tinyxp.nn.utils.rnn import pack_sequence, unpack_sequence
    >>> unpack_sequence(pack_sequence([tx.asarray([1, 2]), tx.asarray([3])]))
    [tensor([1, 2]), tensor([3])]
    """
    return unpad_sequence(*pad_packed_sequence(packed_sequences, batch_first=True), True)
