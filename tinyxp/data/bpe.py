"""Byte-pair encoding: frequent sequences of bytes are one symbol, rare ones are several.

It uses Hugging Face's library tokenizers (the extra ``text``) and its files; ``bpe_files`` also
reads GPT-2's older pair of files.
"""

import operator
import os
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyxp.data.bpe_files import byte_level, holds_all_bytes, library, load
from tinyxp.errors import ArgumentError, DataError, DTypeError, IndexingError
from tinyxp.files.safetensors import write_atomically


class BPETokenizer:
    """Lossless byte-pair encoding of any text as integers.

    Make one with ``train`` or ``load``. Source: Sennrich et al. 2016; on bytes, as in GPT-2
    (Radford et al. 2019, sec. 2.2).

    >>> tokenizer = tx.data.BPETokenizer.train("low lower lowest " * 9, vocab_size=262)
    >>> tokenizer.decode(tokenizer.encode("low, lower: größte"))
    'low, lower: größte'
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self._seen = (-1, 0)  # a number of symbols and its vocab_size
        # with a tiny or damaged vocabulary the library drops bytes without a symbol
        self._lacks_bytes = not holds_all_bytes(tokenizer)

    @classmethod
    def train(cls, text: str, vocab_size: int = 1024) -> "BPETokenizer":
        """Train on a text: the vocabulary is the 256 bytes and the most frequent pairs, again and
        again.

        Raises DataError without text, or for a text that is not Unicode, ArgumentError for fewer
        symbols than bytes, BackendError if the library tokenizers is missing.
        """
        tokenizers = library()
        expect_unicode("BPETokenizer.train", text)
        if not text:
            raise DataError("BPETokenizer.train expects some text, got none; give a longer one")
        if not isinstance(vocab_size, (int, np.integer)) or vocab_size < 256:
            raise ArgumentError(
                f"vocab_size expects an integer >= 256, for all bytes, got {vocab_size!r}"
            )
        tokenizer = byte_level(tokenizers.models.BPE())
        trainer = tokenizers.trainers.BpeTrainer(
            vocab_size=int(vocab_size),
            initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        tokenizer.train_from_iterator([text], trainer)
        return cls(tokenizer)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "BPETokenizer":
        """Load a ``tokenizer.json``, or a folder with one or with GPT-2's ``vocab.json`` and
        ``merges.txt``.

        In a folder ``added_tokens.json``, ``special_tokens_map.json`` and ``tokenizer_config.json``
        define more symbols, as for transformers' GPT2Tokenizer; without them "<|endoftext|>" is
        one if the vocabulary has it. Raises DataError if there is no tokenizer, it is damaged, or
        its files contradict each other.
        """
        return cls(load(path))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a ``tokenizer.json``. Raises DataError if it cannot be written."""
        write_atomically(path, self.tokenizer.to_str(pretty=True).encode())

    @property
    def vocab_size(self) -> int:
        """One more than the largest symbol: the number of rows of an embedding."""
        count = self.tokenizer.get_vocab_size()
        if self._seen[0] != count:
            self._seen = count, 1 + max(self.tokenizer.get_vocab().values(), default=-1)
        return self._seen[1]

    def __len__(self) -> int:
        return self.vocab_size

    def encode(self, text: str) -> NDArray[np.int64]:
        """The symbols of a text: string -> (n,).

        Raises DataError for a text that is not Unicode, or with bytes that the vocabulary lacks.
        """
        expect_unicode("encode", text)
        ids = np.asarray(self.tokenizer.encode(text).ids, dtype=np.int64)
        if self._lacks_bytes and not self.decode(ids).endswith(text):
            raise DataError(
                "the text has bytes without a symbol in the vocabulary, which would be lost; use a "
                "tokenizer with all 256 bytes"
            )
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """The text of the symbols ``ids``: (n,) -> string.

        A part of a character becomes '\\ufffd'. Raises IndexingError for symbols outside the
        vocabulary, DTypeError unless they are integers.
        """
        values = ids.tolist() if isinstance(ids, np.ndarray) else list(ids)
        try:
            numbers = [operator.index(i) for i in values]
        except TypeError as error:
            raise DTypeError(f"decode expects a row of integers, got {values[:9]}") from error
        n, holes = len(self), len(self) != self._seen[0]
        for i in numbers:
            if not 0 <= i < n or (holes and self.tokenizer.id_to_token(i) is None):
                raise IndexingError(
                    f"index {i} is outside the vocabulary; decode expects 0 to {n - 1}"
                    f"{', without unused numbers' if holes else ''}"
                )
        return str(self.tokenizer.decode(numbers, skip_special_tokens=False))


def expect_unicode(name: str, text: Any) -> None:
    """Raise DTypeError unless ``text`` is a string, DataError if it has a lone surrogate."""
    if not isinstance(text, str):
        raise DTypeError(f"{name} expects a string, got {type(text).__name__}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{name}: {text[error.start]!r} at position {error.start} is half a character (a lone "
            "surrogate); remove it: text.encode(errors='ignore').decode()"
        ) from None
