"""What several functions check of their inputs before they compute."""

from tinyxp import dtypes
from tinyxp.backends.errors import DTypeError, IndexingError
from tinyxp.operation import expect_tensors


def expect_indices(name, indices, n, things, ignore_index=None):
    """Raise DTypeError unless indices are integers, IndexingError unless they lie in [0, n).

    Those equal to ``ignore_index`` are left aside.
    """
    expect_tensors(name, indices)
    if not dtypes.isdtype(indices.dtype, "integral"):
        raise DTypeError(
            f"{name} expects indices of an integer dtype, got {indices.dtype!r}; "
            "cast them: tx.astype(x, tx.int64)"
        )
    if indices.size == 0:
        return
    # on raw arrays: one look at the values, outside of any graph
    xp = indices.backend.xp
    raw = xp.astype(indices.data, indices.backend.dtypes["int64"], copy=False)
    wrong = (raw < 0) | (raw >= n)
    if ignore_index is not None:
        wrong = wrong & (raw != ignore_index)
    if bool(xp.any(wrong)):
        first = raw[wrong][0]
        besides = "" if ignore_index is None else f" or ignore_index={ignore_index}"
        raise IndexingError(
            f"{name}: index {int(first)} is out of range for {n} {things}; "
            f"expected 0 to {n - 1}{besides}"
        )
