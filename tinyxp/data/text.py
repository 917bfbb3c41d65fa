"""Text as characters: a tokenizer, and the split into training and validation."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from tinyxp.core.foreign_errors import typed
from tinyxp.errors import ArgumentError, DataError, IndexingError


class CharTokenizer:
    """Text as integers, one for each character; the vocabulary is a list of symbols.

    Raises ArgumentError unless the symbols are distinct single characters.

    >>> tokenizer = CharTokenizer.train("hello")
    >>> tokenizer.symbols
    ('e', 'h', 'l', 'o')
    >>> tokenizer.encode("hole")
    array([1, 3, 2, 0])
    >>> tokenizer.decode([1, 3, 2, 0])
    'hole'
    """

    symbols: tuple[str, ...]

    @typed
    def __init__(self, symbols: Iterable[str]) -> None:
        self.symbols = tuple(symbols)
        odd = [s for s in self.symbols if not isinstance(s, str) or len(s) != 1]
        if odd or not self.symbols:
            got = repr(odd[0]) if odd else "none"
            raise ArgumentError(f"CharTokenizer expects single characters as symbols, got {got}")
        if len(set(self.symbols)) < len(self.symbols):
            twice = next(s for s in self.symbols if self.symbols.count(s) > 1)
            raise ArgumentError(f"CharTokenizer expects distinct symbols, got {twice!r} twice")
        self._codes = _code_points("".join(self.symbols))
        # code point -> index; the last entry is for code points beyond the vocabulary
        self._indices = np.full(int(self._codes.max()) + 2, -1, np.int64)
        self._indices[self._codes] = np.arange(len(self.symbols))

    @classmethod
    def train(cls, text: str) -> "CharTokenizer":
        """A tokenizer for the sorted characters of ``text``.

        Raises DataError if there are none.
        """
        if not text:
            raise DataError("CharTokenizer.train expects some text, got none; give a longer one")
        return cls(sorted(set(text)))

    @property
    def vocab_size(self) -> int:
        """The number of symbols."""
        return len(self.symbols)

    def __len__(self) -> int:
        return len(self.symbols)

    @typed
    def encode(self, text: str) -> NDArray[np.int64]:
        """The index of each character: string of n characters -> (n,).

        Raises DataError at the first character that is not a symbol.
        """
        codes = _code_points(text)
        ids = self._indices[np.minimum(codes, len(self._indices) - 1)]
        if ids.size and ids.min() < 0:
            position = int(ids.argmin())
            raise DataError(
                f"character {text[position]!r} at position {position} is not among the "
                f"{len(self)} symbols of the vocabulary; remove it, or train on a text that has it"
            )
        return ids

    @typed
    def decode(self, ids: Iterable[int]) -> str:
        """The text of the indices ``ids``: (n,) -> string of n characters.

        Raises ArgumentError unless they are integers, IndexingError outside the vocabulary.
        """
        indices = ids if isinstance(ids, np.ndarray) else np.asarray(list(ids))
        if not indices.size:
            return ""
        if indices.ndim != 1 or indices.dtype.kind not in "iu":
            got = f"{indices.dtype} of shape {indices.shape}"
            raise ArgumentError(f"decode expects a row of integers, got {got}")
        outside = (indices < 0) | (indices >= len(self))
        if outside.any():
            position = int(outside.argmax())
            raise IndexingError(
                f"index {indices[position]} at position {position} is outside the vocabulary; "
                f"decode expects 0 to {len(self) - 1}"
            )
        return self._codes[indices].tobytes().decode("utf-32-le", "surrogatepass")


def _code_points(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


@typed
def split(
    ids: NDArray[np.int64], validation: float = 0.1
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first part for training and the last for validation: (n,) -> (0.9 n,), (0.1 n,), as
    views.

    The split is by position, as in nanoGPT: a random one would put overlapping windows in both
    parts. Raises ArgumentError for a fraction outside (0, 1), DataError if a part would be empty.

    >>> split(np.arange(10), validation=0.2)
    (array([0, 1, 2, 3, 4, 5, 6, 7]), array([8, 9]))
    """
    if not 0 < validation < 1:
        raise ArgumentError(f"split expects a fraction between 0 and 1, got {validation}")
    cut = int(len(ids) * (1 - validation))
    if not 0 < cut < len(ids):
        raise DataError(f"{len(ids)} symbols leave a part of the split empty; take a longer text")
    return ids[:cut], ids[cut:]
