"""How a step is recorded: tried, to learn which tensors it reads and changes; recorded; and its
replay compared with the step.

Whatever happens, everything is restored: the arrays of tensors, their gradients, what names stand
for, optimizers and generators.
"""

import gc
import random
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from tinyxp import backends
from tinyxp.backends import Array, Backend
from tinyxp.backends.common.later import checks_later
from tinyxp.capture.code import CalledCode, with_line
from tinyxp.capture.names import PLAIN, SIMPLE, Name, ReachableNames
from tinyxp.capture.replay import (
    External,
    Outside,
    Replay,
    check_input,
    first_places,
    has_gradient,
    prove,
    surroundings,
    tensors_in,
)
from tinyxp.core.access import AccessLog
from tinyxp.core.autocast import casting, within
from tinyxp.core.foreign_errors import brief
from tinyxp.core.tape import is_grad_enabled, set_grad_enabled
from tinyxp.core.tensor import Tensor, wrap
from tinyxp.core.tree import leaves_of, tree_map
from tinyxp.errors import CaptureError, InputsError

# inputs, the result, all tensors' arrays and gradients, and the names bound to new tensors
Trial = tuple[Any, Any, dict[Tensor, tuple[Array, Tensor | None]], list[Name]]


class NotNow(Exception):
    """The step cannot be recorded this time: it fails, which is the cause, or it binds names to
    values with which it will take another branch the next time."""


class Recorder:
    """Records a step for inputs like ``given``; ``record()`` does no step of training."""

    def __init__(self, step: Callable[..., Any], backend: Backend, given: Any) -> None:
        assert backend.recorder is not None
        self.step, self.backend, self.recording = step, backend, backend.recorder()
        self.modes = surroundings()
        self.repeats = first_places(tensors_in(given))
        self.inputs = tree_map(self._place_input, given)
        self.log = AccessLog()
        self.log.ignored = set(map(id, tensors_in(self.inputs)))
        self.reach = ReachableNames(step)
        self.code = CalledCode()
        self.readers: set[Tensor] = set()  # whose gradients the step reads before it forgets them
        self.forgotten: set[Tensor] = set()  # whose gradients it forgets
        self.reread: list[Name] = []  # names of tensors that each replay finds by these names

    def record(self) -> Replay:
        """Raises CaptureError for a step that cannot be recorded."""
        region = casting()
        # no casts of parameters from before, and none left for later
        with checks_later(), backends.using(self.backend), within(region and region.afresh()):
            try:
                trials = self._try()
                self._restore()
                replay = self._record(trials)
                if self.recording.exact:
                    prove(self, replay, trials)
                replay.written = [x for x in self.log.written if x in replay.state]
            except CaptureError as error:
                raise with_line(error) from error.__cause__
            finally:
                self._restore()
                self.recording.capture.undo.clear()
        self.backend.empty_cache()
        return replay

    def _place_input(self, x: Any) -> Any:
        if not isinstance(x, Tensor):
            if isinstance(x, np.ndarray):
                raise InputsError(
                    f"an input of a captured step is a Tensor, got a NumPy array of {x.shape}; "
                    "pass tx.asarray of it"
                )
            return x
        check_input(x, self.backend)
        return wrap(self.recording.place(x.array), self.backend)

    def _restore(self) -> None:
        self.log.restore()
        self.reach.restore()
        self.recording.capture.rewind()

    def begin(self) -> None:
        """Set the gradients to what they are when a replay begins."""
        for x, was in self.log.before.items():
            x.grad = was.grad if x in self.readers else None

    # -- trying --------------------------------------------------------------------------------

    def _try(self) -> list[Trial]:
        """Runs of the step; the first compiles kernels and begins the optimizer's state."""
        states = random.getstate(), np.random.get_state()
        try:
            self.code.run(lambda: self._run(self.inputs, self.recording.first))
        except (CaptureError, NotNow):
            raise
        except Exception as error:
            raise NotNow from error
        if repr((random.getstate(), np.random.get_state())) != repr(states):
            random.setstate(states[0])
            np.random.set_state(states[1])
            raise CaptureError(
                "this step draws Python's or NumPy's random numbers, which a replay would not; "
                "draw them by tx.random, or outside, and pass them as inputs"
            )
        self._restore()
        self.names = ReachableNames(self.step, self.code)  # all that the step depends on by name
        if self.names.unknown:
            label, kind = self.names.unknown[0]
            raise CaptureError(
                f"this step uses {label} ({kind}), and a replay would not see changes in it; use "
                "it outside, and pass its values as inputs"
            )
        self._look_at_gradients()
        if not self.recording.exact:
            return [self._run(self.inputs)]
        try:  # values that a recording would take for constants differ in the second run
            varied = tree_map(self._vary, self.inputs)
            others = [varied, tree_map(self._vary, varied)]
            return [self._run(given) for given in (self.inputs, *others)]
        except Exception:  # inputs that cannot be varied so
            self._restore()
            return [self._run(self.inputs) for _ in range(2)]

    def _run(self, given: Any, run: Callable[..., Any] | None = None) -> Trial:
        self.begin()
        places = [(x, x.array) for x in tensors_in(given)]
        with self.log.active(), set_grad_enabled(is_grad_enabled()):
            modes = surroundings()
            result = self.try_step(given, run)
            if surroundings() != modes:
                raise CaptureError(
                    "this step leaves another mode behind, as by tx.set_grad_enabled(False), "
                    "which a replay would not; use a with block"
                )
        for x, place in places:
            if x.array is not place:
                x.array = place
                raise CaptureError(
                    f"this step writes in place to its input of {brief(x)}; tx.clone it first"
                )
        for x, was in self.log.before.items():
            if x.backend is not was.backend or x._node is not was.node or x._leaf != was.leaf:
                raise CaptureError(
                    f"this step changes how a tensor of {brief(x)} is differentiated, or where it "
                    "lies; do that outside of it"
                )
        values = {x: (x.array, x.grad) for x in self.log.before}
        return given, result, values, self._new_tensors()

    def try_step(self, given: Any, run: Callable[..., Any] | None = None) -> Any:
        """The results of the step, run as it will be recorded."""
        args, options = given
        return (run or self.recording.run)(lambda: self.step(*args, **options))

    def _new_tensors(self) -> list[Name]:
        """The names that the step binds to new tensors; CaptureError if to anything else."""
        known = {(id(name.holder), name.key): name.value for name in self.reach.names}
        found, unsteady = [], False
        for name in self.reach.changes():
            before, now = known.get((id(name.holder), name.key)), name.value
            attribute = isinstance(name.key, str)
            if isinstance(now, Tensor) and isinstance(before, Tensor) and not now.requires_grad:
                alike = now.backend is before.backend and now.array.dtype == before.array.dtype
                unsteady |= not (alike and now.shape == before.shape)
                found.append(name)
            elif attribute and isinstance(now, Tensor) and isinstance(before, (Tensor, *SIMPLE)):
                if now.requires_grad:
                    raise self._refusal(name, "the graph of a tensor", "; detach it")
                unsteady = True
            else:
                raise self._refusal(name, "something else", "")
        if unsteady:
            raise NotNow
        return found

    def _refusal(self, name: Name, what: str, advice: str) -> CaptureError:
        lines = self.code.names("STORE_ATTR", "STORE_DEREF", "STORE_GLOBAL")
        lines |= self.code.names("LOAD_DEREF", "LOAD_GLOBAL", "LOAD_ATTR") if not lines else {}
        line = lines.get(name.key) if isinstance(name.key, str) else None
        where = f" ({line})" if line else ""
        return CaptureError(
            f"this step leaves {what} in {name.label}{where}, which a replay would not do "
            f"again{advice or '; do that outside, with the results of the step'}"
        )

    def _look_at_gradients(self) -> None:
        """See which of the gradients that it finds the step reads, and which it forgets."""
        first = {x: x.grad for x in self.log.before if x._leaf}
        self._restore()
        for x, g in first.items():
            x.grad = wrap(x.backend.xp.zeros_like(x.array), x.backend) if g is None else g
        given, second = {x: x.grad for x in first}, AccessLog()
        second.ignored = self.log.ignored
        with second.active():
            self.try_step(self.inputs)
        self.readers = {x for x, g in given.items() if g in second.before}
        self.forgotten = {x for x in given if x.grad is None}
        second.restore()
        self._restore()

    def _vary(self, x: Any) -> Any:
        """A tensor like ``x``, reversed along its first axis, reals scaled by 1 - 2⁻¹⁰."""
        if not isinstance(x, Tensor):
            return x
        xp: Any = self.backend.xp
        array = xp.flip(x.array, axis=0) if x.ndim else x.array
        if array.dtype in self.backend.floating:
            array = xp.astype(array * (1 - 2**-10), array.dtype)
        varied = wrap(self.recording.place(array), self.backend)
        self.log.ignored.add(id(varied))
        return varied

    # -- recording -----------------------------------------------------------------------------

    def _record(self, trials: list[Trial]) -> Replay:
        recording, before = self.recording, self.log.before
        changed = {x for x in before if any(t[2][x][0] is not before[x].array for t in trials)}
        ordered = [x for x in recording.capture.changed if x in changed]
        self.begin()
        state: dict[Tensor, Array] = {}
        for x in dict.fromkeys([*ordered, *[x for x in before if x in changed]]):
            x.array = state[x] = recording.place(x.array)
        externals = self._lend(trials, state)
        self._relink_views()
        known, bound = len(before), trials[0][3]
        self.log.made.clear()

        def whole() -> Any:
            found = self.step(*self.inputs[0], **self.inputs[1])
            self._put_in_place(state)
            for x in before:
                if x.grad is not None:
                    x.grad.array = recording.lasting(x.grad.array)
            names = [recording.lasting(name.now().array) for name in bound]
            results = tree_map(self._keep_result, found)
            pairs = zip(leaves_of(found), leaves_of(results), strict=True)
            return results, [x.requires_grad for x, y in pairs if isinstance(y, Tensor)], names

        self.log.written.clear()
        with self.log.active():
            outputs, carried, names = recording.record(whole)
        if len(before) > known:
            raise CaptureError(
                "this step took another branch when it was recorded than when it was tried; make "
                "it depend on its inputs alone"
            )
        gradients = {
            x: x.grad for x in before if x.grad is not None and id(x.grad) in self.log.made
        }
        places = {x: recording.final(g.array) for x, g in gradients.items()}
        without = [x for x in self.forgotten if x not in gradients]
        for x in dict.fromkeys([*tensors_in((self.inputs, outputs))]):
            x.array = recording.final(x.array)
        state = {x: recording.final(place) for x, place in state.items()}
        ends = [(name, recording.final(x)) for name, x in zip(bound, names, strict=True)]
        recording.close([external.array for external in externals])
        del gradients
        self._restore()
        self._expect_none_kept({id(x) for x in tensors_in(outputs)})
        accumulating = {x: has_gradient(x) for x in self.readers}
        self.names.leave_out([*bound, *self.reread])
        return Replay(
            recording, self.backend, self.inputs, outputs, carried, state, externals, places,
            without, accumulating, ends, self.names, self.modes, self.repeats,
        )  # fmt: skip

    def _lend(self, trials: list[Trial], state: dict[Tensor, Array]) -> list[External]:
        """Let the recording read all other tensors where they are found."""
        names: dict[int, list[Name]] = {}
        for name in self.names.names:
            names.setdefault(id(name.value), []).append(name)
        bound = {(id(name.holder), name.key) for name in trials[0][3]}
        gradients = {x.grad: x for x in self.readers if x.grad is not None}
        externals = []
        for x, was in self.log.before.items():
            if x in state or was.backend is not self.backend:
                continue
            find: Callable[[], Any] = partial(lambda x: x, x)
            if x in gradients:
                find = partial(getattr, gradients[x], "grad")
            elif held := names.get(id(x)):
                known = [name for name in held if (id(name.holder), name.key) in bound]
                if known or len(held) == 1:
                    find = (known or held)[0].now
                    self.reread += held[: len(held) == 1]
            own, handle = self.recording.external(was.array)
            externals.append(External(find, handle, was.array, was.leaf))
            x.array = own
        return externals

    def _relink_views(self) -> None:
        """Have views look into the arrays that their roots have now."""
        for x in self.log.before:
            view = x._view
            root = None if view is None else view()
            if root in self.log.before and view.seen is self.log.before[root].array:
                view.seen = root.array

    def _keep_result(self, x: Any) -> Any:
        """A result, where it stays until the next replay; a tensor from outside as it is."""
        if not isinstance(x, Tensor):
            if not isinstance(x, PLAIN):
                raise CaptureError(
                    f"this step returns a {type(x).__name__}, which a replay would not make anew; "
                    "return tensors and numbers, in tuples, lists and dicts"
                )
            return x
        if x in self.log.before:
            return Outside(x)
        return wrap(self.recording.lasting(x.array), x.backend)

    def _put_in_place(self, state: dict[Tensor, Array]) -> None:
        """Move what changed to where the next replay reads it."""
        xp: Any = self.backend.xp
        changed = [(x, place) for x, place in state.items() if x.array is not place]
        places = {id(place) for place in state.values()}  # if two change places, say
        values = [
            xp.asarray(x.array, copy=True) if id(x.array) in places else x.array for x, _ in changed
        ]
        self.recording.copy([place for _, place in changed], values)
        for x, place in changed:
            x.array = place

    def _expect_none_kept(self, allowed: set[int]) -> None:
        """Raise CaptureError if somebody holds a tensor that the step made."""

        def kept() -> list[Tensor]:
            return [x for key, x in self.log.made.items() if key not in allowed]

        if (region := casting()) is not None and region.casts is not None:
            region.casts.clear()
        if kept():
            gc.collect()  # circles of the user's
        for x in kept():
            what = f"the result of {x._node.op.name}" if x._node is not None else "a tensor"
            raise CaptureError(
                f"this step keeps {what}, {brief(x)}, which a replay would not replace; return it, "
                "and keep the returned tensor"
            )
