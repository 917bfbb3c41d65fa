"""Trees of values as files: dicts, lists and numbers as JSON, their tensors as safetensors."""

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from tinyxp.core.tensor import Tensor
from tinyxp.errors import ArgumentError, DataError
from tinyxp.files import safetensors as files
from tinyxp.files.safetensors import DIGEST, METADATA, read
from tinyxp.ops.creation import asarray

KEY = "tinyxp.state"  # in the metadata


def save(obj: Any, path: str | os.PathLike[str], metadata: Mapping[str, str] | None = None) -> None:
    """Save tensors by name, or a checkpoint: dicts, lists and tuples of tensors, strings, numbers,
    booleans and None, nested as one likes. ``tx.load`` gives back the same.

    It is a safetensors file with a SHA-256, which appears whole or not at all, and nothing in it
    can run. That of tensors by name, as of ``model.state_dict()``, is read by every library that
    knows safetensors; the rest of a checkpoint is JSON in its metadata. NumPy arrays come back as
    tensors. ``metadata`` map strings to strings. Raises ArgumentError for anything else, and for
    keys that are neither strings nor integers, DataError if the file cannot be written, or has no
    word for a dtype (complex128).

    >>> tx.save({"w": tx.asarray([1.0, 2.0])}, tmp / "w.safetensors")
    >>> tx.load(tmp / "w.safetensors")
    {'w': tensor([1., 2.])}
    >>> model = tx.nn.Linear(1, 1)
    >>> optimizer = tx.optim.AdamW(model.parameters())
    >>> checkpoint = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 1}
    >>> tx.save(checkpoint, tmp / "checkpoint.safetensors")
    >>> found = tx.load(tmp / "checkpoint.safetensors")
    >>> optimizer.load_state_dict(found["optimizer"])
    >>> found["epoch"]
    1
    """
    if isinstance(obj, Mapping) and all(_is_named_tensor(name, x) for name, x in obj.items()):
        files.save(obj, path, metadata)
    else:
        save_state(obj, path, metadata)


def _is_named_tensor(name: Any, x: Any) -> bool:
    return isinstance(name, str) and name != METADATA and isinstance(x, Tensor)


def load(path: str | os.PathLike[str]) -> Any:
    """What ``tx.save`` saved: the tensors of a safetensors file by name, or a checkpoint; on the
    backend in use.

    Where that has no float16 or bfloat16, they become float32, which holds them exactly. Raises
    DataError if there is no such file, it is damaged, or holds a dtype that tinyxp does not have.
    Nothing in a file is run, whoever made it.
    """
    tensors, metadata = read(path)
    return tensors if KEY not in metadata else _tree(path, tensors, metadata)


def save_state(
    tree: Any, path: str | os.PathLike[str], metadata: Mapping[str, str] | None = None
) -> None:
    """Save a tree of dicts (their keys strings or integers), lists, tuples, tensors, NumPy arrays,
    strings, numbers, booleans and None. The file appears whole or not at all.

    Raises ArgumentError for anything else, and for what is nested too deep, DataError if the file
    cannot be written.

    >>> save_state({"step": 3, "state": {0: (tx.asarray([1.0]), None)}}, tmp / "a.safetensors")
    >>> load_state(tmp / "a.safetensors")
    {'step': 3, 'state': {0: (tensor([1.]), None)}}
    """
    if not isinstance(metadata, Mapping | None):
        raise ArgumentError(f"metadata map strings to strings, got {metadata!r}")
    tensors: dict[str, Tensor] = {}
    try:
        words = json.dumps(_to_json(tree, "", tensors))
    except RecursionError as error:
        raise ArgumentError("cannot save what is nested so deep, or holds itself") from error
    except ValueError as error:  # an integer of more digits than Python writes
        raise ArgumentError(f"cannot save: {error}") from error
    files.save(tensors, path, {**(metadata or {}), KEY: words})


def load_state(path: str | os.PathLike[str]) -> Any:
    """The tree that :func:`save_state` wrote, its tensors on the backend in use.

    Raises DataError if the file is damaged in any bit, or was not written by it.
    """
    tensors, metadata = read(path)
    if KEY not in metadata or DIGEST not in metadata:
        raise DataError(f"{path} holds tensors, but no training state; tx.load reads it")
    return _tree(path, tensors, metadata)


def _tree(
    path: str | os.PathLike[str], tensors: dict[str, Tensor], metadata: Mapping[str, str]
) -> Any:
    try:
        if DIGEST not in metadata:
            raise ValueError("it has no SHA-256")
        return _from_json(json.loads(metadata[KEY]), tensors)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{path} is damaged: {type(error).__name__}: {error}") from error


def _to_json(x: Any, place: str, tensors: dict[str, Tensor]) -> Any:
    """x as JSON has it; what JSON lacks is a dict with one key, its kind."""
    if isinstance(x, np.generic):
        x = x.item()
    if x is None or isinstance(x, (bool, int, float, str)):
        return x
    if isinstance(x, (Tensor, np.ndarray)):
        name, n = place, 1
        while name in tensors:  # of {"a/b": x, "a": {"b": y}}
            name, n = f"{place} {n}", n + 1
        tensors[name] = asarray(x)
        return {"tensor": name}
    if isinstance(x, (list, tuple)):
        parts = [_to_json(part, f"{place}/{i}", tensors) for i, part in enumerate(x)]
        return parts if isinstance(x, list) else {"tuple": parts}
    if isinstance(x, Mapping):
        if wrong := [key for key in x if type(key) not in (str, int)]:
            raise ArgumentError(f"keys are strings or integers, got {wrong[0]!r} at {place or '/'}")
        return {"dict": [[k, _to_json(v, f"{place}/{k}", tensors)] for k, v in x.items()]}
    has_state = callable(getattr(x, "state_dict", None))
    raise ArgumentError(
        f"cannot save a {type(x).__name__} at {place or '/'}; expected dicts, lists, tuples, "
        f"tensors, strings and numbers{', such as its state_dict()' if has_state else ''}"
    )


def _from_json(x: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(x, list):
        return [_from_json(part, tensors) for part in x]
    if not isinstance(x, dict):
        return x
    ((kind, content),) = x.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "tuple":
        return tuple([_from_json(part, tensors) for part in content])
    if kind == "dict":
        return {key: _from_json(value, tensors) for key, value in content}
    raise ValueError(f"unknown kind {kind!r}")
