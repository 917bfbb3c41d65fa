"""``tx.capture``: a whole training step recorded once, and replayed without its Python."""

import copy
import functools
import threading
from collections.abc import Callable, Mapping
from types import MappingProxyType, MethodType
from typing import Any

from tinyxp import backends
from tinyxp.backends.common.capture import capturing
from tinyxp.backends.common.later import checks_later
from tinyxp.capture.reach import Reach
from tinyxp.capture.recorded import AFTERWARDS, Moved, Recorded, surroundings, tensors_in
from tinyxp.capture.recorder import Unready, expect_recorder, record
from tinyxp.core.operation import expect_callable
from tinyxp.core.tensor import Tensor, wrap
from tinyxp.core.tree import tree_map
from tinyxp.errors import CaptureError

PATIENCE = 8  # steps in a row that no recording can be made of


class CapturedStep:
    """A step that replays its recording; made by :func:`capture`."""

    def __init__(self, step: Callable[..., Any], backend: str) -> None:
        expect_callable("tx.capture", step)
        self.step = step
        self._backend = backend
        self._recorded: Recorded | None = None
        self._lock = threading.RLock()
        functools.update_wrapper(self, step, updated=())
        self._known: Any = None  # what the step depended on when it last ran by itself
        self._unready = 0  # how often in a row no recording could be made

    def __repr__(self) -> str:
        name = getattr(self.step, "__name__", type(self.step).__name__)
        return f"<captured step {name}, {'' if self._recorded else 'not yet '}recorded>"

    def __call__(self, *args: Any, **options: Any) -> Any:
        if capturing() is not None:  # part of another step that is recorded
            return self.step(*args, **options)
        with self._lock:  # a recording's memory is one
            if self._recorded is None or not self._recorded.fits():
                moved = self._again(args, options)
            else:
                moved = self._recorded.matched((args, options))
                if not self._recorded.takes(moved):
                    moved = self._again(args, options)
            if moved is not None and not self._recorded.shared(moved):  # type: ignore[union-attr]
                done, found = self._recorded.replay(moved)  # type: ignore[union-attr]
                if done:
                    return found
            return self._by_the_step(args, options)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """As a method, one for each object."""
        if instance is None:
            return self
        own = vars(instance).setdefault("_captured", {})
        if self.step not in own:
            own[self.step] = CapturedStep(MethodType(self.step, instance), self._backend)
        return own[self.step]

    def __deepcopy__(self, memo: dict[int, Any]) -> "CapturedStep":
        return CapturedStep(copy.deepcopy(self.step, memo), self._backend)

    def __reduce__(self) -> Any:
        return CapturedStep, (self.step, self._backend)

    def capture(self, *args: Any, **options: Any) -> None:
        """Record the step for inputs like these; no step of training is done."""
        self._recorded = None
        try:
            self._recorded = record(self.step, backends.get(self._backend), (args, options))
        except Unready as why:
            raise why.__cause__ or _unready() from None

    def _again(self, args: tuple[Any, ...], options: dict[str, Any]) -> Moved | None:
        """Record the step for what it now depends on, unless that is new since the last call: what
        changes with each call has the step run by itself. Returns what a replay begins with."""
        if self._recorded is not None:
            forms = [(x.shape, x.array.strides) for x in tensors_in((args, options))]
            known = self._known
            self._known = surroundings(), Reach(self.step).signature(), forms
            if known != self._known:
                return None
        self._recorded = None
        try:
            self._recorded = record(self.step, backends.get(self._backend), (args, options))
        except Unready as why:
            self._unready += 1
            if self._unready > PATIENCE:
                raise _unready() from why
            return None
        self._unready = 0
        return self._recorded.matched((args, options))

    def _by_the_step(self, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """The step itself, where no recording does what it would do."""
        with checks_later(), backends.using(backends.get(self._backend)):
            return tree_map(_cut, self.step(*args, **options))


def _unready() -> CaptureError:
    return CaptureError(
        "this step cannot be recorded: it binds names to other things each time, or always fails; "
        "pass what changes as an input, and return what it becomes"
    )


def _cut(x: Any) -> Any:
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

    - Recording is no step of training: what trial runs changed (tensors, gradients, optimizers,
      generators, names) is brought back. Python code of the step does not run again, so what it
      prints is printed then.
    - All is read anew at each call: inputs, parameters, buffers and other tensors that the step
      uses, learning rates, the place of a generator, a tensor that ``self.hidden`` stands for.
    - What comes out is new: results, gradients, and what a parameter holds. Snapshots, views and
      graphs from before stay what they are. Results carry no graph.
    - Where anything else has changed that the step reaches by name or that steers it (a mode, a
      number, a hook, an optimizer's options, a frozen parameter, a state that was loaded), the step
      runs by itself; if that lasts, it is recorded anew.
    - Inputs have the shapes and dtypes of the first call, else InputsError; what is no Tensor is
      part of the recording.
    - All optimizers but LBFGS can be in a step. AdamW, and Adam without amsgrad, are recorded; any
      other one is called in between, on cupy as its own launches between two graphs.
    - Where a step looks at a boolean or a whole number (``if mask.any()``), so does a replay, which
      waits for a GPU: if it is another one now, the step itself is run.
    - On numpy a recording is tried against the step, bit by bit, before it is trusted.
    - On cupy it has all random numbers but those of ``normal`` and ``permutation``.

    Raises BackendError on other backends. Raises CaptureError, with the line, for what no recording
    holds: numbers read out of tensors, names bound to anything but tensors, tensors of the step
    that something else keeps; everything then is as it was, but for what trial runs took from an
    iterator or printed.
    PyTorch's ``make_graphed_callables`` captures a model, this a step.

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
    return capture_on(backends.current().name, step, example_inputs, options)


def capture_on(
    backend: str,
    step: Callable[..., Any],
    inputs: tuple[Any, ...] = (),
    options: Mapping[str, Any] = MappingProxyType({}),
) -> CapturedStep:
    """A step that is captured on a backend, at once if there are inputs."""
    captured = CapturedStep(step, backend)
    expect_recorder(backends.get(backend))
    if inputs or options:
        captured.capture(*inputs, **options)
    return captured
