"""Whole programs give the same results in every way to run them (see tests/interop/programs)."""

import numpy as np
import pytest

from tests.conftest import PRESENT
from tests.helpers import each
from tests.interop import programs
from tests.interop.programs import PROGRAMS, WAYS


def ways_of(name):
    """The ways in which a program can be run."""
    text = programs.source(name)
    chosen = getattr(programs.loaded(name, "tinyxp"), "BACKENDS", PRESENT)
    possible = [*{*chosen} & {*PRESENT}, *["PyTorch"] * ("torch" in PRESENT)]
    for way, how in WAYS.items():
        if how.backend not in possible:
            continue
        if how.captures and "run.capture" not in text:
            continue
        if how.trainer is not None and "run.fit" not in text:
            continue
        if how.backend == "PyTorch" and "\nALONE" in text:
            continue
        if way != "plain":
            yield way


def kind(key):
    """Numbers of one kind, such as all gradients of a model, share a scale."""
    return key.partition(".")[0], key.rpartition(".")[2] if key.startswith("optimizer") else ""


def far(found, expected, atol):
    """Whether two arrays differ: in a bit, or by more than the tolerance."""
    if atol is None:
        return found.dtype != expected.dtype or found.tobytes() != expected.tobytes()
    return not np.allclose(found, expected, rtol=0, atol=atol, equal_nan=True)


def difference(found, expected, tolerance):
    """The first difference between the logs of two runs, or None."""
    if len(found) != len(expected):
        return f"{len(found)} entries in the log, not {len(expected)}"
    for i, (one, other) in enumerate(zip(found, expected, strict=True)):
        if one.keys() != other.keys():
            return f"entry {i}: {sorted(one.keys() ^ other.keys())} only in one"
        scales = {}
        for key, value in other.items():
            if value is not None:
                scales[kind(key)] = np.max(np.abs(value), initial=scales.get(kind(key), 1e-2))
        for key, value in other.items():
            if value is None or one[key] is None:
                if value is not one[key]:
                    return f"entry {i}: {key} is {one[key]}, not {value}"
            elif one[key].shape != value.shape:
                return f"entry {i}: {key} has shape {one[key].shape}, not {value.shape}"
            elif far(one[key], value, tolerance and tolerance * scales[kind(key)]):
                worst = np.max(np.abs(one[key] - value), initial=0)
                return f"entry {i}: {key} differs by {worst:.2e}, {one[key]} not {value}"
    return None


def refusal(module, how):
    """The expected message of a program that cannot be run in this way."""
    if how.captures:
        return getattr(module, "REFUSED", None)
    options = dict(how.trainer or ())
    if options.get("capture"):
        return getattr(module, "TRAINER_REFUSED", getattr(module, "REFUSED", None))
    return getattr(module, "PARTS_REFUSED", None) if options.get("threads") == 2 else None


@pytest.mark.filterwarnings("ignore:.*nested_tensor")
@pytest.mark.parametrize("name", PROGRAMS)
def test_the_way_makes_no_difference(name):
    each("way", ways_of(name))(check_way)(name=name)


def check_way(name, way):
    how = WAYS[way]
    module = programs.loaded(name, "tinyxp")
    tolerance = how.tolerance and getattr(module, "TOLERANCE", how.tolerance)
    run, expected = programs.outcome(name, way), programs.outcome(name, how.like)
    wanted = refusal(module, how)
    refused = {str(error) for error in run.refusals}
    assert bool(refused) == bool(wanted), refused or f"not refused: {wanted}"
    assert all(wanted in message for message in refused), refused
    if wanted and wanted != getattr(module, "PARTS_REFUSED", None):
        assert all(f"{name}.py:" in message for message in refused), refused
    if not refused or how.captures:  # a Trainer that refuses has trained nothing
        wrong = difference(run.steps, expected.steps, tolerance)
        assert wrong is None, wrong


@pytest.mark.parametrize("name", PROGRAMS)
def test_it_learns(name):
    module, run = programs.loaded(name, "tinyxp"), programs.outcome(name, "plain")
    losses = [float(step["loss"]) for step in run.steps if "loss" in step]
    if getattr(module, "LEARNS", True) and losses:
        third = max(len(losses) // 3, 1)
        assert np.mean(losses[-third:]) < np.mean(losses[:third]), losses
    last = run.steps[-1]
    still = {
        key
        for key, value in run.first.items()
        if f"∂{key}" in value_keys(run) and np.array_equal(value, last[key])
    }
    assert still == set(getattr(module, "STILL", ()))


def value_keys(run):
    """The names of tensors that had a gradient at some step."""
    return {key for step in run.steps for key, value in step.items() if value is not None}
