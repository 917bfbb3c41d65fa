"""Checks of a student's models and training loops: outputs, gradients, steps and accuracy."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import tinyxp as tx
from tinyxp import Tensor, nn
from tinyxp.lessons.comparison import describe, numbers
from tinyxp.lessons.lesson import Lesson, NotYet
from tinyxp.optim import Optimizer
from tinyxp.train import evaluation, unmoved

MARK = 1e20  # written into gradients after a step, so that a loop that keeps them is noticed


def make_model(make: Callable[[], Any], seed: int = 0) -> nn.Module:
    """A model of the student's class, with initial weights from ``seed``."""
    tx.manual_seed(seed)
    model = make()
    if not isinstance(model, nn.Module):
        hint = "derive the class from tinyxp.nn.Module"
        raise NotYet("a model: class ...(nn.Module)", describe(model), hint)
    if not list(model.parameters()):
        hint = "assign layers to attributes (self.layer = nn.Linear(...)) or put them into "
        hint += "nn.ModuleList or nn.Sequential; layers in a plain list are not found"
        raise NotYet("parameters to learn", "model.parameters() is empty", hint)
    return model


def outputs(model: nn.Module, x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The model's outputs, which must have this shape and be finite."""
    y = model(x)
    if not isinstance(y, Tensor):
        raise NotYet(f"a tensor of shape {shape}", describe(y), "does forward end with return?")
    if y.shape != shape:
        hint = "(n, 1) is not (n,): take column 0" if y.shape == (*shape, 1) else ""
        raise NotYet(f"shape {shape}", f"shape {y.shape}", hint)
    if not np.all(np.isfinite(numbers(y))):
        raise NotYet("finite numbers", "NaN or Inf", "are the initial weights far too large?")
    return y


def add_model_points(
    lesson: Lesson,
    name: str,
    shapes: str,
    example: Callable[[], tuple[Tensor, Tensor]],
    classes: tuple[int, ...],
    loss: Callable[[Tensor, Tensor], Tensor],
) -> None:
    """Add the points of every model: its output's shape, a non-linearity, and gradients.

    ``example`` returns inputs (n, ...) and labels; the outputs have the shape (n, *classes).
    """

    @lesson.point(name, f"is a model: {shapes}")
    def _(student: Any) -> None:
        model, (x, _) = make_model(getattr(student, name)), example()
        for n in (len(x), 7):
            p = numbers(outputs(model, x[:n], (n, *classes)))
            if classes and np.all(p >= 0) and np.allclose(p.sum(axis=1), 1, atol=1e-3):
                hint = "no softmax at the end: F.cross_entropy applies it, and twice is too much"
                raise NotYet("logits: any real numbers", "rows that add up to 1", hint)

    @lesson.point(name, "is not linear")
    def _(student: Any) -> None:
        model, (x, _) = make_model(getattr(student, name)), example()
        a, b = 4 * x, 4 * tx.flip(x, axis=0)  # far apart, where a non-linearity shows
        with evaluation(model):
            fa, fb, middle = (
                numbers(outputs(model, part, (len(x), *classes))) for part in (a, b, (a + b) / 2)
            )
        if np.abs((fa + fb) / 2 - middle).max() <= 1e-4 * np.abs(fa - fb).max():
            hint = "layers without a non-linearity (tx.tanh, F.relu) between them are one layer"
            got = "a linear one: f((a + b) / 2) = (f(a) + f(b)) / 2"
            raise NotYet("a function that is not linear", got, hint)

    @lesson.point(name, "every parameter gets a gradient")
    def _(student: Any) -> None:
        model, (x, y) = make_model(getattr(student, name)), example()
        frozen = [name for name, p in model.named_parameters() if not p.requires_grad]
        if frozen:
            hint = "remove requires_grad_(False): it freezes them"
            raise NotYet("parameters that learn", f"{', '.join(frozen[:3])}: frozen", hint)
        with tx.doctor.watch():
            value = loss(outputs(model, x, (len(x), *classes)), y)
        for first in tx.doctor(value, model).findings:
            line = f" ({first.site.code})" if first.site else ""
            got = f"{first.kind} in {', '.join(first.parameters[:3])}: {first.message}{line}"
            raise NotYet("a gradient for every parameter", got, first.remedy)


@dataclass
class Steps:
    """The steps of optimizers under :func:`require_training`."""

    count: int = 0
    stale: bool = False  # a step used the gradient of an earlier one
    without: int = 0  # steps without any gradient


@contextlib.contextmanager
def require_training(model: nn.Module, least: int) -> Iterator[Steps]:
    """Raise NotYet unless the block takes ``least`` steps or more, each with a fresh gradient, and
    they change every parameter. Meanwhile each step leaves a mark in the gradients."""
    before = {name: p.detach() for name, p in model.named_parameters()}
    steps, step = Steps(), Optimizer.step

    def recording_step(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        params = [p for group in self.param_groups for p in group["params"]]
        with_gradient = [p for p in params if p.grad is not None]
        for p in with_gradient:
            if np.max(np.abs(numbers(p.grad)), initial=0.0) > MARK / 10:
                steps.stale, p.grad = True, None
        steps.count += 1
        steps.without += not with_gradient
        result = step(self, *args, **kwargs)
        for p in params:
            p.grad = tx.full_like(p.detach(), MARK)
        return result

    Optimizer.step = recording_step  # type: ignore[method-assign]
    try:
        yield steps
    finally:
        Optimizer.step = step  # type: ignore[method-assign]
    if steps.count == 0:
        hint = "without a step nothing is learned"
        raise NotYet("optimizer.step() after every backward()", "no step", hint)
    if steps.stale:
        hint = "backward() adds to .grad: call optimizer.zero_grad() before it"
        got = "a gradient that still contains the last step's"
        raise NotYet("a fresh gradient for every step", got, hint)
    if steps.without == steps.count:
        hint = "is loss.backward() there, and does the optimizer hold this model's parameters?"
        raise NotYet("a gradient at each step", "no parameter had one", hint)
    if steps.count < least:
        hint = "continue: the loss is still falling"
        raise NotYet(f"at least {least} steps", f"{steps.count}", hint)
    if still := unmoved(before, model):
        hint = "does the optimizer hold this model's parameters, and is its lr above 0?"
        raise NotYet("parameters that change", f"{', '.join(still[:3])} did not", hint)


def accuracy(scores: Any, labels: Tensor) -> float:
    """The fraction of right answers: of scores (n,) for class 1, or (n, classes)."""
    s = numbers(scores)
    answers = s.argmax(axis=1) if s.ndim == 2 else s > 0
    return float(np.mean(answers == labels.numpy()))


def require_accuracy(found: float, least: float, what: str, hint: str) -> None:
    """Raise NotYet if an accuracy is too low."""
    if not found >= least:
        raise NotYet(f"{least:.0%} of {what} right", f"{found:.1%}", hint)
