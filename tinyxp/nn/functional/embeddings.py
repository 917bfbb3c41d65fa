"""Class and token indices: rows of a table, sums of such rows, and one-hot vectors."""

from tinyxp import backends
from tinyxp.core import dtypes
from tinyxp.core.operation import expect_tensors, floats
from tinyxp.core.tape import no_grad
from tinyxp.errors import ArgumentError, IndexingError, ShapeError
from tinyxp.linalg.norms import vector_norm
from tinyxp.nn.functional.checks import expect_indices, numbers
from tinyxp.ops.arithmetic import where
from tinyxp.ops.bounds import maximum
from tinyxp.ops.creation import astype, ones, zeros
from tinyxp.ops.gathering import index_add, take, take_along_axis
from tinyxp.ops.padding import pad
from tinyxp.ops.reductions import max
from tinyxp.ops.regular import arange
from tinyxp.ops.scans import cumulative_sum
from tinyxp.ops.searching import searchsorted
from tinyxp.ops.shaping import broadcast_to, concat, expand_dims, reshape

__all__ = ["embedding", "embedding_bag", "one_hot"]


def embedding(
    input,
    weight,
    padding_idx=None,
    max_norm=None,
    norm_type=2.0,
    scale_grad_by_freq=False,
    sparse=False,
):
    """y[...] = weight[input[...]]; the row ``padding_idx`` gets no gradient.

    ``max_norm``: rows that are looked up and longer, by the norm ``norm_type``, are first brought
    to this length, in ``weight`` itself. ``scale_grad_by_freq``: the gradient of a row is divided
    by how often it is looked up.

    Shapes: input (...) of integers, weight (num_embeddings, embedding_dim) ->
    (..., embedding_dim). Raises IndexingError, DTypeError, ShapeError; ArgumentError, also for
    ``sparse=True``, as there are no sparse gradients.

    >>> weight = tx.asarray([[0.0, 0.0], [1.0, 2.0]])
    >>> tx.nn.functional.embedding(tx.asarray([1, 0]), weight)
    tensor([[1., 2.],
            [0., 0.]])
    """
    padding_idx = _check("embedding", input, weight, padding_idx, sparse)
    if max_norm is not None:
        _shorten(weight, input, max_norm, norm_type)
    y = take(weight, input, axis=0)
    if scale_grad_by_freq:
        y = _by_frequency(y, input, weight)
    if padding_idx is None:
        return y
    return where(expand_dims(input == padding_idx, axis=-1), y.detach(), y)


def _check(name, input, weight, padding_idx, sparse):
    """Check the arguments of both embeddings; returns ``padding_idx`` as an index from 0 up."""
    expect_tensors(name, weight)
    if weight.ndim != 2:
        raise ShapeError(
            f"{name} expects weight (num_embeddings, embedding_dim), got {weight.shape}"
        )
    n = weight.shape[0]
    expect_indices(name, input, n, "embeddings")
    if sparse:
        raise ArgumentError(f"{name} does not support sparse gradients; omit sparse=True")
    if padding_idx is None:
        return None
    if not -n <= padding_idx < n:
        raise ArgumentError(f"padding_idx {padding_idx} is out of range for {n} embeddings")
    return padding_idx % n


def _counts(places, n):
    """Count each of 0 … n - 1 among ``places``, in int64: float16 counts only to 2,048."""
    places = reshape(places, (-1,))
    with backends.using(places.backend):
        none = zeros(n, dtype=dtypes.int64, device=places.device)
        each = ones(places.shape, dtype=dtypes.int64, device=places.device)
    return index_add(none, places, each)


def _shorten(weight, input, max_norm, norm_type):
    """Scale the rows that are looked up to a norm of at most ``max_norm``, without gradients."""
    with no_grad():
        rows = weight.detach()
        length = vector_norm(rows, axis=1, keepdims=True, ord=norm_type)
        used = _counts(input, rows.shape[0]) > 0
        long = (length > max_norm) & expand_dims(used, axis=1)
        weight.array = where(long, rows * (max_norm / (length + 1e-7)), rows).array


def _by_frequency(y, input, weight):
    """The rows ``y``, with the gradient of each divided by the count of its index."""
    times = take(_counts(input, weight.shape[0]), input, axis=0)
    scale = 1 / astype(times, weight.dtype)
    fixed = y.detach()
    return fixed + (y - fixed) * expand_dims(scale, axis=-1)


def embedding_bag(
    input,
    weight,
    offsets=None,
    max_norm=None,
    norm_type=2,
    scale_grad_by_freq=False,
    mode="mean",
    sparse=False,
    per_sample_weights=None,
    include_last_offset=False,
    padding_idx=None,
):
    """The sum, mean or maximum (``mode``) of the rows of ``weight`` in each bag of indices.

    Bags are the rows of input (B, N); or the slices of input (N) that begin at ``offsets`` (B),
    with one more offset at the end if ``include_last_offset``. The last bag reaches to the end of
    the input in any case. Indices equal to ``padding_idx`` are skipped; an empty bag gives 0.
    ``per_sample_weights``, shaped as the input, multiply the rows of a sum. Other options as in
    ``embedding``.

    Shapes: weight (num_embeddings, embedding_dim) -> (B, embedding_dim). Raises ShapeError,
    DTypeError, IndexingError, ArgumentError.

    >>> weight = tx.asarray([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    >>> bags, starts = tx.asarray([0, 1, 2]), tx.asarray([0, 2])
    >>> tx.nn.functional.embedding_bag(bags, weight, starts)
    tensor([[2., 3.],
            [5., 6.]])
    """
    name = "embedding_bag"
    padding_idx = _check(name, input, weight, padding_idx, sparse)
    if mode not in ("sum", "mean", "max"):
        raise ArgumentError(f"{name} expects mode 'sum', 'mean' or 'max', got {mode!r}")
    if mode == "max" and scale_grad_by_freq:
        raise ArgumentError(f"{name} with mode 'max' cannot scale gradients by frequency")
    if per_sample_weights is not None:
        expect_tensors(name, per_sample_weights)
        if mode != "sum":
            raise ArgumentError(f"{name} takes per_sample_weights with mode 'sum', got {mode!r}")
        if per_sample_weights.shape != input.shape:
            raise ShapeError(
                f"{name} expects per_sample_weights of the input's shape {input.shape}, "
                f"got {per_sample_weights.shape}"
            )
        per_sample_weights = reshape(per_sample_weights, (-1,))
    bags, n = _bags(input, offsets, include_last_offset)
    if max_norm is not None:
        _shorten(weight, input, max_norm, norm_type)
    input = reshape(input, (-1,))
    if padding_idx is not None:
        kept = input != padding_idx
        input, bags = input[kept], bags[kept]
        if per_sample_weights is not None:
            per_sample_weights = per_sample_weights[kept]
    if mode != "max":
        weight, per_sample_weights = floats(weight, per_sample_weights)
    rows = take(weight, input, axis=0)
    if mode == "max":
        return _largest(rows, bags, n)
    if scale_grad_by_freq:
        rows = _by_frequency(rows, input, weight)
    if per_sample_weights is not None:
        rows = rows * expand_dims(per_sample_weights, axis=-1)
    with backends.using(weight.backend):
        none = zeros((n, weight.shape[1]), dtype=rows.dtype, device=weight.device)
    y = index_add(none, bags, rows)
    if mode == "sum":
        return y
    sizes = expand_dims(astype(maximum(_counts(bags, n), 1), y.dtype), axis=-1)
    return y / sizes


def _bags(input, offsets, include_last_offset):
    """The bag of each index, flat, and the number of bags."""
    if input.ndim == 2:
        if offsets is not None:
            raise ArgumentError("embedding_bag of input (B, N) takes no offsets; its rows are bags")
        n = input.shape[0]
        with backends.using(input.backend):
            rows = arange(n, device=input.device)
        return reshape(broadcast_to(expand_dims(rows, axis=1), input.shape), (input.size,)), n
    if input.ndim != 1 or offsets is None:
        raise ShapeError("embedding_bag expects input (B, N), or (N) and offsets")
    expect_indices("embedding_bag", offsets, input.shape[0] + 1, "places to begin a bag at")
    if offsets.ndim != 1 or (include_last_offset and offsets.size == 0):
        raise ShapeError(f"embedding_bag expects offsets (B), got {offsets.shape}")
    offsets = astype(offsets, dtypes.int64, copy=False)
    if offsets.size and (int(offsets[0]) != 0 or bool((offsets[1:] < offsets[:-1]).any())):
        raise IndexingError("embedding_bag expects offsets that begin with 0 and do not decrease")
    n = offsets.size - bool(include_last_offset)
    if n == 0 and input.size:
        raise ArgumentError(f"embedding_bag has no bag for the {input.size} indices of its input")
    with backends.using(input.backend):
        places = arange(input.shape[0], device=input.device)
    return searchsorted(offsets[:n], places, side="right") - 1, n


def _largest(rows, bags, n):
    """The maxima of the rows of each bag: (N, D) -> (n, D), 0 for an empty bag."""
    end = rows.shape[0]  # the position of a row of zeros, after all others
    with backends.using(rows.backend):
        places = expand_dims(arange(end, device=rows.device), axis=1)
    best, places = rows.detach(), broadcast_to(places, rows.shape)
    sizes = _counts(bags, n)
    # position i holds the first maximum of i … i + step - 1 within its bag
    step, longest = 1, int(max(sizes)) if n else 0
    while step < longest:
        near, far = best[:-step], best[step:]
        better = expand_dims(bags[step:] == bags[:-step], axis=1) & (far > near)
        places = concat([where(better, places[step:], places[:-step]), places[-step:]])
        best = concat([where(better, far, near), best[-step:]])
        step *= 2
    places = pad(places, ((0, 1), (0, 0)), constant_values=end)
    firsts = where(sizes > 0, cumulative_sum(sizes) - sizes, end)
    places = take(places, firsts, axis=0)
    return take_along_axis(pad(rows, ((0, 1), (0, 0))), places, axis=0)


def one_hot(tensor, num_classes=-1):
    """y[..., c] = 1 where c is the index, else 0: (...) -> (..., num_classes), int64.

    ``num_classes=-1`` means the largest index + 1. Raises IndexingError, DTypeError.

    >>> tx.nn.functional.one_hot(tx.asarray([0, 2]))
    tensor([[1, 0, 0],
            [0, 0, 1]])
    """
    expect_tensors("one_hot", tensor)
    (num_classes,) = numbers("one_hot", "num_classes", num_classes, 1, -1)
    if tensor.size == 0 and num_classes < 1:
        raise ArgumentError("one_hot of no index cannot infer the classes; pass num_classes")
    if num_classes == -1:
        num_classes = int(max(tensor)) + 1
    expect_indices("one_hot", tensor, num_classes, "classes")
    with backends.using(tensor.backend):
        classes = arange(num_classes, device=tensor.device)
    return astype(expand_dims(tensor, axis=-1) == classes, dtypes.int64)
