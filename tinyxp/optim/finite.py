"""A fast test for NaN and Inf in tensors."""

from collections.abc import Sequence

import numpy as np

from tinyxp.core.tensor import Tensor
from tinyxp.nn.utils.clip_grad import get_total_norm
from tinyxp.ops.logic import isfinite


def all_finite(tensors: Sequence[Tensor]) -> bool:
    """Whether all elements of all tensors are finite.

    >>> all_finite([tx.asarray([1.0, 1e30]), tx.asarray(2.0)]), all_finite([tx.asarray(tx.nan)])
    (True, False)
    """
    # the norm is fast and finite only if they are; but the squares of large numbers overflow
    with np.errstate(all="ignore"):
        if bool(isfinite(get_total_norm(tensors))):
            return True
    return all(bool(isfinite(x).all()) for x in tensors)
