"""``tx.capture``: a whole training step, recorded once and replayed without its Python."""

import functools
import threading
from collections.abc import Callable
from types import MethodType
from typing import Any

from tinyxp import backends
from tinyxp.backends.common.capture import capturing
from tinyxp.backends.common.later import checks_later
from tinyxp.capture.names import ReachableNames
from tinyxp.capture.recorder import NotNow, Recorder
from tinyxp.capture.replay import AFTERWARDS, Moved, Replay, surroundings, tensors_in
from tinyxp.core.operation import expect_callable
from tinyxp.core.tensor import Tensor, wrap
from tinyxp.core.tree import tree_map
from tinyxp.errors import BackendError, CaptureError

PATIENCE = 8  # steps in a row that cannot be recorded


class CapturedStep:
    """A step that replays its recording; made by :func:`capture`."""

    def __init__(self, step: Callable[..., Any], backend: str) -> None:
        expect_callable("tx.capture", step)
        self.step = step
        if backends.get(backend).recorder is None:
            raise BackendError(f"the backend {backend!r} records no steps; call the step itself")
        self._backend = backend
        self._replay: Replay | None = None
        self._lock = threading.RLock()
        functools.update_wrapper(self, step, updated=())
        self._known: Any = None  # the names and modes of the last run of the step itself
        self._failures = 0  # in a row, to record the step

    def __repr__(self) -> str:
        name = getattr(self.step, "__name__", type(self.step).__name__)
        return f"<captured step {name}, {'' if self._replay else 'not yet '}recorded>"

    def __call__(self, *args: Any, **options: Any) -> Any:
        if capturing() is not None:  # it is part of another captured step
            return self.step(*args, **options)
        given = args, options
        with self._lock:  # there is one memory for all replays
            replay = self._replay
            moved = replay.match(given) if replay is not None and replay.fits() else None
            if moved is None or not replay.same_forms(moved):  # type: ignore[union-attr]
                replay, moved = self._record_again(given)
            if replay is not None and not replay.shares_memory(moved):
                done, result = replay.run(moved)
                if done:
                    return result
            return self._run_step(given)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """As a method, one for each object."""
        if instance is None:
            return self
        own = vars(instance).setdefault("_captured", {})
        if self.step not in own:
            own[self.step] = CapturedStep(MethodType(self.step, instance), self._backend)
        return own[self.step]

    def __reduce__(self) -> Any:  # a copy records for itself
        return CapturedStep, (self.step, self._backend)

    def capture(self, *args: Any, **options: Any) -> None:
        """Record the step for inputs like these; no step of training is done."""
        try:
            self._record((args, options))
        except NotNow as why:
            raise why.__cause__ or _never() from None

    def _record(self, given: Any) -> Replay:
        self._replay = None
        self._replay = Recorder(self.step, backends.get(self._backend), given).record()
        return self._replay

    def _record_again(self, given: Any) -> tuple[Replay | None, Moved]:
        """Record the step anew. But if the values that it depends on are new since the last call,
        run the step itself, because they may change with each call."""
        if self._replay is not None:
            forms = [(x.shape, x.array.strides) for x in tensors_in(given)]
            known = self._known
            self._known = surroundings(), ReachableNames(self.step).signature(), forms
            if known != self._known:
                return None, []
        try:
            replay = self._record(given)
        except NotNow as why:
            self._failures += 1
            if self._failures > PATIENCE:
                raise _never() from why
            return None, []
        self._failures = 0
        return replay, replay.match(given)

    def _run_step(self, given: Any) -> Any:
        """Run the step itself, where a replay would differ."""
        args, options = given
        with checks_later(), backends.using(backends.get(self._backend)):
            return tree_map(_without_graph, self.step(*args, **options))


def _never() -> CaptureError:
    return CaptureError(
        "this step cannot be recorded: it always fails, or binds names to other values each time; "
        "pass such values as inputs, and return the new ones"
    )


def _without_graph(x: Any) -> Any:
    if not isinstance(x, Tensor):
        return x
    y = wrap(x.array, x.backend)
    y._cut = AFTERWARDS if x.requires_grad else None
    return y


def capture(step: Callable[..., Any], *example_inputs: Any, **options: Any) -> CapturedStep:
    """A step that is recorded once and replayed at each call, without its Python.

    ``step(*inputs)``, say forward, backward, clipping and ``optimizer.step()``, is recorded at the
    first call, or at once for ``example_inputs``, on the backend in use: on numpy as a list of
    NumPy's calls, on cupy as a CUDA graph, which is one launch and waits for nothing.

    A program cannot tell a replay from the step: results, parameters, buffers, gradients and random
    numbers have the same bits, whatever the program holds and does in between.

    - Recording is no step of training: the trial runs' changes (tensors, gradients, optimizers,
      generators, names) are undone. The step's Python does not run again, so it prints only then.
    - Each call reads anew: inputs, parameters, buffers and other tensors that the step uses,
      learning rates, the state of a generator, a tensor that ``self.hidden`` stands for.
    - Results, gradients and the arrays of parameters are new after each call: snapshots, views and
      graphs from before do not change. Results carry no graph.
    - Where anything else has changed that the step reaches by name or that steers it (a mode, a
      number, a hook, an optimizer's options, a frozen parameter, a state that was loaded), the step
      itself runs; if the change lasts, it is recorded anew.
    - Inputs have the shapes and dtypes of the first call, else InputsError. Inputs that are no
      Tensors are part of the recording.
    - All optimizers but LBFGS can be in a step. AdamW, and Adam without amsgrad, are recorded; any
      other one is called in each replay, on cupy between two CUDA graphs.
    - Where a step looks at a boolean or a whole number (``if mask.any()``), so does a replay, which
      waits for a GPU; if it differs now, the step itself runs.
    - On numpy a recording is compared with the step, bit by bit, before it is used.
    - On cupy it has all random numbers but those of ``normal`` and ``permutation``.

    Raises BackendError on other backends. Raises CaptureError, with the line, for a step that
    cannot be recorded: it reads numbers out of tensors, binds names to anything but tensors, or
    something else keeps its tensors. Everything then is as it was, except that trial runs may have
    advanced an iterator or printed. PyTorch's ``make_graphed_callables`` captures a model, this a
    step.

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
    captured = CapturedStep(step, backends.current().name)
    if example_inputs or options:
        captured.capture(*example_inputs, **options)
    return captured
