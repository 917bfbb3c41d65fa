"""What is asked of every model and training loop: bends, gradients everywhere, steps that move."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import tinyxp as tx
from tinyxp import Tensor, nn
from tinyxp.lessons.comparing import numbers, said
from tinyxp.lessons.points import NotYet
from tinyxp.optim import Optimizer
from tinyxp.train import evaluation, unmoved

MARK = 1e20  # left as a gradient after a step: whoever does not clear gradients adds to it


def module(make: Callable[[], Any]) -> nn.Module:
    """A fresh model of the student's class."""
    made = make()
    if not isinstance(made, nn.Module):
        raise NotYet("a model: class ...(nn.Module)", said(made), "derive it from tinyxp.nn.Module")
    if not list(made.parameters()):
        raise NotYet(
            "parameters to learn",
            "model.parameters() is empty",
            "assign layers to attributes (self.layer = nn.Linear(...)); a plain list hides "
            "them, nn.ModuleList or nn.Sequential does not",
        )
    return made


def answers(model: nn.Module, x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """What a model says of ``x``, which must have this shape and be on the tape."""
    y = model(x)
    if not isinstance(y, Tensor):
        raise NotYet(f"a tensor of shape {shape}", said(y), "does forward end with return?")
    if y.shape != shape:
        hint = "(n, 1) is not (n,): take column 0" if y.shape == (*shape, 1) else ""
        raise NotYet(f"shape {shape}", f"shape {y.shape}", hint)
    if not np.all(np.isfinite(numbers(y))):
        raise NotYet("finite numbers", "inf or nan", "are the first weights far too large?")
    return y


def bends(model: nn.Module, x: Tensor, shape: tuple[int, ...]) -> None:
    """Raise NotYet if the model is one straight map, whose middle is the mean of its ends."""
    a, b = x, tx.flip(x, axis=0)
    with evaluation(model):
        ends = [numbers(answers(model, part, shape)) for part in (a, b, (a + b) / 2)]
    straight = np.abs((ends[0] + ends[1]) / 2 - ends[2]).max()
    if straight <= 1e-4 * np.abs(ends[0] - ends[1]).max():
        raise NotYet(
            "a function that bends",
            "a straight one: f((a + b) / 2) = (f(a) + f(b)) / 2",
            "layers without a non-linearity (tx.tanh, F.relu) between them are one layer",
        )


def raw_logits(y: Tensor) -> None:
    """Raise NotYet if the answers are probabilities already."""
    p = numbers(y)
    if np.all(p >= 0) and np.allclose(p.sum(axis=1), 1, atol=1e-3):
        raise NotYet(
            "logits: any real numbers",
            "rows that add up to 1",
            "no softmax at the end: F.cross_entropy does it, and twice learns badly",
        )


def healthy(model: nn.Module, loss: Callable[[], Tensor]) -> None:
    """Raise NotYet with what the gradient doctor finds, and the line."""
    frozen = [name for name, p in model.named_parameters() if not p.requires_grad]
    if frozen:
        hint = "leave out requires_grad_(False): it freezes them"
        raise NotYet("parameters that learn", f"{', '.join(frozen[:3])} cannot: frozen", hint)
    with tx.doctor.watch():
        value = loss()
    findings = tx.doctor(value, model).findings
    if findings:
        first = findings[0]
        line = f" ({first.site.code})" if first.site else ""
        came = f"{first.kind} in {', '.join(first.parameters[:3])}: {first.message}{line}"
        raise NotYet("a gradient for every parameter", came, first.remedy)
    model.zero_grad()


@dataclass
class Steps:
    """What optimizers did under :func:`watched`."""

    count: int = 0
    stale: bool = False
    without: int = 0  # steps that found no gradient at all
    marked: list[Tensor] = field(default_factory=list)


@contextlib.contextmanager
def watched() -> Iterator[Steps]:
    """Look at every ``optimizer.step()``; a gradient that outlives its step gives itself away."""
    steps, step = Steps(), Optimizer.step

    def looked_at(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        params = [p for group in self.param_groups for p in group["params"]]
        found = [p for p in params if p.grad is not None]
        for p in found:
            if np.max(np.abs(numbers(p.grad)), initial=0.0) > MARK / 10:
                steps.stale, p.grad = True, None
        steps.count += 1
        steps.without += not found
        result = step(self, *args, **kwargs)
        for p in params:
            p.grad = tx.full_like(p.detach(), MARK)
        return result

    Optimizer.step = looked_at  # type: ignore[method-assign]
    try:
        yield steps
    finally:
        Optimizer.step = step  # type: ignore[method-assign]


def stepped(steps: Steps, least: int) -> None:
    """Raise NotYet unless gradients were made, used for at least so many steps, and cleared."""
    if steps.count == 0:
        raise NotYet("optimizer.step() after every backward()", "no step", "nothing learns so")
    if steps.stale:
        raise NotYet(
            "a fresh gradient for every step",
            "the last step's gradient was still in it",
            "backward() adds to .grad: call optimizer.zero_grad() before it",
        )
    if steps.without == steps.count:
        raise NotYet("a gradient at each step", "no parameter had one", "is loss.backward() there?")
    if steps.count < least:
        raise NotYet(f"at least {least} steps", f"{steps.count}", "go on: the loss still falls")


def moved(before: dict[str, Tensor], model: nn.Module) -> None:
    """Raise NotYet if a parameter is what it was."""
    still = unmoved(before, model)
    if still:
        raise NotYet(
            "parameters that move",
            f"{', '.join(still[:3])} did not",
            "does the optimizer hold this model's parameters, and is its learning rate above 0?",
        )


def snapshot(model: nn.Module) -> dict[str, Tensor]:
    """The parameters as they are now."""
    return {name: p.detach() for name, p in model.named_parameters()}


def right(scores: Any, labels: Tensor) -> float:
    """The fraction of points whose score is on the side of their label, or of likeliest classes."""
    s = numbers(scores)
    said = s.argmax(axis=1) if s.ndim == 2 else s > 0
    return float(np.mean(said == labels.numpy()))


def reaches(found: float, least: float, what: str, hint: str) -> None:
    """Raise NotYet if an accuracy is too low."""
    if not found >= least:
        raise NotYet(f"{least:.0%} of {what} right", f"{found:.1%}", hint)
