"""Compares a student's values and gradients with an independent formula in NumPy float64."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

import tinyxp as tx
from tinyxp import Tensor
from tinyxp.debug import Watch
from tinyxp.lessons.lesson import Lesson, NotYet

Array = Any
STAY = "use only tinyxp's functions in between: numpy(), tolist() and float() leave the tape"
TOLERANCE = 1e-4


def numbers(value: Any, expected: str = "a number or a tensor") -> Array:
    """A tensor, number or list as NumPy float64. Raises NotYet for anything else."""
    if isinstance(value, Tensor):  # Tensor's own methods: a student's subclass may override them
        return np.array(Tensor.numpy(Tensor.detach(value)), dtype=np.float64, subok=False)
    if isinstance(value, (list, tuple)) and any(isinstance(part, Tensor) for part in value):
        return np.array([numbers(part, expected) for part in value])
    try:
        # only these: NumPy makes NaN of None, and asks other classes for their own conversion
        if isinstance(value, (int, float, list, tuple, np.generic, np.ndarray)):
            return np.array(value, dtype=np.float64, subok=False)
    except (TypeError, ValueError):
        pass
    raise NotYet(expected, describe(value), "does the function end with return?")


def describe(value: Any) -> str:
    """A value in a few words."""
    if value is None:
        return "None (nothing was returned)"
    if isinstance(value, Tensor):
        return f"a tensor of shape {value.shape}"
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) < 60 else text[:60] + ' ...'}"


def format_array(array: Array) -> str:
    """All numbers of a small array, on one line."""
    text = np.array2string(array, precision=4, separator=", ", suppress_small=True)
    return text.replace("\n", "")


def close(found: Array, expected: Array) -> bool:
    """Whether two arrays have the same shape and nearly the same numbers."""
    if found.shape != expected.shape:
        return False
    limit = TOLERANCE * (1 + np.max(np.abs(expected), initial=0.0))
    return bool(np.all(np.abs(found - expected) <= limit))  # false for NaN


def compare(
    value: Any, expected: Array, hint: str = "", mistakes: Mapping[str, Array] | None = None
) -> None:
    """Raise NotYet unless ``value`` is close to ``expected``.

    ``mistakes`` maps the hint for each common mistake to the value that the mistake gives.
    """
    found = numbers(value)
    expected = np.asarray(expected, dtype=np.float64)
    if close(found, expected):
        return
    for explanation, wrong in (mistakes or {}).items():
        if close(found, np.asarray(wrong, dtype=np.float64)):
            hint = explanation
            break
    if found.shape != expected.shape:
        raise NotYet(f"shape {expected.shape}", f"shape {found.shape}", hint)
    if expected.size <= 6:
        raise NotYet(format_array(expected), format_array(found), hint)
    gap = np.where(np.isnan(found), np.inf, np.abs(found - expected))
    at = tuple(int(i) for i in np.unravel_index(int(np.argmax(gap)), gap.shape))
    raise NotYet(f"{expected[at]:.5g} at {list(at)}", f"{found[at]:.5g} at {list(at)}", hint)


def compare_gradients(
    f: Callable[..., Any], formula: Callable[..., Array], inputs: Mapping[str, Array]
) -> None:
    """Raise NotYet unless the tape's gradients of ``f`` are the central differences of ``formula``.

    With random weights r, L = Σ r · f(...) is differentiated by every input of real numbers.
    """
    arrays = [*inputs.values()]
    weights = np.random.default_rng(5).normal(size=formula(*arrays).shape)
    with tx.doctor.watch() as watch:
        tensors = [tx.asarray(x, requires_grad=x.dtype.kind == "f") for x in arrays]
        y = f(*tensors)
        if not isinstance(y, Tensor):
            raise NotYet("a tensor", describe(y), _cut_hint(watch))
        if y.requires_grad:
            (y * tx.asarray(weights)).sum().backward()
    for name, x, tensor in zip(inputs, arrays, tensors, strict=True):
        if not tensor.requires_grad:
            continue
        if tensor.grad is None:
            raise NotYet(f"a gradient by {name}", "none: the tape is cut", _cut_hint(watch))

        def loss(changed: Array, x: Array = x) -> float:
            return float(np.sum(weights * formula(*[changed if a is x else a for a in arrays])))

        hint = f"the value is right, but d/d{name} is not: is a part computed outside the tape?"
        compare(tensor.grad, differences(loss, x), f"{hint} {_cut_hint(watch)}")


def add_formula_points(
    lesson: Lesson,
    name: str,
    requirement: str,
    formula: Callable[..., Array],
    cases: Sequence[tuple[Array, ...]],
    hint: str,
    mistakes: Callable[..., Mapping[str, Array]],
) -> None:
    """Add two points of the function ``name``: its values and its gradients are the formula's.

    ``cases`` are the arguments of several calls; the gradients are taken at the last ones.
    """

    @lesson.point(name, requirement)
    def _(student: Any) -> None:
        for arrays in cases:
            value = getattr(student, name)(*map(tx.asarray, arrays))
            compare(value, formula(*arrays), hint, mistakes(*arrays))

    @lesson.point(name, "gradients flow through it")
    def _(student: Any) -> None:
        names = lesson.functions[name].split(", ")
        inputs = dict(zip(names, cases[-1], strict=True))
        compare_gradients(getattr(student, name), formula, inputs)


def _cut_hint(watch: Watch) -> str:
    """The first line where a gradient stopped, as a hint."""
    for record in watch.records.values():
        for link in record.links:
            if link.why and not record.on_purpose:
                where = link.origin or record.site
                return f"line {where.line} cuts the tape by {link.why}: {where.code or STAY}"
    if watch.exits:
        left = watch.exits[0]
        return f"line {left.site.line} leaves the tape by {left.way}: {left.site.code}"
    return STAY


def differences(loss: Callable[[Array], float], x: Array, eps: float = 1e-5) -> Array:
    """dL/dx by central differences, element by element."""
    slope = np.empty_like(x)
    for at in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[at] = eps
        slope[at] = (loss(x + step) - loss(x - step)) / (2 * eps)
    return slope
