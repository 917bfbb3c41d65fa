"""Packs: small parameters that a kernel changes as one array; a call for each would cost more."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from operator import is_
from typing import Any

from tinyxp.backends import Array
from tinyxp.core.tensor import Tensor

SMALL = 1 << 14  # elements of a parameter that is packed with others
FULL = 1 << 16  # elements of a pack of several

State = dict[str, Any]


class Pack:
    """One parameter, or several whose arrays and states are slices of flat arrays, one after
    another. ``names`` are the entries of a state that are arrays."""

    def __init__(
        self, params: list[Tensor], states: Mapping[Tensor, State], names: tuple[str, ...]
    ) -> None:
        self.params, self.names = params, names
        self.states = [states[p] for p in params]
        ends = [*accumulate(p.size for p in params)]
        self.size = ends[-1]
        self.places = [
            (slice(end - p.size, end), p.shape) for p, end in zip(params, ends, strict=True)
        ]
        # arrays that lie together stay where they are: a captured step knows them there
        self.parts = [p.array for p in params]
        self.array = self._join(self.parts, self.change)
        self.state = [self._join_state(name) for name in names]
        self.arrays = self._state_arrays()

    def intact(self, states: Mapping[Tensor, State]) -> bool:
        """Whether nobody gave one of the parameters another array or another state."""
        return all(map(is_, [p.array for p in self.params], self.parts)) and self.known(states)

    def known(self, states: Mapping[Tensor, State]) -> bool:
        """Whether nobody gave one of the parameters another state."""
        same = all(map(is_, map(states.get, self.params), self.states))
        return same and all(map(is_, self._state_arrays(), self.arrays))

    def gradient(self) -> Array:
        """The gradients of the parameters, joined as their arrays are."""
        return self._join([p.grad.array for p in self.params])  # type: ignore[union-attr]

    def change(self, flat: Array) -> None:
        """Give the parameters the slices of a new flat array."""
        self.array, self.parts = flat, self._split(flat)
        for p, part in zip(self.params, self.parts, strict=True):
            p.array = part

    def _state_arrays(self) -> list[Array]:
        return [state[name] for state in self.states for name in self.names]

    def _join_state(self, name: str) -> Array:
        def change(flat: Array) -> None:
            for state, part in zip(self.states, self._split(flat), strict=True):
                state[name] = part

        return self._join([state[name] for state in self.states], change)

    def _join(self, arrays: list[Array], change: Callable[[Array], None] | None = None) -> Array:
        """The flat array in which all lie, one after another; else a new one, for ``change``."""
        if len(arrays) == 1:
            return arrays[0]
        backend = self.params[0].backend
        flat_view = backend.functions.get("flat_view")
        flat = None if flat_view is None else flat_view(arrays)
        if flat is None:
            flat = backend.xp.concat([x.reshape(-1) for x in arrays])
            if change is not None:
                change(flat)
        return flat

    def _split(self, flat: Array) -> list[Array]:
        if len(self.params) == 1:
            return [flat]
        return [flat[place].reshape(shape) for place, shape in self.places]


class Plan:
    """How a step changes ``params``: lists of packs, a call each, and ``others`` one by one."""

    def __init__(self, params: list[Tensor], others: list[Tensor], runs: list[list[Pack]]) -> None:
        self.params, self.others, self.runs = params, others, runs

    def fits(self, params: list[Tensor], states: Mapping[Tensor, State]) -> bool:
        """Whether these are its parameters, with the arrays and states of its last step."""
        return (
            len(params) == len(self.params)
            and all(map(is_, params, self.params))
            and all(pack.intact(states) for run in self.runs for pack in run)
            and all(len({s["step"] for p in run for s in p.states}) == 1 for run in self.runs)
        )


def split_into_packs(params: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    """Lists of small parameters that fill a pack, and each larger parameter alone."""
    small: list[Tensor] = []
    size = 0
    for p in params:
        if p.size > SMALL or p.backend.elements_per_update is None:
            yield [p]
            continue
        if size + p.size > FULL:
            yield small
            small, size = [], 0
        small.append(p)
        size += p.size
    if small:
        yield small


def split_into_runs(packs: Iterable[Pack]) -> Iterator[list[Pack]]:
    """Packs that one call changes; the next call reuses the memory of their old arrays."""
    run: list[Pack] = []
    size = 0
    for pack in packs:
        run.append(pack)
        size += pack.size
        most = pack.params[0].backend.elements_per_update
        if most is not None and size >= most:
            yield run
            run, size = [], 0
    if run:
        yield run
