"""Models as students break them, and healthy ones beside: what the doctor is tested on.

A case is a function that makes a model and returns it with a function that computes its loss, and
an optimizer if there is one. In a broken one the line to be named ends with a comment, CUT.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import tinyxp as tx

BROKEN: list["Case"] = []
HEALTHY: list[Callable[[], Any]] = []


@dataclass(frozen=True)
class Case:
    """A broken model: what kind of finding it deserves, for which parameters, and which words."""

    make: Callable[[], Any]
    kind: str
    parameters: tuple[str, ...]
    words: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.make.__name__

    @property
    def line(self) -> int | None:
        """The number of the marked line, if there is one."""
        lines, first = inspect.getsourcelines(self.make)
        found = [first + i for i, line in enumerate(lines) if line.rstrip().endswith("# CUT")]
        assert len(found) < 2, self.name
        return found[0] if found else None


def broken(kind: str, parameters: str, *words: str) -> Any:
    """Enter a case: the names of its suffering parameters, and words that must be said."""

    def enter(make: Any) -> Any:
        BROKEN.append(Case(make, kind, tuple(parameters.split()), words))
        return make

    return enter


def healthy(make: Any) -> Any:
    """Enter a model with which nothing is wrong."""
    HEALTHY.append(make)
    return make


def points(*shape: int, seed: int = 0) -> Any:
    """Numbers of a normal distribution, float32."""
    return tx.asarray(np.random.default_rng(seed).normal(size=shape).astype("float32"))


def squares(y: Any) -> Any:
    """A loss that every element of y moves."""
    target = points(*y.shape, seed=9)
    return ((y - target) ** 2).mean()
