"""The checkpoints of a run: the last few and the best, each written atomically."""

import re
import warnings
from pathlib import Path
from typing import Any

from tinyxp.errors import ArgumentError, DataError
from tinyxp.files.safetensors import make_folder, remove, remove_temporary
from tinyxp.files.state import load_state, save_state

NAME = "step-{:08d}.safetensors"


class Checkpoints:
    """Training states in a folder, by step: the last ``keep`` and the best.

    >>> kept = Checkpoints(tmp / "kept", keep=1)
    >>> for step, score in ((10, 2.5), (20, 1.5), (30, 1.75)):
    ...     kept.save(step, {"weight": step}, score)
    >>> kept.steps()
    [20, 30]
    >>> kept.latest()
    (30, {'weight': 30})
    """

    def __init__(self, folder: str | Path, keep: int = 3) -> None:
        if type(keep) is not int or keep < 1:
            raise ArgumentError(f"keep expects a whole number from 1 up, got {keep!r}")
        self.folder, self.keep = Path(folder), keep
        self.best: tuple[float, int] | None = None  # the lowest score, and its step
        self._writes = False

    def steps(self) -> list[int]:
        """The steps of the existing checkpoints, in order."""
        found = (re.fullmatch(r"step-(\d+)\.safetensors", p.name) for p in self.folder.glob("*"))
        return sorted(int(match[1]) for match in found if match)

    def path(self, step: int) -> Path:
        return self.folder / NAME.format(step)

    def save(self, step: int, state: Any, score: float | None = None) -> None:
        """Write a state; then remove those that are neither among the last nor the best.

        A lower ``score`` is better. Raises DataError if the file cannot be written; earlier
        checkpoints remain.
        """
        make_folder(self.folder)
        if not self._writes:  # only a writer may remove files
            remove_temporary(self.folder)
            self._writes = True
        best = self.best
        if score is not None and (best is None or score < best[0]):
            best = (score, step)
        save_state({"state": state, "best": best}, self.path(step))
        self.best = best
        earlier = [n for n in self.steps() if n <= step]
        for n in earlier[: -self.keep]:
            if best is None or n != best[1]:
                remove(self.path(n))

    def latest(self) -> tuple[int, Any] | None:
        """The newest readable step and state, or None; warns of damaged ones."""
        for step in reversed(self.steps()):
            try:
                found = load_state(self.path(step))
                state, self.best = found["state"], found["best"]
            except (DataError, KeyError, TypeError) as error:
                warnings.warn(f"{error}; using an earlier checkpoint", stacklevel=2)
                continue
            return step, state
        return None
