"""Files of byte-pair tokenizers: ``tokenizer.json``, or GPT-2's vocabulary, merges and files that
add symbols."""

import json
import os
from pathlib import Path
from typing import Any

from tinyxp import backends
from tinyxp.errors import DataError, TinyError
from tinyxp.files.safetensors import expect_path

# the named symbols of transformers, in the order in which it adds those without a number
NAMES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
END = "<|endoftext|>"  # GPT-2's symbol for the first three of them
OPTIONS = ("single_word", "lstrip", "rstrip", "normalized")


def library() -> Any:
    """Import the library tokenizers. Raises BackendError with the command that installs it."""
    try:
        import tokenizers
    except ImportError as error:
        raise backends.missing("tokenizers", "text") from error
    return tokenizers


def byte_level(model: Any, prefix_space: bool = False) -> Any:
    """A tokenizer of a byte-pair model that works on bytes, as GPT-2's does."""
    tokenizer = library().Tokenizer(model)
    tokenizer.pre_tokenizer = library().pre_tokenizers.ByteLevel(add_prefix_space=prefix_space)
    tokenizer.decoder = library().decoders.ByteLevel()
    return tokenizer


def holds_all_bytes(tokenizer: Any) -> bool:
    """Whether every byte has a symbol; also true for tokenizers that do not work on bytes."""
    steps = tokenizer.pre_tokenizer
    if steps is None or b"ByteLevel" not in steps.__getstate__():
        return True
    alphabet = library().pre_tokenizers.ByteLevel.alphabet()
    return all(tokenizer.token_to_id(letter) is not None for letter in alphabet)


def load(path: str | os.PathLike[str]) -> Any:
    """The library's tokenizer from a file or folder; see ``BPETokenizer.load``."""
    tokenizers = library()
    expect_path(path)
    path = Path(path)
    whole = path / "tokenizer.json" if path.is_dir() else path
    try:
        if path.is_dir() and not whole.exists() and (path / "merges.txt").exists():
            tokenizer = _of_two_files(tokenizers, path)
            _expect_one_symbol_a_number(tokenizer.get_vocab(), path)
            return tokenizer
        tokenizer = tokenizers.Tokenizer.from_str(whole.read_text(encoding="utf-8"))
        if not isinstance(tokenizer.model, tokenizers.models.BPE):
            kind = type(tokenizer.model).__name__
            raise DataError(f"{whole} expects a byte-pair tokenizer, got one of the kind {kind}")
        # a saved length would truncate texts, and dropout would make encodings random
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.model.dropout = None
        if path.is_dir():
            _add(tokenizers, tokenizer, _further(path, {}), path)
        _expect_one_symbol_a_number(tokenizer.get_vocab(), whole)
        return tokenizer
    except TinyError:
        raise
    except OSError as error:
        raise DataError(f"cannot read {whole}: {error.strerror or error}") from error
    except Exception as error:  # the library raises plain Exceptions
        raise DataError(f"{path} is damaged or not a tokenizer: {error}") from error


def _of_two_files(tokenizers: Any, folder: Path) -> Any:
    vocab = _read(folder / "vocab.json", needed=True)
    if not all(type(i) is int and 0 <= i < 2**31 for i in vocab.values()):
        raise DataError(f"{folder / 'vocab.json'} expects a number >= 0 for each symbol")
    _expect_one_symbol_a_number(vocab, folder / "vocab.json")
    further = _further(folder, dict.fromkeys(NAMES[:3], END), vocab)
    for symbol, (i, _) in further.items():
        if i is not None:
            if vocab.get(symbol, i) != i:
                raise DataError(f"{folder} has two numbers for {symbol!r}: {vocab[symbol]}, {i}")
            vocab[symbol] = i  # so it keeps its number in the model
    _expect_one_symbol_a_number(vocab, folder)
    merges = tokenizers.models.BPE.read_file(
        str(folder / "vocab.json"), str(folder / "merges.txt")
    )[1]
    settings = _read(folder / "tokenizer_config.json")
    model = tokenizers.models.BPE(vocab, merges)
    tokenizer = byte_level(model, bool(settings.get("add_prefix_space", False)))
    _add(tokenizers, tokenizer, further, folder)
    first = _content(settings.get("bos_token", END))
    if settings.get("add_bos_token") and tokenizer.token_to_id(first) is not None:
        tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
            single=[first, "$A"], special_tokens=[(first, tokenizer.token_to_id(first))]
        )
    return tokenizer


Further = dict[str, tuple[int | None, dict[str, bool]]]


def _further(folder: Path, names: dict[str, Any], vocab: Any = ()) -> Further:
    """The symbols besides byte pairs, from the files; those of ``names`` if ``vocab`` has them."""
    settings = _read(folder / "tokenizer_config.json")
    numbered = [
        (int(i), symbol) for i, symbol in dict(settings.get("added_tokens_decoder") or {}).items()
    ]
    numbered += [(i, symbol) for symbol, i in _read(folder / "added_tokens.json").items()]
    found: Further = {}
    for i, symbol in sorted(numbered, key=lambda pair: pair[0]):
        content = _content(symbol)
        if content in found and found[content][0] != i:
            raise DataError(f"{folder} has two numbers for {content!r}: {found[content][0]}, {i}")
        found.setdefault(content, (i, _options(symbol)))
    special = {**settings, **_read(folder / "special_tokens_map.json")}
    default = {name: content for name, content in names.items() if content in vocab}
    named = [{**default, **special}.get(name) for name in NAMES]
    named += special.get("additional_special_tokens") or special.get("extra_special_tokens") or []
    for symbol in named:
        if symbol is not None:
            found.setdefault(_content(symbol), (None, _options(symbol)))
    return found


def _add(tokenizers: Any, tokenizer: Any, further: Further, folder: Path) -> None:
    """Add these symbols to the tokenizer, which then never splits them."""
    known = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    for content, (i, options) in further.items():
        if content not in known:
            tokenizer.add_special_tokens([tokenizers.AddedToken(content, special=True, **options)])
        if i is not None and tokenizer.token_to_id(content) != i:
            raise DataError(
                f"{folder}: {content!r} has the number {i} in one file and "
                f"{tokenizer.token_to_id(content)} in another"
            )


def _content(symbol: Any) -> str:
    return str(symbol["content"] if isinstance(symbol, dict) else symbol)


def _options(symbol: Any) -> dict[str, bool]:
    options = symbol if isinstance(symbol, dict) else {}
    return {"normalized": False} | {k: bool(options[k]) for k in OPTIONS if k in options}


def _read(path: Path, needed: bool = False) -> dict[str, Any]:
    """The object in a JSON file; {} if there is no such file, unless it is ``needed``."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise DataError(f"{path} defines the same symbol twice")
        return found

    if not needed and not path.exists():
        return {}
    found = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=unique)
    if not isinstance(found, dict):
        raise DataError(f"{path} expects an object, got {type(found).__name__}")
    return found


def _expect_one_symbol_a_number(vocab: dict[str, int], path: Path) -> None:
    taken: dict[int, str] = {}
    for symbol, i in vocab.items():
        if taken.setdefault(i, symbol) != symbol:
            raise DataError(f"{path}: the number {i} means both {taken[i]!r} and {symbol!r}")
