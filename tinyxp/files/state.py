"""Nested values as files: tensors as safetensors, the rest as JSON in the metadata."""

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
    """Save tensors by name, or a checkpoint of nested dicts, lists and tuples of tensors, strings,
    numbers, booleans and None. ``tx.load`` returns the same.

    The file is a safetensors file with a SHA-256. It appears whole or not at all, and loading runs
    no code from it. Tensors by name, such as ``model.state_dict()``, can be read by every library
    that reads safetensors; the rest of a checkpoint is JSON in its metadata. NumPy arrays come back
    as tensors. ``metadata`` maps strings to strings. Raises ArgumentError for other values and for
    keys that are neither strings nor integers, DataError if the file cannot be written or a dtype
    is not part of the format (complex128).

    >>> tx.save({"w": tx.asarray([1.0, 2.0])}, tmp / "w.safetensors")
    >>> tx.load(tmp / "w.safetensors")
    {'w': tensor([1., 2.])}
    >>> model = tx.nn.Linear(1, 1)
    >>> optimizer = tx.optim.AdamW(model.parameters())
    >>> checkpoint = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 1}
    >>> tx.save(checkpoint, tmp / "checkpoint.safetensors")
    >>> checkpoint = tx.load(tmp / "checkpoint.safetensors")
    >>> optimizer.load_state_dict(checkpoint["optimizer"])
    >>> checkpoint["epoch"]
    1
    """
    named = isinstance(obj, Mapping) and all(
        isinstance(name, str) and name != METADATA and isinstance(x, Tensor)
        for name, x in obj.items()
    )
    (files.save if named else save_state)(obj, path, metadata)


def load(path: str | os.PathLike[str]) -> Any:
    """Load what ``tx.save`` saved: the tensors of a safetensors file by name, or a checkpoint, on
    the current backend.

    If the backend has no float16 or bfloat16, they become float32, which is exact. Raises DataError
    if there is no such file, it is damaged, or it holds a dtype that tinyxp does not have. No code
    from the file is run.
    """
    tensors, metadata = read(path)
    return tensors if KEY not in metadata else _tree(path, tensors, metadata)


def save_state(
    tree: Any, path: str | os.PathLike[str], metadata: Mapping[str, str] | None = None
) -> None:
    """``tx.save`` for a training state, which may also be nothing but tensors by name.

    >>> save_state({"step": 3, "state": {0: (tx.asarray([1.0]), None)}}, tmp / "a.safetensors")
    >>> load_state(tmp / "a.safetensors")
    {'step': 3, 'state': {0: (tensor([1.]), None)}}
    """
    if not isinstance(metadata, Mapping | None):
        raise ArgumentError(f"metadata maps strings to strings, got {metadata!r}")
    tensors: dict[str, Tensor] = {}
    try:
        words = json.dumps(_to_json(tree, "", tensors))
    except RecursionError as error:
        raise ArgumentError(
            "cannot save a value that is nested too deep, or contains itself"
        ) from error
    except ValueError as error:  # an integer with more digits than Python prints
        raise ArgumentError(f"cannot save: {error}") from error
    files.save(tensors, path, {**(metadata or {}), KEY: words})


def load_state(path: str | os.PathLike[str]) -> Any:
    """Load what :func:`save_state` saved, with tensors on the current backend.

    Raises DataError if any bit of the file is damaged, or :func:`save_state` did not write it.
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
    """x for JSON; a type that JSON lacks becomes a dict with its kind as the only key."""
    if isinstance(x, np.generic):
        x = x.item()
    if x is None or isinstance(x, (bool, int, float, str)):
        return x
    if isinstance(x, (Tensor, np.ndarray)):
        name, n = place, 1
        while name in tensors:  # as in {"a/b": x, "a": {"b": y}}
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
