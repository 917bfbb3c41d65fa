"""Checks of arguments that several functions share."""

import operator
from numbers import Real

import numpy as np

from tinyxp.core.operation import expect_tensors
from tinyxp.core.views import rebind
from tinyxp.errors import ArgumentError, DTypeError, IndexingError


def expect_indices(name, indices, n, things, ignore_index=None):
    """Raise DTypeError unless indices are integers, IndexingError unless they lie in [0, n).

    Indices equal to ``ignore_index`` are not checked.
    """
    expect_tensors(name, indices)
    if not indices.dtype.kind.endswith("integer"):
        raise DTypeError(
            f"{name} expects indices of an integer dtype, got {indices.dtype!r}; "
            "cast them: tx.astype(x, tx.int64)"
        )
    if indices.size == 0:
        return
    # on raw arrays, so that nothing is recorded
    xp, raw = indices.backend.xp, indices.array
    if raw.dtype != indices.backend.dtypes["int64"]:
        raw = xp.astype(raw, indices.backend.dtypes["int64"])

    def complaint():
        besides = "" if ignore_index is None else f" or ignore_index={ignore_index}"
        return (
            f"{name}: index {{index}} is out of range for {n} {things}; "
            f"expected 0 to {n - 1}{besides}"
        )

    if indices.backend.check_later(raw, 0, n, ignore_index, complaint):
        return
    if xp.all((raw >= 0) & (raw < n)):  # the usual case
        return
    wrong = (raw < 0) | (raw >= n)
    if ignore_index is not None:
        wrong = wrong & (raw != ignore_index)
    if bool(xp.any(wrong)):
        raise IndexingError(complaint().format(index=int(raw[wrong][0])))


def numbers(name, what, value, n, least):
    """Return ``value``, an integer for all axes or one for each, as n integers. Raises DTypeError;
    ArgumentError unless there are n (or one), from ``least`` to the largest int64."""
    if type(value) is int and least <= value < 2**63:
        return (value,) * n
    given = value if isinstance(value, (tuple, list)) else (value,)
    try:
        found = tuple(map(operator.index, given))
    except TypeError as error:
        raise DTypeError(f"{name}: {what} is an integer or {n} of them, got {value!r}") from error
    if len(found) not in (1, n) or min(found) < least:
        raise ArgumentError(
            f"{name}: {what} is an integer or {n} of them, none below {least}, got {value!r}"
        )
    if max(found) >= 2**63:
        raise ArgumentError(f"{name}: {what} does not fit into int64, got {value!r}")
    return found * n if len(found) == 1 else found


def expect_numbers(name, **options):
    """Raise DTypeError unless these options are real numbers."""
    for option, value in options.items():
        if not isinstance(value, Real):
            raise DTypeError(f"{name} expects a number as {option}, got {value!r}")


def in_place(x, y, inplace):
    """Return y, which with ``inplace`` becomes the value of x, under the rules of ``x += y``.

    Raises DTypeError unless it is True or False.
    """
    if not isinstance(inplace, (int, np.bool_)):
        raise DTypeError(f"inplace is True or False, got {inplace!r}")
    return rebind(x, y, "inplace=True") if inplace else y
