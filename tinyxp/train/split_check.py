"""A trial of whether the parts of a batch give the gradients of the whole batch."""

import math
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyxp.core.tape import edge_of, graph_order, propagate
from tinyxp.core.tensor import Tensor, wrap
from tinyxp.debug.observers import Observer, observing
from tinyxp.errors import DTypeError, TinyError
from tinyxp.nn.module import Module
from tinyxp.random import watch_generators

LossOf = Callable[[Any], Tensor]
Part = tuple[Tensor, float, dict[Any, Any]]  # its loss, its share of the samples, its gradients
GENERAL = (
    "the loss of a batch has to be a plain mean over its first axis. It is not with ignored "
    "targets (ignore_index), class weights or another mean than that over samples, with "
    'reduction="sum", where time is the first axis, or where samples are compared with each other'
)


@dataclass
class SplitCheck:
    """Compares the loss and the gradients of a batch with those of its parts. The model, its
    gradients and all random generators are the same afterwards."""

    model: Module
    norm: float = 0.0  # the largest gradients and losses so far, which set the scale of rounding
    loss: float = 0.0

    def __call__(self, loss_of: LossOf, batch: Any, in_parts: Callable[[], list[Part]]) -> str:
        """Why the parts train differently, or an empty text."""
        with unchanged(self.model) as changes:
            loss = expect_loss(loss_of(batch))
            tolerance = 4 * _eps(loss) ** (2 / 3)
            whole = propagate([loss], [wrap(loss.detach().array * 0 + 1, loss.backend)])
            if why := changes():
                return why
            try:
                parts = in_parts()
            except TinyError as error:
                return f"it does not take a part of its batch: {error}"
            return self._compare(loss.item(), whole, parts, tolerance, lambda: loss_of(batch))

    def _compare(
        self,
        loss: float,
        whole: dict[Any, Any],
        parts: list[Part],
        tolerance: float,
        again: Callable[[], Any],
    ) -> str:
        losses = [(part.item(), share) for part, share, _ in parts]
        split = sum(value * share for value, share in losses)
        if not math.isfinite(loss):
            return ""  # splitting is not the cause
        # a leaf that the loss makes, such as an input whose gradient it takes, differs in each run
        shared = {x for *_, found in parts for x in found} & whole.keys()
        shared.update(self.model.parameters())
        grads = [
            {x: _numbers(x, found[x]) for x in found if x in shared}
            for found in (whole, *(found for *_, found in parts))
        ]
        if not math.isfinite(_norm(grads[0])):
            return ""
        away = grads[0]
        for found in grads[1:]:
            away = {x: away.get(x, 0.0) - found.get(x, 0.0) for x in dict.fromkeys([*away, *found])}
        self.norm = max(self.norm, sum(_norm(found) for found in grads[1:]))
        self.loss = max(self.loss, abs(loss), sum(abs(value * share) for value, share in losses))
        near, same = tolerance * self.loss, tolerance * self.norm
        if abs(loss - split) <= near and _norm(away) <= same:
            return ""
        summed = abs(loss - sum(value for value, _ in losses)) <= near
        why = 'it is a sum (reduction="sum")' if summed else _cause(self.model, again)
        return (
            f"the loss of the whole batch is {loss:.6g} and that of its parts {split:.6g}, the "
            f"gradients differ by {_norm(away):.2g} of {_norm(grads[0]):.2g}: {why}"
        )


@contextmanager
def unchanged(model: Module) -> Iterator[Callable[[], str]]:
    """Restore buffers and random generators after a ``with`` block; the function that it gives
    tells how the block so far has changed them."""
    buffers = [(name, buffer, buffer.array) for name, buffer in model.named_buffers()]
    python, numpy = random.getstate(), np.random.get_state()

    def changes() -> str:
        now = zip(np.random.get_state(), numpy, strict=True)
        if drawn or random.getstate() != python or any(not np.array_equal(a, b) for a, b in now):
            return "it draws random numbers (as dropout does), and parts would draw others"
        if names := [name for name, buffer, array in buffers if buffer.array is not array]:
            return (
                f"it changes {', '.join(names[:3])}, so it uses its batch as a whole, as "
                "BatchNorm does; GroupNorm and LayerNorm do not"
            )
        return ""

    with watch_generators() as drawn:
        try:
            yield changes
        finally:
            for _, buffer, array in buffers:
                buffer.array = array
            random.setstate(python)
            np.random.set_state(numpy)
            for generator, state in drawn.items():
                generator.load_state_dict(state)


def _numbers(x: Tensor, g: Any) -> Any:
    array = np.asarray(x.backend.to_numpy(g))
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


def _norm(arrays: dict[Any, Any]) -> float:
    return float(np.sqrt(sum(np.linalg.norm(a) ** 2 for a in arrays.values())))


def operands(loss: Tensor) -> Iterator[list[Any]]:
    """The arrays that each recorded operation of a loss holds."""
    for node in graph_order([edge_of(loss)]):
        held = node.context[0] if not isinstance(node, Tensor) and node.context else ()
        if isinstance(held, (list, tuple)):
            yield [x for x in held if hasattr(x, "shape")]


def _eps(loss: Tensor) -> float:
    """The rounding of the shortest floating-point dtype in the computation of a loss."""
    lengths = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}
    names = {str(x.dtype).rpartition(".")[2] for held in operands(loss) for x in held}
    return max((eps for name, eps in lengths.items() if name in names), default=2.0**-23)


def _cause(model: Module, again: Callable[[], Any]) -> str:
    """Why the loss is not a mean over samples; ``again`` computes it."""
    for name, module in model.named_modules():
        if getattr(module, "batch_first", True) is False:
            return (
                f"{type(module).__name__} {name!r} has time as its first axis (batch_first=False)"
            )
    means = _Means()
    with observing(means):
        again()
    return means.why or GENERAL


class _Means(Observer):
    """Finds weighted means of a cross-entropy."""

    why = ""

    def on_call(self, op: Any, args: tuple[Any, ...], static: dict[str, Any], y: Any) -> None:
        if not op.name.lstrip("_").startswith(("cross_entropy", "nll_loss")):
            return
        number = static.get("ignore_index")
        if len(args) > 2 and args[2] is not None:
            self.why = "its mean is weighted (class weights)"
        elif number is not None and bool((args[1] == number).any()):
            self.why = f"its mean leaves out targets (ignore_index={number})"


def expect_loss(loss: Any) -> Tensor:
    """Return what a ``loss_of`` computed. Raises DTypeError if it is not a Tensor."""
    if isinstance(loss, Tensor):
        return loss
    why = "has no graph for backward()" if isinstance(loss, (float, np.ndarray)) else "is no loss"
    raise DTypeError(
        f"loss_of expects to return the loss of a batch, a Tensor of one element, got "
        f"{'None' if loss is None else f'a {type(loss).__name__}'}, which {why}; return the Tensor "
        "itself, without .item() and without other values"
    )
