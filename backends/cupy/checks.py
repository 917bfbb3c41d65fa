"""Indices that a kernel checks (``common/later.py``)."""

from collections.abc import Callable
from typing import Any

from tinyxp.backends import Array
from tinyxp.backends.common.later import are_checks_later
from tinyxp.backends.cupy.launch import Library
from tinyxp.errors import IndexingError


class Checks:
    """Checks on the devices of a library whose results were not read yet."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.numbers: dict[str, int] = {}  # of complaints, from 1
        self.found: dict[Any, Array] = {}  # by device: the number of a complaint, and an index
        self.open: set[Any] = set()  # devices with checks since the last look

    def check_later(
        self, indices: Array, low: int, high: int, ignored: int | None, complaint: Callable[[], str]
    ) -> bool:
        """Launch a check; False if it must be done now. ``complaint()`` has a place for {index}."""
        usable = self.library.usable(indices) and indices.dtype.name == "int64"
        if not are_checks_later() or not usable:
            return False
        if indices.size:
            device = self.library.place(indices)
            if device not in self.found:
                self.found[device] = self.library.xp.zeros((2,), dtype=indices.dtype)
            number = self.numbers.setdefault(complaint(), len(self.numbers) + 1)
            skipped = low if ignored is None else ignored  # low is in range anyway
            given = self.library.xp.ascontiguousarray(indices)
            args = (given, indices.size, low, high, skipped, number, self.found[device])
            self.library.elementwise("check_indices", indices.size, args, "float32")
            self.open.add(device)
        return True

    def look(self) -> None:
        """Raise IndexingError if a check found anything since the last look."""
        while self.open:
            device = self.open.pop()
            number, index = self.found[device].tolist()
            if number:
                self.found[device].fill(0)
                complaint = next(text for text, n in self.numbers.items() if n == number)
                raise IndexingError(complaint.format(index=index))
