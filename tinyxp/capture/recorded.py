"""A recorded step, and all outside of its memory that a replay reads and changes.

Nobody else ever holds memory that a replay writes. What a replay reads is copied into that, or lent
where it lies; what comes out is copied when somebody asks for it (``away``). So a replay cannot
change what a graph, a view or a snapshot holds.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinyxp import random
from tinyxp.backends import Array, Backend
from tinyxp.capture.reach import Name, Reach, same
from tinyxp.core.autocast import casting
from tinyxp.core.away import SLOTS, away, become, is_away
from tinyxp.core.operation import brief, first_line
from tinyxp.core.tape import is_grad_enabled
from tinyxp.core.tensor import Tensor, wrap
from tinyxp.core.tree import leaves_of, pairs, tree_map
from tinyxp.core.views import refresh, shown_of
from tinyxp.debug.observers import observers
from tinyxp.errors import ArgumentError, BackendError, InputsError, TinyError

Moved = list[tuple[Tensor, Tensor]]  # places of inputs, and the tensors that belong there
AFTERWARDS = (
    "it is the result of a captured step, which carries no graph; call backward() inside the step"
)


@dataclass
class Outside:
    """A result that is a tensor from outside of the step."""

    tensor: Tensor


@dataclass
class External:
    """A tensor from outside that a step only reads: where it is found, and what was read last."""

    find: Callable[[], Tensor | None]
    handle: Any
    array: Array
    leaf: bool

    def fits(self) -> bool:
        """Whether a replay can read what is there now."""
        x = self.find()
        if not isinstance(x, Tensor) or x._leaf != self.leaf:
            return False
        now, then = x.array, self.array
        return now is then or (type(now) is type(then) and alike(now, then))


def alike(a: Array, b: Array) -> bool:
    """Whether two arrays have one form: on NumPy the order of sums follows that in memory, too."""
    form = a.shape == b.shape and a.dtype == b.dtype
    return bool(form and not (isinstance(a, np.ndarray) and a.strides != b.strides))


@dataclass
class Recorded:
    """One recording, made by ``trials.recorded``, and what ties it to the tensors outside."""

    recording: Any
    backend: Backend
    inputs: Any  # (args, options), Tensors at their fixed place
    outputs: Any  # what the step returned, Tensors where replays write them
    carried: list[bool]  # of these, whether the step's own carry a graph
    state: dict[Tensor, Array]  # tensors that the step changes, and where they lie in a replay
    externals: list[External]
    gradients: dict[Tensor, Array]  # of the tensors that have one after the step
    without: list[Tensor]  # tensors that have none after it
    accumulating: dict[Tensor, bool]  # where the step reads gradients: whether there is one
    bound: list[tuple[Name, Array]]  # names that the step binds to new tensors
    reach: Reach
    surroundings: tuple[Any, ...]
    repeats: list[int]  # of each input, the place of the first that is the same tensor
    written: list[Tensor] = field(default_factory=list)  # in place, so that views of it change too
    generator: Any = None  # the default one, if it is drawn from

    def __post_init__(self) -> None:
        self.places = [x.array for x in tensors_in(self.inputs)]
        self.tied = [(x, away(x.__class__)) for x in {**self.state, **self.gradients}]  # type: ignore[arg-type]
        self.leaf = {x: x._leaf for x in self.state}
        if id(random.default_generator()) in self.recording.capture.draws:
            self.generator = random.default_generator()

    # -- whether a replay is the step ----------------------------------------------------------

    def fits(self) -> bool:
        """Whether all that the recording depends on, but its inputs, is as it was."""
        capture = self.recording.capture
        return (
            surroundings() == self.surroundings
            and (self.generator is None or random.default_generator() is self.generator)
            and all(draws.generator.seed == draws.seed for draws in capture.draws.values())
            and all(condition() for condition in capture.conditions)
            and all(self._ready(x, place) for x, place in self.state.items())
            and self.reach.intact()
            and all(external.fits() for external in self.externals)
            and all(has_gradient(x) is there for x, there in self.accumulating.items())
        )

    def _ready(self, x: Tensor, place: Array) -> bool:
        if x._node is not None or x._leaf != self.leaf[x] or x.backend is not self.backend:
            return False
        if is_away(x) and x._home is self:
            return True
        return alike(x.array, place)

    def matched(self, given: Any) -> Moved:
        """The inputs' places beside the tensors that belong there.

        Raises InputsError for inputs that are not like those of the recording.
        """
        found = pairs(self.inputs, given)
        if found is None:
            raise InputsError(
                f"a captured step takes inputs like those it was captured with, "
                f"{_shown(self.inputs)}, got {_shown(given)}"
            )
        moved = []
        for own, x in found:
            if not isinstance(own, Tensor):
                if not same(x, own):
                    raise InputsError(
                        f"this step was captured with {own!r}, got {x!r}; what is no Tensor is "
                        "part of the recording: capture the step again for it"
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

    def takes(self, moved: Moved) -> bool:
        """Whether these inputs lie in memory as those that the step was recorded for."""
        pairs = zip(moved, self.places, strict=True)
        return all(alike(x.array, place) for (_, x), place in pairs)

    def shared(self, moved: Moved) -> bool:
        """Whether inputs are one that were not, or show what the step writes to in place: a replay
        has each at a place of its own."""
        xs, written = [x for _, x in moved], set(map(id, self.written))
        seen = any(x._view is not None and id(x._view()) in written for x in xs)
        return seen or repeated(xs) != self.repeats

    # -- replaying -----------------------------------------------------------------------------

    def replay(self, moved: Moved) -> tuple[bool, Any]:
        """Whether the replay came to its end, and what the step returns for these inputs; it ends
        before it has changed anything where the step would now go another way."""
        self._read(moved)
        shown = [(x, shown_of(x)) for x in self.written]
        try:
            if not self.recording.replay():
                return False, None
        except Exception as error:  # after it had begun to change its parameters, as the step would
            self._end()
            if isinstance(error, TinyError):
                raise
            raise ArgumentError(f"a captured step failed: {first_line(error)}") from error
        self._end()
        for name, place in self.bound:
            name.bind(wrap(self._copy(place), self.backend))
        for x, views in shown:
            refresh(x, views, False)
        carried, made = iter(self.carried), dict[int, Tensor]()
        return True, tree_map(lambda x: self._given(x, carried, made), self.outputs)

    def _end(self) -> None:
        """Have what the replay has changed be what tensors hold."""
        for x, cls in self.tied:
            if type(x) is not cls:
                self.keep(x)
        for x in self.without:
            x.grad = None

    def _read(self, moved: Moved) -> None:
        """Copy or lend to the recording what it reads."""
        to, values = [own.array for own, _ in moved], [x.array for _, x in moved]
        for x, cls in self.tied:
            if type(x) is cls and x._home is not self:
                x._home.bring(x)
            if type(x) is not cls and x in self.state:  # somebody has asked for it
                to.append(self.state[x])
                values.append(x.array)
        self.recording.copy(to, values)
        for external in self.externals:
            array = external.find().array  # type: ignore[union-attr]
            if array is not external.array:
                self.recording.bind(external.handle, array)
                external.array = array

    def _given(self, x: Any, carried: Any, made: dict[int, Tensor]) -> Any:
        if not isinstance(x, Tensor):
            return x.tensor if isinstance(x, Outside) else x
        carries = next(carried)
        if id(x) not in made:  # else it comes twice
            made[id(x)] = y = wrap(self._copy(x.array), self.backend)
            y._cut = AFTERWARDS if carries else None
        return made[id(x)]

    def _copy(self, place: Array) -> Array:
        return self.backend.xp.asarray(place, copy=True)

    # -- what lies here until somebody asks ----------------------------------------------------

    def keep(self, x: Tensor) -> None:
        """Have the data and the gradient of ``x`` lie here alone."""
        x._home = self
        if x in self.state:
            SLOTS["array"].__delete__(x)
        if x in self.gradients:
            SLOTS["grad"].__delete__(x)
        become(x, away(type(x)))  # type: ignore[arg-type]

    def bring(self, x: Tensor) -> None:
        """Give ``x`` copies of its own of what lies here."""
        if x in self.state:
            SLOTS["array"].__set__(x, self._copy(self.state[x]))
        if x in self.gradients:
            SLOTS["grad"].__set__(x, wrap(self._copy(self.gradients[x]), self.backend))
        become(x, x.__class__)


def surroundings() -> tuple[Any, ...]:
    """The modes that hold here, and change what operations do."""
    region = casting()
    modes = region and (region.dtype, region.casts is None)
    return is_grad_enabled(), modes, observers(), *np.geterr().values()


def tensors_in(tree: Any) -> list[Tensor]:
    """The tensors in nested tuples, lists and dicts."""
    return [x for x in leaves_of(tree) if isinstance(x, Tensor)]


def repeated(xs: list[Tensor]) -> list[int]:
    """Of each tensor, the place of the first that is the same."""
    ids = [id(x) for x in xs]
    return [ids.index(key) for key in ids]


def has_gradient(x: Tensor) -> bool:
    """Whether ``x`` has a gradient, without asking for its numbers."""
    return (is_away(x) and x in x._home.gradients) or x.grad is not None


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


def _shown(inputs: Any) -> str:
    args, options = tree_map(lambda x: _Shown(brief(x)), inputs)
    return ", ".join([*map(repr, args), *(f"{k}={v!r}" for k, v in options.items())]) or "none"


class _Shown(str):
    __repr__ = str.__str__
