"""Packs: small parameters that a kernel changes as one array; a call for each would cost more."""

from collections.abc import Iterable, Iterator, Mapping
from operator import is_
from typing import Any

from tinyxp.backends import Array
from tinyxp.core.tensor import Tensor

SMALL = 1 << 14  # elements of a parameter that is packed with others
FULL = 1 << 16  # elements of a pack of several

State = dict[str, Any]


class Pack:
    """One parameter, or several whose data and whose state lie in flat arrays, one after another.

    What the parameters and their states hold are slices of these. ``names`` says which of the
    state are arrays.
    """

    def __init__(
        self, params: list[Tensor], states: Mapping[Tensor, State], names: tuple[str, ...]
    ) -> None:
        self.params, self.names = params, names
        self.states = [states[p] for p in params]
        self.size = sum(p.size for p in params)
        self.places: list[tuple[slice, tuple[int, ...]]] = []
        start = 0
        for p in params:
            self.places.append((slice(start, start + p.size), p.shape))
            start += p.size
        # what lies together already stays where it is: a captured step knows it there
        self.parts = [p.array for p in params]
        flat = self._flat_view(self.parts)
        if flat is None:
            self.change(self._joined(self.parts))
        else:
            self.array = flat
        self.state = [self._brought(name) for name in names]
        self.arrays = self._arrays()

    def intact(self, states: Mapping[Tensor, State]) -> bool:
        """Whether nobody gave one of the parameters other data or another state."""
        return all(map(is_, [p.array for p in self.params], self.parts)) and self.known(states)

    def known(self, states: Mapping[Tensor, State]) -> bool:
        """Whether nobody gave one of the parameters another state."""
        same = all(map(is_, map(states.get, self.params), self.states))
        return same and all(map(is_, self._arrays(), self.arrays))

    def gradient(self) -> Array:
        """The gradients of the parameters, joined as their data are."""
        return self._joined([p.grad.array for p in self.params])  # type: ignore[union-attr]

    def change(self, data: Array) -> None:
        """Give the parameters new data, joined."""
        self.array, self.parts = data, self._parts(data)
        for p, part in zip(self.params, self.parts, strict=True):
            p.array = part

    def _arrays(self) -> list[Array]:
        return [state[name] for state in self.states for name in self.names]

    def _brought(self, name: str) -> Array:
        """One array of the state of all parameters, joined."""
        arrays = [state[name] for state in self.states]
        flat = self._flat_view(arrays)
        if flat is None:
            flat = self._joined(arrays)
            for state, part in zip(self.states, self._parts(flat), strict=True):
                state[name] = part
        return flat

    def _flat_view(self, arrays: list[Array]) -> Array | None:
        """The one array, or that whose slices all of them are, one after another; else None."""
        if len(arrays) == 1:
            return arrays[0]
        flat_view = self.params[0].backend.functions.get("flat_view")
        return None if flat_view is None else flat_view(arrays)

    def _joined(self, arrays: list[Array]) -> Array:
        flat = self._flat_view(arrays)
        if flat is None:
            flat = self.params[0].backend.xp.concat([x.reshape(-1) for x in arrays])
        return flat

    def _parts(self, flat: Array) -> list[Array]:
        if len(self.params) == 1:
            return [flat]
        return [flat[place].reshape(shape) for place, shape in self.places]


class Plan:
    """How a step changes ``params``: lists of packs, each list at once, and ``others`` singly."""

    def __init__(self, params: list[Tensor], others: list[Tensor], runs: list[list[Pack]]) -> None:
        self.params, self.others, self.runs = params, others, runs

    def fits(self, params: list[Tensor], states: Mapping[Tensor, State]) -> bool:
        """Whether these are its parameters, and their data and states those of its last step."""
        return (
            len(params) == len(self.params)
            and all(map(is_, params, self.params))
            and all(pack.intact(states) for run in self.runs for pack in run)
            and all(len({s["step"] for p in run for s in p.states}) == 1 for run in self.runs)
        )


def packed(params: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    """Lists of small parameters that fill a pack, and each larger one alone."""
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


def runs(packs: Iterable[Pack]) -> Iterator[list[Pack]]:
    """Packs that one call of a kernel changes: of a million elements or so on a CPU, where the
    memory of one run's old values serves for the new ones of the next."""
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
