"""What several test files use."""

import functools
import inspect
from pathlib import Path

import numpy as np
import pytest

import tinyxp as tx


def leaf(values, dtype=tx.float64):
    return tx.asarray(values, dtype=dtype, requires_grad=True)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def here(file, marker):
    """The number of the one line of a file that ends with ``marker``."""
    lines = Path(file).read_text("utf-8").splitlines()
    (number,) = [i for i, line in enumerate(lines, 1) if line.endswith(marker)]
    return number


def each(names, values):
    """Call a test for each of the values, as ``pytest.mark.parametrize`` does, but in one test.

    For long tables of short cases: pytest collects, sends and reports a test in about 4 ms, which
    is longer than most of these cases take. All cases run; the error holds those that failed, each
    with its arguments.
    """
    names = [name.strip() for name in names.split(",")] if isinstance(names, str) else [*names]
    rows = [(value,) if len(names) == 1 else tuple(value) for value in values]

    def decorate(test):
        signature = inspect.signature(test)

        @functools.wraps(test)
        def run(**fixtures):
            errors, skips = [], []
            for row in rows:
                case = dict(zip(names, row, strict=True))
                try:
                    call(test, fixtures, case)
                except pytest.skip.Exception as skip:
                    skips.append(str(skip))
                except (Exception, pytest.fail.Exception) as error:
                    error.add_note(", ".join(f"{name}={value!r}" for name, value in case.items()))
                    errors.append(error)
            if errors:
                raise BaseExceptionGroup(f"{len(errors)} of {len(rows)} cases failed", errors)
            if skips and len(skips) == len(rows):
                pytest.skip(skips[0])

        kept = [p for name, p in signature.parameters.items() if name not in names]
        run.__signature__ = signature.replace(parameters=kept)
        return run

    return decorate


def call(test, fixtures, case):
    """A case starts as a test does: with fresh random numbers, and with nothing patched."""
    own = dict(fixtures)
    if "rng" in own:
        own["rng"] = np.random.default_rng(0)
    if "monkeypatch" not in own:
        return test(**own, **case)
    with own["monkeypatch"].context() as own["monkeypatch"]:
        return test(**own, **case)
