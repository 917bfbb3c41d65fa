"""Replays of a recorded step, and all tensors outside of its memory that they read and change.

Nobody else ever holds memory that a replay writes. What a replay reads is copied into that memory,
or lent where it lies; what it changes is copied out when somebody asks for it (``core/deferred``).
So a replay cannot change the arrays of a graph, a view or a snapshot.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinyxp import random
from tinyxp.backends import Array, Backend
from tinyxp.backends.common.capture import Recording
from tinyxp.capture.names import Name, ReachableNames, same
from tinyxp.core.autocast import casting
from tinyxp.core.deferred import SLOTS, become, deferred_class, is_deferred
from tinyxp.core.foreign_errors import brief, first_line
from tinyxp.core.tape import is_grad_enabled
from tinyxp.core.tensor import Tensor, wrap
from tinyxp.core.tree import leaves_of, pairs, tree_map
from tinyxp.core.views import refresh, shown_of
from tinyxp.debug.observers import observers
from tinyxp.errors import ArgumentError, BackendError, CaptureError, InputsError, TinyError

Moved = list[tuple[Tensor, Tensor]]  # inputs of the recording, and the tensors to copy there
AFTERWARDS = (
    "it is the result of a captured step, which carries no graph; call backward() inside the step"
)


@dataclass
class Outside:
    """A result that is a tensor from outside of the step."""

    tensor: Tensor


@dataclass
class External:
    """A tensor from outside that a step only reads: how to find it, and the array read last."""

    find: Callable[[], Tensor | None]
    handle: Any
    array: Array
    leaf: bool

    def fits(self) -> bool:
        """Whether a replay can read the tensor that is there now."""
        x = self.find()
        if not isinstance(x, Tensor) or x._leaf != self.leaf:
            return False
        now, then = x.array, self.array
        return now is then or (type(now) is type(then) and same_form(now, then))


def same_form(a: Array, b: Array) -> bool:
    """Whether two arrays have one form; on NumPy the order of sums depends on strides, too."""
    form = a.shape == b.shape and a.dtype == b.dtype
    return bool(form and not (isinstance(a, np.ndarray) and a.strides != b.strides))


@dataclass
class Replay:
    """One recording, made by ``recorder.Recorder``, and the tensors outside that it is about."""

    recording: Recording
    backend: Backend
    inputs: Any  # (args, options), Tensors at their place in the recording
    outputs: Any  # the results of the step, Tensors where replays write them
    carried: list[bool]  # whether each of the step's own results carries a graph
    state: dict[Tensor, Array]  # tensors that the step changes, and their places in the recording
    externals: list[External]
    gradients: dict[Tensor, Array]  # of the tensors that have one after the step
    without: list[Tensor]  # tensors that have none after it
    accumulating: dict[Tensor, bool]  # where the step reads gradients: whether there is one
    bound: list[tuple[Name, Array]]  # names that the step binds to new tensors
    names: ReachableNames
    surroundings: tuple[Any, ...]
    repeats: list[int]  # of each input, the index of the first that is the same tensor
    written: list[Tensor] = field(default_factory=list)  # in place, so that views of it change too

    def __post_init__(self) -> None:
        self.places = [x.array for x in tensors_in(self.inputs)]
        changed = {**self.state, **self.gradients}
        self.changed = [(x, deferred_class(x.__class__)) for x in changed]  # type: ignore[arg-type]
        self.leaf = {x: x._leaf for x in self.state}
        default = random.default_generator()
        self.generator = default if id(default) in self.recording.capture.draws else None

    # -- whether a replay does what the step would do --------------------------------------------

    def fits(self) -> bool:
        """Whether everything but the inputs is as the recording needs it."""
        capture = self.recording.capture
        return (
            surroundings() == self.surroundings
            and (self.generator is None or random.default_generator() is self.generator)
            and all(draws.generator.seed == draws.seed for draws in capture.draws.values())
            and all(condition() for condition in capture.conditions)
            and all(self._is_ready(x, place) for x, place in self.state.items())
            and self.names.intact()
            and all(external.fits() for external in self.externals)
            and all(has_gradient(x) is there for x, there in self.accumulating.items())
        )

    def _is_ready(self, x: Tensor, place: Array) -> bool:
        if x._node is not None or x._leaf != self.leaf[x] or x.backend is not self.backend:
            return False
        return (is_deferred(x) and x._home is self) or same_form(x.array, place)

    def match(self, given: Any) -> Moved:
        """The inputs of the recording beside the tensors that belong there.

        Raises InputsError for inputs that are not like those of the recording.
        """
        found = pairs(self.inputs, given)
        if found is None:
            raise InputsError(
                f"a captured step takes inputs like those it was captured with, "
                f"{_describe(self.inputs)}, got {_describe(given)}"
            )
        moved = []
        for own, x in found:
            if not isinstance(own, Tensor):
                if not same(x, own):
                    raise InputsError(
                        f"this step was captured with {own!r}, got {x!r}; inputs that are no "
                        "Tensors are part of the recording: capture the step again for others"
                    )
                continue
            if not isinstance(x, Tensor) or x.shape != own.shape or x.dtype is not own.dtype:
                raise InputsError(
                    f"this step was captured with {brief(own)}, got {brief(x)}; capture it again "
                    "for such inputs, or leave such a batch out (DataLoader(drop_last=True))"
                )
            check_input(x, self.backend)
            moved.append((own, x))
        return moved

    def same_forms(self, moved: Moved) -> bool:
        """Whether these inputs have the forms for which the step was recorded."""
        each = zip(moved, self.places, strict=True)
        return all(same_form(x.array, place) for (_, x), place in each)

    def shares_memory(self, moved: Moved) -> bool:
        """Whether other inputs than in the recording are one tensor, or one is a view of a tensor
        that the step writes to in place: in a replay each has memory of its own."""
        xs, written = [x for _, x in moved], set(map(id, self.written))
        seen = any(x._view is not None and id(x._view()) in written for x in xs)
        return seen or first_places(xs) != self.repeats

    # -- replaying -----------------------------------------------------------------------------

    def run(self, moved: Moved) -> tuple[bool, Any]:
        """Whether the replay came to its end, and the results of the step. It stops before it has
        changed anything where the step would now take another branch."""
        self._read(moved)
        shown = [(x, shown_of(x)) for x in self.written]
        try:
            if not self.recording.replay():
                return False, None
        except Exception as error:  # it has begun to change parameters, as the step would have
            self._defer_all()
            if isinstance(error, TinyError):
                raise
            raise ArgumentError(f"a captured step failed: {first_line(error)}") from error
        self._defer_all()
        for name, place in self.bound:
            name.bind(wrap(self._copy(place), self.backend))
        for x, views in shown:
            refresh(x, views, False)
        carried, results = iter(self.carried), dict[int, Tensor]()
        return True, tree_map(lambda x: self._result(x, carried, results), self.outputs)

    def _defer_all(self) -> None:
        for x, cls in self.changed:
            if type(x) is not cls:
                self.defer(x)
        for x in self.without:
            x.grad = None

    def _read(self, moved: Moved) -> None:
        """Copy or lend to the recording the arrays that it reads."""
        to, values = [own.array for own, _ in moved], [x.array for _, x in moved]
        for x, cls in self.changed:
            if type(x) is cls and x._home is not self:
                x._home.fetch(x)
            if type(x) is not cls and x in self.state:  # somebody has asked for it
                to.append(self.state[x])
                values.append(x.array)
        self.recording.copy(to, values)
        for external in self.externals:
            array = external.find().array  # type: ignore[union-attr]
            if array is not external.array:
                self.recording.bind(external.handle, array)
                external.array = array

    def _result(self, x: Any, carried: Iterator[bool], results: dict[int, Tensor]) -> Any:
        if not isinstance(x, Tensor):
            return x.tensor if isinstance(x, Outside) else x
        carries = next(carried)
        if id(x) not in results:  # else it is returned twice
            results[id(x)] = y = wrap(self._copy(x.array), self.backend)
            y._cut = AFTERWARDS if carries else None
        return results[id(x)]

    def _copy(self, place: Array) -> Array:
        return self.backend.xp.asarray(place, copy=True)

    # -- arrays that stay in the recording until somebody asks for them ------------------------

    def defer(self, x: Tensor) -> None:
        """Keep the array and the gradient of ``x`` in the recording alone."""
        x._home = self
        if x in self.state:
            SLOTS["array"].__delete__(x)
        if x in self.gradients:
            SLOTS["grad"].__delete__(x)
        become(x, deferred_class(type(x)))  # type: ignore[arg-type]

    def fetch(self, x: Tensor) -> None:
        """Give ``x`` copies of its own."""
        if x in self.state:
            SLOTS["array"].__set__(x, self._copy(self.state[x]))
        if x in self.gradients:
            SLOTS["grad"].__set__(x, wrap(self._copy(self.gradients[x]), self.backend))
        become(x, x.__class__)


def surroundings() -> tuple[Any, ...]:
    """The modes here that change what operations do."""
    region = casting()
    modes = region and (region.dtype, region.casts is None)
    return is_grad_enabled(), modes, observers(), *np.geterr().values()


def tensors_in(tree: Any) -> list[Tensor]:
    """The tensors in nested tuples, lists and dicts."""
    return [x for x in leaves_of(tree) if isinstance(x, Tensor)]


def first_places(xs: list[Tensor]) -> list[int]:
    """Of each tensor, the index of the first that is the same."""
    ids = [id(x) for x in xs]
    return [ids.index(key) for key in ids]


def has_gradient(x: Tensor) -> bool:
    """Whether ``x`` has a gradient, without asking for its numbers."""
    return (is_deferred(x) and x in x._home.gradients) or x.grad is not None


def check_input(x: Tensor, backend: Backend) -> None:
    """Raise a typed error for a tensor that cannot be an input of a captured step."""
    if x.backend is not backend:
        raise BackendError(
            f"an input of a captured step lies on {backend.name!r}, got one on "
            f"{x.backend.name!r}; move it: x.to({backend.name!r})"
        )
    if x.requires_grad:
        raise InputsError(
            "an input of a captured step gets no gradient, got a tensor that requires grad; pass "
            "x.detach(), or let the step take the tensor from outside"
        )


def _describe(inputs: Any) -> str:
    args, options = tree_map(lambda x: _Unquoted(brief(x)), inputs)
    return ", ".join([*map(repr, args), *(f"{k}={v!r}" for k, v in options.items())]) or "none"


class _Unquoted(str):
    __repr__ = str.__str__


# -- the proof of a recording: its replays give the bits of the step -------------------------


def prove(recorder: Any, replay: Replay, trials: list[Any]) -> None:
    """Raise CaptureError unless replays give the bits of the trials."""
    with recorder.recording.restoring():
        for given, result, values, bound in trials:
            recorder.begin()
            done, outputs = replay.run(replay.match(given))
            if not done:  # the step takes another branch for these inputs
                outputs = recorder.try_step(given)
            results = zip(leaves_of(outputs), leaves_of(result), strict=True)
            compared = [(f"its result {k}", a, b) for k, (a, b) in enumerate(results)]
            for x in replay.state:
                what = f"a tensor of {brief(x)} that it changes"
                compared.append((what, x, wrap(values[x][0], x.backend)))
            for x in replay.gradients:
                compared.append((f"the gradient of a tensor of {brief(x)}", x.grad, values[x][1]))
            compared += [(name.label, name.now(), name.value) for name in bound]
            wrong = [what for what, a, b in compared if not equal_bits(a, b)]
            if wrong:
                raise CaptureError(
                    f"a replay of this step differs from the step in {wrong[0]}: the step takes "
                    "numbers from a place that a recording does not see, such as NumPy's functions "
                    "on x.numpy() or Python's random, or from tensors that it has changed since; "
                    "use tinyxp's operations only, and pass other changing values as inputs"
                )


def equal_bits(a: Any, b: Any) -> bool:
    """Whether two tensors hold the same bits, or two other things are equal."""
    if not (isinstance(a, Tensor) and isinstance(b, Tensor)):
        return bool(a == b)
    return a.shape == b.shape and a.dtype is b.dtype and a.array.tobytes() == b.array.tobytes()
