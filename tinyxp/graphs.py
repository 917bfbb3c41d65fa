"""``tx.capture``: a whole training step recorded once, and replayed without its Python."""

import gc
import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from tinyxp import backends
from tinyxp.backends import Array, Backend
from tinyxp.backends.cupy_checks import later
from tinyxp.backends.errors import ArgumentError, BackendError, CaptureError, InputsError
from tinyxp.core import Tensor, wrap
from tinyxp.nn.module import Module
from tinyxp.operation import brief, expect_callable
from tinyxp.tree import leaves, pairs, tree_map

Trial = tuple[Any, Any, dict[Tensor, tuple[Array, Tensor | None]]]  # inputs, result, all tensors


class Graph:
    """A step that replays what was recorded of it; made by :func:`capture`."""

    def __init__(self, step: Callable[..., Any], make: Callable[[], Any]) -> None:
        expect_callable("tx.capture", step)
        self.step = step
        self._make = make
        self._recording: Any = None
        self._inputs: Any = None  # (args, options), Tensors at their fixed place
        self._outputs: Any = None
        self._state: list[tuple[Tensor, Array]] = []  # tensors that the step changes, or learns
        self._counts: list[int] = []  # who holds these arrays, when nobody else does
        self._gradients: list[tuple[Tensor, Tensor]] = []

    def __repr__(self) -> str:
        name = getattr(self.step, "__name__", type(self.step).__name__)
        return f"<graph of {name}, {'' if self._recording else 'not yet '}captured>"

    def __call__(self, *args: Any, **options: Any) -> Any:
        if self._recording is None:
            self.capture(*args, **options)
        else:
            self._take((args, options))
        return self._replayed()

    def _replayed(self) -> Any:
        """What the step returns for the inputs that lie at their place."""
        self._settle()
        if not self._recording.replay():
            return self._by_the_step()
        for x, g in self._gradients:
            x.grad = g
        return self._outputs

    def _by_the_step(self) -> Any:
        """The step itself, where it goes another way than when it was recorded."""
        for x, _ in self._gradients:
            x.grad = None
        args, options = self._inputs
        with later(), backends.using(backends.get(self._recording.backend)):
            found = self.step(*args, **options)
        return tree_map(_detached, found)

    # -- recording --------------------------------------------------------------------------------

    def capture(self, *args: Any, **options: Any) -> None:
        """Record the step for inputs like these; no step of training is done."""
        self._record(args, options)
        self._count()

    def _count(self) -> None:
        self._counts = [sys.getrefcount(array) for _, array in self._state]

    def _record(self, args: tuple[Any, ...], options: dict[str, Any]) -> None:
        recording = self._make()
        backend = backends.get(recording.backend)
        inputs = tree_map(lambda x: _fixed(x, recording, backend), (args, options))
        with later(), backends.using(backend), _unharmed(backend, recording) as before:
            trials = self._tried(recording, inputs, before)
            state = [x for x, data, _ in before if x.data is not data or x.grad is not None]
            _restore(before, recording)
            owner = getattr(self.step, "__self__", self.step)
            if isinstance(owner, Module):
                state += [*owner.parameters(), *owner.buffers()]
            own: list[tuple[Tensor, Array]] = []
            known = set(state)
            ordered = [x for x in recording.capture.changed if x in known]
            for x in dict.fromkeys([*ordered, *state]):
                # a copy that nobody shares: a snapshot from before stays what it is
                x.data = recording.place(x.data)
                own.append((x, x.data))
            for x, _, _ in before:
                x.grad = None

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
                return tree_map(_detached, found)

            outputs = recording.record(whole)
            gradients = [(x, x.grad) for x, _, _ in before if x.grad is not None]
            fixed = [part for _, part in leaves((inputs, outputs)) if isinstance(part, Tensor)]
            for x in dict.fromkeys([*fixed, *(x for x, _ in own), *(g for _, g in gradients)]):
                x.data = recording.settled(x.data)
            own = [(x, x.data) for x, _ in own]
            recording.close()
            self._state, self._inputs, self._outputs = own, inputs, outputs
            self._gradients, self._recording = gradients, recording
            self._count()
            try:
                if recording.exact:
                    self._prove(trials)
            except BaseException:
                self._recording = None
                raise
            for x, array in own:
                x.data = array
            for x, _, grad in before:
                x.grad = grad
            before[:] = [(x, x.data, x.grad) for x, _, _ in before]  # all went well
        recording.keep([data for _, data, _ in before])
        backend.empty_cache()  # of what the parameters lay in before

    def _tried(self, recording: Any, inputs: Any, before: "Snapshot") -> list[Trial]:
        """Runs of the step, after it compiled kernels and began the optimizer's state."""

        def runs(*batches: Any) -> list[Trial]:
            found = []
            for given in batches:
                for x, _, _ in before:
                    x.grad = None  # a step begins without gradients
                result = recording.run(lambda given=given: self.step(*given[0], **given[1]))
                found.append((given, result, {x: (x.data, x.grad) for x, _, _ in before}))
            return found

        if not recording.exact:
            return runs(inputs, inputs)
        runs(inputs)  # which may also choose a number of threads, and so the order of sums
        _restore(before, recording)
        try:  # what a recording would take for constant is another in the second run
            turned = tree_map(lambda x: _turned(x, recording), inputs)
            return runs(inputs, turned, tree_map(lambda x: _turned(x, recording), turned))
        except Exception:  # inputs of which that cannot be made, or of which nothing can
            _restore(before, recording)
            return runs(inputs, inputs)

    def _prove(self, trials: list[Trial]) -> None:
        """Raise CaptureError unless replays have the bits of the trials."""
        with self._recording.rewound():
            for given, found, values in trials:
                self._take(given)
                got = [part for _, part in leaves(self._replayed())]
                got += [*(x for x, _ in self._state), *(x.grad for x, _ in self._gradients)]
                expected = [part for _, part in leaves(found)]
                expected += [wrap(values[x][0], x.backend) for x, _ in self._state]
                expected += [values[x][1] for x, _ in self._gradients]
                if not all(map(_alike, got, expected)):
                    raise CaptureError(
                        "the replay of this step gave other numbers than the step: it takes "
                        "numbers from where a recording does not see them, such as NumPy's "
                        "functions on x.numpy() or Python's random; stay within tinyxp's "
                        "operations, and pass what else changes as an input"
                    )

    # -- replaying ---------------------------------------------------------------------------------

    def _take(self, given: Any) -> None:
        """Copy new inputs to where the recording reads them."""
        found = pairs(self._inputs, given)
        if found is None:
            raise InputsError(
                f"a graph takes inputs like those it was captured with, {_shown(self._inputs)}, "
                f"got {_shown(given)}"
            )
        moved: list[tuple[Array, Array]] = []
        for own, x in found:
            if x is own:
                continue
            if not isinstance(own, Tensor):
                if x != own:
                    raise InputsError(
                        f"this graph was captured with {own!r}, got {x!r}; what is no Tensor is "
                        "part of a graph: make another one for it"
                    )
                continue
            if not isinstance(x, Tensor) or x.shape != own.shape or x.dtype is not own.dtype:
                raise InputsError(
                    f"this graph was captured with {brief(own)}, got {brief(x)}; make another "
                    "graph for it, or leave such a batch out (DataLoader(drop_last=True))"
                )
            _expect_on(x, own.backend)
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


def _alike(a: Any, b: Any) -> bool:
    """Whether two tensors hold the same bits, or two other things are equal."""
    if not (isinstance(a, Tensor) and isinstance(b, Tensor)):
        return bool(a == b)
    return a.shape == b.shape and a.dtype is b.dtype and a.data.tobytes() == b.data.tobytes()


def _turned(x: Any, recording: Any) -> Any:
    """A tensor like it: its first axis the other way round, such as a batch, and real numbers by a
    thousandth smaller."""
    if not isinstance(x, Tensor):
        return x
    xp: Any = x.backend.xp
    array = xp.flip(x.data, axis=0) if x.ndim else x.data
    if array.dtype in x.backend.floating:
        array = xp.astype(array * (1 - 2**-10), array.dtype)
    return wrap(recording.place(array), x.backend)


def _detached(x: Any) -> Any:
    return x.detach() if isinstance(x, Tensor) else x


def _fixed(x: Any, recording: Any, backend: Backend) -> Any:
    """An input at a place of its own."""
    if not isinstance(x, Tensor):
        return x
    _expect_on(x, backend)
    if x.requires_grad:
        raise ArgumentError(
            "an input of a graph gets no gradient, got a tensor that requires grad; pass "
            "x.detach(), or let the step take the tensor from outside"
        )
    return wrap(recording.place(x.data), backend)


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


def _recording_on(backend: str) -> Callable[[], Any]:
    """What makes a recording; raises BackendError where none is to be had."""
    backends.get(backend)  # raises BackendError, which says what is missing
    if backend not in ("cupy", "numpy"):
        raise BackendError(
            f"a step is captured on the backends 'numpy' and 'cupy', not on {backend!r}; call the "
            "step itself"
        )
    return importlib.import_module(f"tinyxp.backends.{backend}_graph").Recording


def capture(step: Callable[..., Any], *example_inputs: Any, **options: Any) -> Graph:
    """A step that is recorded once and replayed at each call, without its Python.

    ``step(*inputs)``, say forward, backward, clipping and ``optimizer.step()``, is recorded at the
    first call, or at once for ``example_inputs``, on the backend in use: on numpy as a list of
    NumPy's calls, on cupy as a CUDA graph, which is one launch and waits for nothing. A call copies
    its inputs to where the recording reads them, replays it, and returns the same tensors each
    time, which hold this call's values until the next one: read or ``tx.clone`` what has to stay.
    The bits are those of the step.

    - Recording is no step of training: what trial runs changed (tensors, gradients, optimizers,
      generators) is brought back. Python code of the step does not run again.
    - Learning rates are read at each replay: ``scheduler.step()`` comes after the call.
    - A step begins without gradients, and each call leaves its own in ``p.grad``, of the parameters
      that had one when it was recorded.
    - Parameters and buffers may be loaded or changed between calls. Snapshots of them, as by
      ``state_dict()``, stay what they are.
    - Inputs have the shapes and dtypes of the first call, else InputsError. What is no Tensor is
      part of the graph. So is a tensor that the step only reads and that needs no gradient, unless
      it belongs to a Module that is ``step`` itself or whose method ``step`` is.
    - Random numbers go on from where their generator is. It is that of the capture:
      ``tx.manual_seed`` makes another one.
    - All optimizers but LBFGS can be in a step. AdamW, and Adam without amsgrad, are recorded; any
      other one is called in between, on cupy as its own launches between two graphs.
    - Where a step looks at a boolean or a whole number (``if mask.any()``), so does a replay, which
      waits for a GPU: if it is another one now, the step itself is run.
    - On numpy a recording is tried against the step, bit by bit, before it is trusted.
    - On cupy it has all random numbers but those of ``normal`` and ``permutation``.

    Raises BackendError on other backends, CaptureError for a step that reads numbers out of tensors
    or does something else that no recording holds; everything then is as it was. PyTorch's
    ``make_graphed_callables`` captures a model, this a step.

    >>> weight = tx.asarray([1.0, 2.0], requires_grad=True)
    >>> optimizer = tx.optim.AdamW([weight], lr=0.1)
    >>> def step(x):
    ...     optimizer.zero_grad()
    ...     loss = ((weight * x) ** 2).sum()
    ...     loss.backward()
    ...     optimizer.step()
    ...     return loss
    >>> fast = tx.capture(step)
    >>> [round(fast(tx.ones(2)).item(), 2) for _ in range(3)]
    [5.0, 4.41, 3.86]
    """
    return graph_on(backends.current().name, step, example_inputs, options)


def graph(step: Callable[..., Any], *example_inputs: Any, **options: Any) -> Graph:
    """``tx.capture`` on the GPU in use, whichever backend is: a step as one CUDA graph.

    Raises BackendError without a GPU.

    >>> def step(x):
    ...     return 2 * x
    >>> fast = tx.cuda.graph(step) if tx.cuda.is_available() else step
    """
    return graph_on("cupy", step, example_inputs, options)


def graph_on(
    backend: str,
    step: Callable[..., Any],
    inputs: tuple[Any, ...] = (),
    options: Mapping[str, Any] = MappingProxyType({}),
) -> Graph:
    """A step that is captured on a backend, at once if there are inputs."""
    made = Graph(step, _recording_on(backend))
    if inputs or options:
        made.capture(*inputs, **options)
    return made
