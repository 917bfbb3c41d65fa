"""``tx.cuda.graph``: a whole training step recorded as a CUDA graph, and replayed by one launch."""

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tinyxp import backends
from tinyxp.backends import Array, Backend
from tinyxp.backends.cupy_checks import later
from tinyxp.backends.errors import ArgumentError, BackendError, CaptureError
from tinyxp.core import Tensor, wrap
from tinyxp.nn.module import Module
from tinyxp.operation import brief, expect_callable
from tinyxp.tree import leaves, tree_map

TRIALS = 2  # runs before the recording: the first compiles kernels and begins the optimizer's state


class Graph:
    """A step that replays what was recorded of it; made by :func:`graph`."""

    def __init__(self, step: Callable[..., Any], make: Callable[[], Any]) -> None:
        expect_callable("tx.cuda.graph", step)
        self.step = step
        self._make = make
        self._recording: Any = None
        self._inputs: Any = None  # (args, options), Tensors at their fixed place
        self._outputs: Any = None
        self._state: list[tuple[Tensor, Array]] = []  # tensors that the step changes, or learns
        self._counts: list[int] = []  # who holds these arrays, when nobody else does
        self._gradients: list[tuple[Tensor, Tensor | None]] = []
        self._kept: list[Array] = []

    def __repr__(self) -> str:
        name = getattr(self.step, "__name__", type(self.step).__name__)
        return f"<CUDA graph of {name}, {'' if self._recording else 'not yet '}captured>"

    def __call__(self, *args: Any, **options: Any) -> Any:
        if self._recording is None:
            self.capture(*args, **options)
        else:
            self._take((args, options))
        self._settle()
        self._recording.replay()
        for x, g in self._gradients:
            x.grad = g
        return self._outputs

    # -- recording --------------------------------------------------------------------------------

    def capture(self, *args: Any, **options: Any) -> None:
        """Record the step for inputs like these; no step of training is done."""
        self._record(args, options)
        self._counts = [sys.getrefcount(array) for _, array in self._state]

    def _record(self, args: tuple[Any, ...], options: dict[str, Any]) -> None:
        recording = self._make()
        backend = backends.get(recording.backend)
        inputs = tree_map(lambda x: _fixed(x, backend), (args, options))
        with later(), backends.using(backend), _unharmed(backend, recording) as before:
            for _ in range(TRIALS):
                recording.run(lambda: self.step(*inputs[0], **inputs[1]))
            state = [x for x, data, grad in before if x.data is not data or x.grad is not grad]
            _restore(before, recording)
            owner = getattr(self.step, "__self__", self.step)
            if isinstance(owner, Module):
                state += [*owner.parameters(), *owner.buffers()]
            own: list[tuple[Tensor, Array]] = []
            for x in dict.fromkeys(state):
                # a copy that nobody shares: a snapshot from before stays what it is
                x.data = backend.xp.asarray(x.data, copy=True)
                own.append((x, x.data))
            for x, _, _ in before:
                x.grad = None  # a step begins without gradients

            def whole() -> Any:
                found = self.step(*inputs[0], **inputs[1])
                changed = [(x, array) for x, array in own if x.data is not array]
                places = {id(array) for _, array in own}  # if two change places, say
                values = [
                    backend.xp.asarray(x.data, copy=True) if id(x.data) in places else x.data
                    for x, _ in changed
                ]
                recording.copy([array for _, array in changed], values)
                for x, array in changed:
                    x.data = array
                return tree_map(lambda x: x.detach() if isinstance(x, Tensor) else x, found)

            self._outputs = recording.record(whole)
            self._gradients = [(x, x.grad) for x, _, _ in before if x.grad is not None]
            for x, _, grad in before:
                x.grad = grad
            before[:] = [(x, x.data, x.grad) for x, _, _ in before]  # all went well
        # the recording reads it where it lies, even if nobody else needs it any more
        self._kept = [data for _, data, _ in before]
        self._state, self._inputs = own, inputs
        self._recording = recording
        backend.empty_cache()  # of what the parameters lay in before

    # -- replaying ---------------------------------------------------------------------------------

    def _take(self, given: Any) -> None:
        """Copy new inputs to where the recording reads them."""
        expected, got = leaves(self._inputs), leaves(given)
        if [place for place, _ in expected] != [place for place, _ in got]:
            raise ArgumentError(
                f"a graph takes inputs like those it was captured with, {_shown(self._inputs)}, "
                f"got {_shown(given)}"
            )
        moved: list[tuple[Array, Array]] = []
        for (_, own), (_, x) in zip(expected, got, strict=True):
            if not isinstance(own, Tensor):
                if x != own:
                    raise ArgumentError(
                        f"this graph was captured with {own!r}, got {x!r}; what is no Tensor is "
                        "part of a graph: make another one for it"
                    )
                continue
            if not isinstance(x, Tensor) or x.shape != own.shape or x.dtype is not own.dtype:
                raise ArgumentError(
                    f"this graph was captured with {brief(own)}, got {brief(x)}; make another "
                    "graph for it, or leave such a batch out (DataLoader(drop_last=True))"
                )
            _expect_on(x, own.backend)
            if x is not own:
                moved.append((own.data, x.data))
        for to, values in moved:  # all of them fit
            self._recording.copy([to], [values])

    def _settle(self) -> None:
        """See that each tensor lies where the recording reads and writes it, and nobody else's."""
        for i, (x, array) in enumerate(self._state):
            if x.data is not array:  # it was loaded, or changed by a step outside
                same = x.backend.name == self._recording.backend and x.data.dtype == array.dtype
                if not same or x.shape != array.shape:
                    raise CaptureError(
                        f"a graph was captured with a parameter of {tuple(array.shape)} "
                        f"{array.dtype} on {self._recording.backend!r}, which now is {x.shape} "
                        f"{x.dtype!r} on {x.backend.name!r}; make the graph again"
                    )
                self._recording.copy([array], [x.data])
                x.data = array
            if sys.getrefcount(array) > self._counts[i]:
                _let_go(x, array)
                self._counts[i] = sys.getrefcount(array)


def _let_go(x: Tensor, array: Array) -> None:
    """Give other tensors of an array that is about to change a copy: values are immutable."""
    others = [t for t in gc.get_referrers(array) if issubclass(type(t), Tensor) and t is not x]
    if others:
        copy = x.backend.xp.asarray(array, copy=True)
        for other in others:
            other.data = copy


Snapshot = list[tuple[Tensor, Array, Tensor | None]]


@contextmanager
def _unharmed(backend: Backend, recording: Any) -> Iterator[Snapshot]:
    """All living tensors of a backend with their values, which come back whatever happens."""
    gc.collect()
    # not isinstance: it asks objects of other libraries for their class, and some complain
    alive = [x for x in gc.get_objects() if issubclass(type(x), Tensor) and x.backend is backend]
    before = [(x, x.data, x.grad) for x in alive]
    try:
        yield before
    finally:
        _restore(before, recording)
        recording.capture.undo.clear()


def _restore(before: Snapshot, recording: Any) -> None:
    for x, data, grad in before:
        x.data, x.grad = data, grad
    recording.capture.rewind()


def _fixed(x: Any, backend: Backend) -> Any:
    """An input at a place of its own."""
    if not isinstance(x, Tensor):
        return x
    _expect_on(x, backend)
    if x.requires_grad:
        raise ArgumentError(
            "an input of a graph gets no gradient, got a tensor that requires grad; pass "
            "x.detach(), or let the step take the tensor from outside"
        )
    return wrap(backend.xp.asarray(x.data, copy=True), backend)


def _expect_on(x: Tensor, backend: Backend) -> None:
    if x.backend is not backend:
        raise BackendError(
            f"an input of a graph lies on {backend.name!r}, got one on {x.backend.name!r}; move "
            f"it: x.to({backend.name!r})"
        )


def _shown(inputs: Any) -> str:
    args, options = tree_map(lambda x: _Shown(brief(x)), inputs)
    return ", ".join([*map(repr, args), *(f"{k}={v!r}" for k, v in options.items())]) or "none"


class _Shown(str):
    __repr__ = str.__str__


def _on_cupy() -> Any:
    backends.get("cupy")  # raises BackendError, which says what is missing
    from tinyxp.backends.cupy_graph import Recording

    return Recording()


def graph(step: Callable[..., Any], *example_inputs: Any, **options: Any) -> Graph:
    """A step as one launch: it is recorded once and replayed at each call, with the same bits.

    ``step(*inputs)``, say forward, backward, clipping and ``optimizer.step()``, is recorded at the
    first call, or at once for ``example_inputs``. A call copies its inputs to where the recording
    reads them, replays it, and returns the same tensors each time, which hold this call's values
    until the next one: read or ``tx.clone`` what has to stay. It waits for nothing.

    - Recording is no step of training: what trial runs changed (tensors, gradients, optimizers,
      generators) is brought back. Python code of the step does not run again.
    - Learning rates are read before each replay: ``scheduler.step()`` comes after the call.
    - A step begins without gradients, and each call leaves its own in ``p.grad``.
    - Parameters and buffers may be loaded or changed between calls. Snapshots of them, as by
      ``state_dict()``, stay what they are.
    - Inputs have the shapes and dtypes of the first call. What is no Tensor is part of the graph.
      So is a tensor that the step only reads and that needs no gradient, unless it belongs to a
      Module that is ``step`` itself or whose method ``step`` is.
    - Optimizers: AdamW, and Adam without amsgrad. Random numbers: dropout, ``uniform``,
      ``integers``, ``bernoulli``, of the same bits as without a graph.

    Raises BackendError without a GPU, CaptureError for a step that looks at a value or does
    something else that no graph holds; everything then is as it was. PyTorch's
    ``make_graphed_callables`` captures a model, this a step.

    >>> def step(x):
    ...     return 2 * x
    >>> fast = tx.cuda.graph(step) if tx.cuda.is_available() else step
    """
    backends.get("cupy")
    made = Graph(step, _on_cupy)
    if example_inputs or options:
        made.capture(*example_inputs, **options)
    return made
