"""Evenly spaced numbers and identity matrices."""

import numpy as np

from tinyxp.core import dtypes
from tinyxp.core.dtypes import expect_held
from tinyxp.core.foreign_errors import foreign_errors
from tinyxp.ops.creation import _default_for, _new, _number_and_dtype, asarray

__all__ = ["eye", "linspace"]


def linspace(start, stop, /, num, *, dtype=None, device=None, endpoint=True):
    """``num`` evenly spaced numbers from start to stop; without ``endpoint`` stop is left out.

    >>> tx.linspace(0, 1, 3)
    tensor([0. , 0.5, 1. ])
    """
    start, stop = _number_and_dtype(start)[0], _number_and_dtype(stop)[0]
    # by NumPy in float64, so that every backend gets the same bits
    with foreign_errors("linspace", start, stop, num):
        values = np.linspace(start, stop, num, endpoint=endpoint)
    dtype = dtypes.as_dtype(dtype or _default_for(start, stop, 1.0))
    expect_held(values, dtype)
    return asarray(values, dtype=dtype, device=device)


def eye(n_rows, n_cols=None, /, *, k=0, dtype=None, device=None):
    """Ones on the k-th diagonal, zeros elsewhere.

    >>> tx.eye(2)
    tensor([[1., 0.],
            [0., 1.]])
    """
    return _new("eye", (n_rows, n_cols), dtype, device, k=k)
