"""Evenly spaced numbers and identity matrices."""

import math

import numpy as np

from tinyxp.core import dtypes
from tinyxp.core.dtypes import expect_held
from tinyxp.core.foreign_errors import foreign_errors
from tinyxp.ops.creation import _default_for, _expect_number, _new, _number_and_dtype, asarray

__all__ = ["arange", "eye", "linspace"]


def arange(start, /, stop=None, step=1, *, dtype=None, device=None):
    """The numbers start, start + step, … below stop; ``arange(n)`` gives 0 … n - 1.

    >>> tx.arange(3)
    tensor([0, 1, 2])
    """
    start, stop = (0, start) if stop is None else (start, stop)
    start, stop, step = (_number_and_dtype(number)[0] for number in (start, stop, step))
    dtype = _default_for(start, stop, step) if dtype is None else dtypes.as_dtype(dtype)
    if dtype in dtypes.SPANS:
        with foreign_errors("arange", start, stop, step):
            count = math.ceil((stop - start) / step)
        for number in (start, start + (count - 1) * step) if count > 0 else ():
            _expect_number(number, dtype)
    return _new("arange", (start, stop, step), dtype, device)


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
