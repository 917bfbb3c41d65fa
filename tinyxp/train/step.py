"""One step of the Trainer: tried out, and captured."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tinyxp.capture.captured import Graph, graph_on
from tinyxp.core.tensor import Tensor
from tinyxp.errors import BackendError, InputsError
from tinyxp.ops.creation import astype
from tinyxp.optim.finite import all_finite
from tinyxp.train.parallel import Parallel
from tinyxp.train.splitting import expect_loss

if TYPE_CHECKING:
    from tinyxp.train.trainer import Trainer

# of batches and a loss scale: the loss, and whether the parameters were changed
Attempt = Callable[[Any, Tensor | None], tuple[Tensor, bool]]


def attempted(
    trainer: "Trainer",
    parallel: Parallel,
    loss_of: Callable[[Any], Tensor],
    batches: Any,
    scale: Tensor | None,
) -> tuple[Tensor, bool]:
    """Change the parameters by the gradients of the mean loss of some batches, unless one is seen
    to be no number."""
    trainer.optimizer.zero_grad()
    buffers = [(buffer, buffer.array) for buffer in trainer.model.buffers()]

    def scaled(batch: Any) -> Tensor:  # as one writes it by hand, so that the bits are the same
        loss = expect_loss(loss_of(batch))
        loss = loss if len(batches) == 1 else loss / len(batches)
        return loss if scale is None else loss * scale

    losses = [parallel.backward(scaled, batch) for batch in batches]
    loss = sum(losses[1:], losses[0])
    if scale is not None:
        loss = loss / scale
        for g in _gradients(trainer):
            g.array = astype(g.detach() * (1 / scale), g.dtype, copy=False).array
    looks = trainer.careful
    if not trainer.graph:  # and elsewhere than on a GPU, where the look would wait for the step
        looks |= loss.backend.name != "cupy" or (trainer.done + 1) % trainer.log_every == 0
    if looks and not all_finite([loss, *_gradients(trainer)]):
        for buffer, data in buffers:
            buffer.array = data
        return loss, False
    trainer.change()
    return loss, True


def _gradients(trainer: "Trainer") -> list[Tensor]:
    return [p.grad for p in trainer.model.parameters() if p.grad is not None]


def expect_capturable(trainer: "Trainer") -> None:
    """Raise BackendError for a model on a backend where no step can be captured."""
    where = {p.backend.name for p in trainer.model.parameters()}
    if where not in ({"numpy"}, {"cupy"}):
        raise BackendError(
            f"graph=True needs a model on 'numpy' or on 'cupy', got one on "
            f"{', '.join(map(repr, sorted(where)))}; move it: model.to('numpy')"
        )


def captured(trainer: "Trainer", attempt: Attempt) -> Attempt:
    """``attempted`` by ``tx.capture``; where a step is not looked at before it changes the
    parameters, it is at those that are logged. A step that is left out is not the one to record, so
    that one that is not comes first, without a graph."""
    backend = next(trainer.model.parameters()).backend.name
    graph: Graph | None = None
    ready = not trainer.careful

    def replayed(batches: list[Any], scale: Tensor | None) -> tuple[Tensor, bool]:
        nonlocal graph, ready
        if not ready:
            loss, ready = attempt(batches, scale)
            return loss, ready
        first = graph is None
        graph = graph or graph_on(backend, attempt)
        try:
            loss, done = graph(batches, scale)
        except InputsError:  # of other sizes than the first
            loss, done = attempt(batches, scale)
        if first and not done:
            graph, ready = None, False
        if not trainer.careful and (trainer.done + 1) % trainer.log_every == 0:
            done = all_finite([loss, *_gradients(trainer)])
        return loss, done

    return replayed
