"""A student's values and gradients beside an independent formula in NumPy float64."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import tinyxp as tx
from tinyxp import Tensor
from tinyxp.debug import Watch
from tinyxp.lessons.points import NotYet

Array = Any
STAY = "compute with tinyxp's functions all the way: numpy(), tolist(), float() leave the tape"
TOLERANCE = 1e-4


def numbers(value: Any, what: str = "a number or a tensor") -> Array:
    """A tensor, number or list as NumPy float64. Raises NotYet for anything else."""
    if isinstance(value, Tensor):  # by the class: what a subclass of a student's says is not asked
        return np.array(Tensor.numpy(Tensor.detach(value)), dtype=np.float64, subok=False)
    if isinstance(value, (list, tuple)) and any(isinstance(part, Tensor) for part in value):
        return np.array([numbers(part, what) for part in value])
    try:
        # None is NaN for NumPy, and other classes may give what they like
        if isinstance(value, (int, float, list, tuple, np.generic, np.ndarray)):
            return np.array(value, dtype=np.float64, subok=False)
    except (TypeError, ValueError):
        pass
    raise NotYet(what, said(value), "does the function end with return?")


def said(value: Any) -> str:
    """A value in a few words."""
    if value is None:
        return "None (nothing was returned)"
    if isinstance(value, Tensor):
        return f"a tensor of shape {value.shape}"
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) < 60 else text[:60] + ' ...'}"


def shown(array: Array) -> str:
    """All numbers of a small array, in one line."""
    return np.array2string(array, precision=4, separator=", ", suppress_small=True).replace(
        "\n", ""
    )


def same(came: Array, expected: Array) -> bool:
    if came.shape != expected.shape:
        return False
    room = TOLERANCE * (1 + np.max(np.abs(expected), initial=0.0))
    return bool(np.all(np.abs(came - expected) <= room))  # false for NaN


def near(
    came: Any, expected: Array, hint: str = "", mistakes: Mapping[str, Array] | None = None
) -> None:
    """Raise NotYet unless ``came`` is ``expected``; ``mistakes`` are hints, and what each gives."""
    found = numbers(came)
    expected = np.asarray(expected, dtype=np.float64)
    if same(found, expected):
        return
    for usual, value in (mistakes or {}).items():
        if same(found, np.asarray(value, dtype=np.float64)):
            hint = usual
            break
    if found.shape != expected.shape:
        raise NotYet(f"shape {expected.shape}", f"shape {found.shape}", hint)
    if expected.size <= 6:
        raise NotYet(shown(expected), shown(found), hint)
    gap = np.where(np.isnan(found), np.inf, np.abs(found - expected))
    at = tuple(int(i) for i in np.unravel_index(int(np.argmax(gap)), gap.shape))
    raise NotYet(f"{expected[at]:.5g} at {list(at)}", f"{found[at]:.5g} at {list(at)}", hint)


def cut(watch: Watch) -> str:
    """The hint that names the first line where a gradient stopped."""
    for record in watch.records.values():
        for link in record.links:
            if link.why and not record.on_purpose:
                where = link.origin or record.site
                return f"line {where.line} cuts the tape by {link.why}: {where.code or STAY}"
    return next(
        (f"line {left.site.line} leaves the tape by {left.way}: {left.site.code}"
         for left in watch.exits), STAY
    )  # fmt: skip


def gradients(
    f: Callable[..., Any], formula: Callable[..., Array], inputs: Mapping[str, Array]
) -> None:
    """Raise NotYet unless the tape's gradients of ``f`` are the central differences of ``formula``.

    With random weights r, L = Σ r · f(...) is differentiated by every input.
    """
    arrays = [np.asarray(x, dtype=np.float64) for x in inputs.values()]
    weights = np.random.default_rng(5).normal(size=formula(*arrays).shape)
    with tx.doctor.watch() as watch:
        tensors = [tx.asarray(x, requires_grad=True) for x in arrays]
        y = f(*tensors)
        if not isinstance(y, Tensor):
            raise NotYet("a tensor", said(y), cut(watch))
        if y.requires_grad:
            (y * tx.asarray(weights)).sum().backward()
    for name, x, tensor in zip(inputs, arrays, tensors, strict=True):
        if tensor.grad is None:
            raise NotYet(f"a gradient by {name}", "none: the tape is cut", cut(watch))

        def loss(changed: Array, x: Array = x) -> float:
            return float(np.sum(weights * formula(*[changed if a is x else a for a in arrays])))

        near(tensor.grad, differences(loss, x), f"the value is right, but not d/d{name}: "
             "is a part of the formula computed outside the tape? " + cut(watch))  # fmt: skip


def differences(loss: Callable[[Array], float], x: Array, eps: float = 1e-5) -> Array:
    """dL/dx by central differences, element by element."""
    slope = np.empty_like(x)
    for at in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[at] = eps
        slope[at] = (loss(x + step) - loss(x - step)) / (2 * eps)
    return slope
