"""Byte-pair tokenizers: exact round trips, GPT-2's files, and the same symbols as elsewhere."""

import json

import numpy as np
import pytest

from tinyxp.backends.errors import ArgumentError, BackendError, DataError, IndexingError
from tinyxp.data import BPETokenizer

tokenizers = pytest.importorskip("tokenizers", reason="pip install 'tinyxp[text]'")
TEXT = "To be, or not to be, that is the question: whether 'tis nobler in the mind to suffer. " * 20
STRANGE = [
    "",
    " ",
    "\n\t",
    "größte Übung",
    "日本語 and 한국어",
    "👩‍👩‍👧 🇺🇦",
    "\x00\x7f",
    " two  spaces ",
]


@pytest.fixture(scope="module")
def trained():
    return BPETokenizer.train(TEXT, 300)


@pytest.mark.parametrize("text", [TEXT, *STRANGE])
def test_round_trip(text, trained):
    ids = trained.encode(text)
    assert ids.dtype == np.int64
    assert ids.ndim == 1
    assert trained.decode(ids) == text
    assert trained.decode(ids.tolist()) == text


def test_frequent_pairs_are_one_symbol(trained):
    assert len(trained) == trained.vocab_size == 300
    assert len(trained.encode(TEXT)) < len(TEXT) / 2
    assert len(trained.encode("xyzzy")) == 5


def test_saved_and_loaded(trained, tmp_path):
    trained.save(tmp_path / "tokenizer.json")
    for path in (tmp_path, tmp_path / "tokenizer.json"):
        again = BPETokenizer.load(path)
        np.testing.assert_array_equal(again.encode(TEXT), trained.encode(TEXT))
    theirs = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert theirs.encode(TEXT).ids == trained.encode(TEXT).tolist()


def test_gpt2s_two_files(trained, tmp_path):
    trained.tokenizer.model.save(str(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == {"vocab.json", "merges.txt"}
    again = BPETokenizer.load(tmp_path)
    for text in [TEXT, *STRANGE]:
        np.testing.assert_array_equal(again.encode(text), trained.encode(text))
        assert again.decode(again.encode(text)) == text


def test_transformers_reads_the_same(trained, tmp_path):
    transformers = pytest.importorskip("transformers", reason="pip install transformers")
    trained.tokenizer.model.save(str(tmp_path))
    theirs = transformers.GPT2Tokenizer(
        str(tmp_path / "vocab.json"), str(tmp_path / "merges.txt"), unk_token=None
    )
    for text in [TEXT, *STRANGE[3:6]]:
        assert theirs.encode(text) == trained.encode(text).tolist()


def test_errors(trained, tmp_path, monkeypatch):
    with pytest.raises(DataError, match="expects some text"):
        BPETokenizer.train("")
    with pytest.raises(ArgumentError, match="all 256 bytes first, got 10"):
        BPETokenizer.train("a", 10)
    with pytest.raises(DataError, match="cannot read"):
        BPETokenizer.load(tmp_path)
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": 3}))
    with pytest.raises(DataError, match="damaged or no tokenizer"):
        BPETokenizer.load(tmp_path)
    with pytest.raises(IndexingError, match="index 300 is outside the vocabulary"):
        trained.decode([1, 300])
    monkeypatch.setitem(__import__("sys").modules, "tokenizers", None)
    with pytest.raises(BackendError, match=r"pip install 'tinyxp\[text\]'"):
        BPETokenizer.train(TEXT)
