"""Byte-pair tokenizers: exact round trips, GPT-2's files, and the same symbols as elsewhere."""

import json

import numpy as np
import pytest

from tinyxp.data import BPETokenizer
from tinyxp.errors import ArgumentError, BackendError, DataError, DTypeError, IndexingError

tokenizers = pytest.importorskip("tokenizers", reason="pip install tokenizers")
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


END = "<|endoftext|>"
PAD = {"content": "<pad>", "lstrip": False, "rstrip": True, "single_word": False}


@pytest.fixture
def files(trained, tmp_path):
    """A function that writes GPT-2's two files and those beside them, and gives their folder."""
    model = json.loads(trained.tokenizer.to_str())["model"]
    merges = [part if isinstance(part, str) else " ".join(part) for part in model["merges"]]

    def write(symbols=(END,), lines=merges, newline="\n", without="", **others):
        vocab = {name: i for name, i in model["vocab"].items() if name not in set(without)}
        vocab |= (
            dict(symbols)
            if isinstance(symbols, dict)
            else {s: 300 + i for i, s in enumerate(symbols)}
        )
        (tmp_path / "vocab.json").write_text(json.dumps(vocab))
        text = newline.join(["#version: 0.2", *lines, ""])
        (tmp_path / "merges.txt").write_bytes(text.encode())
        for name, content in others.items():
            (tmp_path / f"{name}.json").write_text(json.dumps(content))
        return tmp_path

    return write


PARTS = ["<a>", "<b>"]
FIRST = dict.fromkeys(("bos_token", "eos_token", "unk_token"), "<s>")
SPECIAL = {"special": True, "normalized": False}
DECODER = {"300": PAD | SPECIAL | {"content": END}, "301": PAD | SPECIAL}


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"newline": "\r\n"},
        {"symbols": (END, "<pad>")},
        {"added_tokens": {"mind": 302, "<pad>": 301}},
        {"symbols": (END, "<pad>"), "special_tokens_map": {"pad_token": "<pad>"}},
        {"special_tokens_map": {"pad_token": "<pad>", "additional_special_tokens": PARTS}},
        {"symbols": (END, "<s>"), "special_tokens_map": FIRST},
        {"tokenizer_config": {"pad_token": PAD | {"__type": "AddedToken"}}},
        {"tokenizer_config": {"add_bos_token": True, "add_prefix_space": True}},
        {"tokenizer_config": {"added_tokens_decoder": DECODER}},
    ],
    ids=str,
)
def test_transformers_reads_the_same(given, files):
    transformers = pytest.importorskip("transformers", reason="pip install transformers")
    folder = files(**given)
    theirs, ours = transformers.GPT2Tokenizer.from_pretrained(folder), BPETokenizer.load(folder)
    assert len(theirs) == len(ours)
    extra = [f"to be{END} mind", "or <pad> not<pad>", "<a>mind <b>", f"{END}{END}", "<s>be"]
    for text in [TEXT, *STRANGE[3:6], *extra]:
        assert theirs.encode(text) == ours.encode(text).tolist(), text


def test_symbols_that_no_text_is_cut_through(files):
    """They come out as they went in, and one by one; a tokenizer.json keeps them."""
    tokenizer = BPETokenizer.load(files())
    parts = [*tokenizer.encode("or").tolist(), 300]
    assert tokenizer.encode(f"or{END}").tolist() == parts
    assert tokenizer.decode(parts) == f"or{END}"
    folder = files(symbols=())
    tokenizer.save(folder / "tokenizer.json")
    again = BPETokenizer.load(folder)
    assert again.encode(f"or{END}").tolist() == parts
    (folder / "special_tokens_map.json").write_text(json.dumps({"pad_token": "<pad>"}))
    assert BPETokenizer.load(folder).encode("<pad>").tolist() == [301]


def test_numbers_with_holes(files):
    """A model's table reaches to the largest; what is in between is no symbol."""
    tokenizer = BPETokenizer.load(files(symbols={END: 310}, added_tokens={"<pad>": 312}))
    assert (len(tokenizer), tokenizer.vocab_size) == (313, 313)
    assert tokenizer.decode([312, 310]) == f"<pad>{END}"
    for hole in (305, 311, 313, -1):
        with pytest.raises(IndexingError, match=f"index {hole} is outside"):
            tokenizer.decode([310, hole])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"lines": ["x y z"]}, "damaged"),
        ({"lines": ["Ġmi zz"]}, "damaged"),
        ({"symbols": {END: 5}}, "the number 5 means both '.*' and"),
        ({"symbols": {END: -1}}, "a number >= 0"),
        ({"symbols": {END: 1.5}}, "a number >= 0"),
        ({"added_tokens": {"<pad>": 3}}, "the number 3 means both .* and '<pad>'"),
        ({"added_tokens": {END: 400}}, "two numbers for .*: 300, 400"),
        ({"added_tokens": [1]}, "expects an object"),
    ],
    ids=str,
)
def test_files_that_contradict_each_other(given, said, files):
    with pytest.raises(DataError, match=said):
        BPETokenizer.load(files(**given))


def test_a_key_that_comes_twice(files):
    folder = files()
    (folder / "added_tokens.json").write_text('{"<pad>": 301, "<pad>": 302}')
    with pytest.raises(DataError, match="the same symbol twice"):
        BPETokenizer.load(folder)


def test_a_text_loses_nothing(trained, files, tmp_path):
    """Neither to bytes without a symbol, nor to a length that was saved, nor to chance."""
    tokenizer = BPETokenizer.load(files(without="xz"))
    assert tokenizer.decode(tokenizer.encode("to be")) == "to be"
    with pytest.raises(DataError, match="without a symbol in the vocabulary"):
        tokenizer.encode("to be x")
    saved = tokenizers.Tokenizer.from_str(trained.tokenizer.to_str())
    saved.enable_truncation(3)
    saved.enable_padding(length=5000)
    saved.model.dropout = 0.9
    saved.save(str(tmp_path / "cut.json"))
    again = BPETokenizer.load(tmp_path / "cut.json")
    np.testing.assert_array_equal(again.encode(TEXT), trained.encode(TEXT))
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0}, "a"))
    words.save(str(tmp_path / "words.json"))
    with pytest.raises(DataError, match="a byte-pair tokenizer, got one of the kind WordLevel"):
        BPETokenizer.load(tmp_path / "words.json")


def test_what_is_no_text(trained):
    for text in ("\ud800", "good \udcff"):
        with pytest.raises(DataError, match="half a character"):
            trained.encode(text)
        with pytest.raises(DataError, match="half a character"):
            BPETokenizer.train(text)
    for text in (b"bytes", None, ["a"]):
        with pytest.raises(DTypeError, match="expects a string"):
            trained.encode(text)
    for ids in ([1.5], ["a"], np.zeros((2, 2), int)):
        with pytest.raises(DTypeError, match="row of integers"):
            trained.decode(ids)
    with pytest.raises(ArgumentError, match=r"got 300\.5"):
        BPETokenizer.train(TEXT, 300.5)


def test_errors(trained, tmp_path, monkeypatch):
    with pytest.raises(DataError, match="expects some text"):
        BPETokenizer.train("")
    with pytest.raises(ArgumentError, match="for all bytes, got 10"):
        BPETokenizer.train("a", 10)
    with pytest.raises(DataError, match="cannot read"):
        BPETokenizer.load(tmp_path)
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": 3}))
    with pytest.raises(DataError, match="damaged or not a tokenizer"):
        BPETokenizer.load(tmp_path)
    with pytest.raises(IndexingError, match="index 300 is outside the vocabulary"):
        trained.decode([1, 300])
    monkeypatch.setitem(__import__("sys").modules, "tokenizers", None)
    with pytest.raises(BackendError, match="pip install tokenizers"):
        BPETokenizer.train(TEXT)
