"""Broken models, as students write them, and healthy ones, to test the doctor.

A case is a function that returns a model, a function that computes its loss, and an optimizer if
there is one. In a broken model the line that the doctor must name ends with the comment CUT.
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
    """A broken model with the kind, the parameters and some words of the expected finding."""

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
    """Register a case, with the names of the affected parameters and words of the report."""

    def enter(make: Any) -> Any:
        BROKEN.append(Case(make, kind, tuple(parameters.split()), words))
        return make

    return enter


def healthy(make: Any) -> Any:
    """Register a healthy model."""
    HEALTHY.append(make)
    return make


def points(*shape: int, seed: int = 0) -> Any:
    """Normal random numbers in float32."""
    return tx.asarray(np.random.default_rng(seed).normal(size=shape).astype("float32"))


def squares(y: Any) -> Any:
    """A loss that depends on every element of y."""
    target = points(*y.shape, seed=9)
    return ((y - target) ** 2).mean()
