"""Text in byte pairs: frequent runs of bytes are one symbol, rare ones are several.

The work is done by Hugging Face's library tokenizers (the extra ``text``), whose files are read and
written as they are.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyxp import backends
from tinyxp.backends.errors import ArgumentError, DataError, IndexingError
from tinyxp.io import write_atomically


def _library() -> Any:
    """The library tokenizers. Raises BackendError, with the command that installs it."""
    try:
        import tokenizers
    except ImportError as error:
        raise backends.missing("tokenizers", "text") from error
    return tokenizers


class BPETokenizer:
    """Text as integers by byte-pair encoding, and back: any text, and exactly.

    Made by ``train`` or ``load``. Source: Sennrich et al. 2016; on bytes, as in GPT-2 (Radford et
    al. 2019, sec. 2.2).

    >>> tokenizer = tx.data.BPETokenizer.train("low lower lowest " * 9, vocab_size=262)
    >>> tokenizer.decode(tokenizer.encode("low, lower: größte"))
    'low, lower: größte'
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    @classmethod
    def train(cls, text: str, vocab_size: int = 1024) -> "BPETokenizer":
        """A vocabulary of the 256 bytes and their most frequent pairs, pairs of pairs and so on.

        Raises DataError without text, ArgumentError for fewer symbols than bytes, BackendError if
        the library tokenizers is missing.
        """
        library = _library()
        if not text:
            raise DataError("BPETokenizer.train expects some text, got none; give a longer one")
        if vocab_size < 256:
            raise ArgumentError(f"a vocabulary holds all 256 bytes first, got {vocab_size}")
        tokenizer = _byte_level(library, library.models.BPE())
        trainer = library.trainers.BpeTrainer(
            vocab_size=vocab_size,
            initial_alphabet=library.pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        tokenizer.train_from_iterator([text], trainer)
        return cls(tokenizer)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "BPETokenizer":
        """The tokenizer of a ``tokenizer.json``, or of a folder that has one, or that has GPT-2's
        ``vocab.json`` and ``merges.txt``.

        Raises DataError if there is none, or it is damaged.
        """
        library, path = _library(), Path(path)
        whole = path / "tokenizer.json" if path.is_dir() else path
        pair = path / "vocab.json", path / "merges.txt"
        try:
            if path.is_dir() and not whole.exists() and all(part.exists() for part in pair):
                model = library.models.BPE.from_file(*map(str, pair))
                return cls(_byte_level(library, model))
            return cls(library.Tokenizer.from_str(whole.read_text(encoding="utf-8")))
        except OSError as error:
            raise DataError(f"cannot read {whole}: {error.strerror or error}") from error
        except Exception as error:  # the library raises Exception itself
            raise DataError(f"{path} is damaged or no tokenizer: {error}") from error

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a ``tokenizer.json``. Raises DataError if it cannot be written."""
        write_atomically(path, self.tokenizer.to_str(pretty=True).encode())

    @property
    def vocab_size(self) -> int:
        """How many symbols there are."""
        return int(self.tokenizer.get_vocab_size())

    def __len__(self) -> int:
        return self.vocab_size

    def encode(self, text: str) -> NDArray[np.int64]:
        """The symbols of a text: string -> (n,)."""
        return np.asarray(self.tokenizer.encode(text).ids, dtype=np.int64)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of the symbols ``ids``: (n,) -> string.

        Where symbols end within a character its bytes show as '\\ufffd'. Raises IndexingError
        outside the vocabulary.
        """
        numbers = [int(i) for i in ids]
        outside = next((i for i in numbers if not 0 <= i < len(self)), None)
        if outside is not None:
            raise IndexingError(
                f"index {outside} is outside the vocabulary; decode expects 0 to {len(self) - 1}"
            )
        return str(self.tokenizer.decode(numbers, skip_special_tokens=False))


def _byte_level(library: Any, model: Any) -> Any:
    """GPT-2's way from text to bytes and back around a model of byte pairs."""
    tokenizer = library.Tokenizer(model)
    tokenizer.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = library.decoders.ByteLevel()
    return tokenizer
