"""Class and token indices: rows of a table, and one-hot vectors."""

from tinyxp import backends, dtypes
from tinyxp.backends.errors import ArgumentError
from tinyxp.nn.functional.checks import expect_indices
from tinyxp.ops.arithmetic import where
from tinyxp.ops.creation import arange, astype
from tinyxp.ops.gathering import take
from tinyxp.ops.reductions import max
from tinyxp.ops.shaping import expand_dims

__all__ = ["embedding", "one_hot"]


def embedding(input, weight, padding_idx=None):
    """y[...] = weight[input[...]]; the row ``padding_idx`` gets no gradient.

    Shapes: input (...) of integers, weight (num_embeddings, embedding_dim) ->
    (..., embedding_dim). Raises IndexingError, DTypeError, ArgumentError.

    >>> weight = tx.asarray([[0.0, 0.0], [1.0, 2.0]])
    >>> tx.nn.functional.embedding(tx.asarray([1, 0]), weight)
    tensor([[1., 2.],
            [0., 0.]])
    """
    n = weight.shape[0]
    expect_indices("embedding", input, n, "embeddings")
    y = take(weight, input, axis=0)
    if padding_idx is None:
        return y
    if not -n <= padding_idx < n:
        raise ArgumentError(f"padding_idx {padding_idx} is out of range for {n} embeddings")
    return where(expand_dims(input == padding_idx % n, axis=-1), y.detach(), y)


def one_hot(tensor, num_classes=-1):
    """y[..., c] = 1 where c is the index, else 0: (...) -> (..., num_classes), int64.

    ``num_classes=-1``: one more than the largest index. Raises IndexingError, DTypeError.

    >>> tx.nn.functional.one_hot(tx.asarray([0, 2]))
    tensor([[1, 0, 0],
            [0, 0, 1]])
    """
    if num_classes == -1:
        if tensor.size == 0:
            raise ArgumentError("one_hot of no index cannot infer the classes; pass num_classes")
        num_classes = int(max(tensor)) + 1
    expect_indices("one_hot", tensor, num_classes, "classes")
    with backends.using(tensor.backend):
        classes = arange(num_classes, device=tensor.device)
    return astype(expand_dims(tensor, axis=-1) == classes, dtypes.int64)
