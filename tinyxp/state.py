"""Trees of values as files: dicts, lists and numbers as JSON, their tensors as safetensors."""

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from tinyxp.backends.errors import ArgumentError, DataError
from tinyxp.core import Tensor
from tinyxp.io import DIGEST, read, save
from tinyxp.ops.creation import asarray

KEY = "tinyxp.state"  # in the metadata


def save_state(tree: Any, path: str | os.PathLike[str]) -> None:
    """Save a tree of dicts (their keys strings or integers), lists, tuples, tensors, NumPy arrays,
    strings, numbers, booleans and None. The file appears whole or not at all.

    Raises ArgumentError for anything else, and for what is nested too deep, DataError if the file
    cannot be written.

    >>> save_state({"step": 3, "state": {0: (tx.asarray([1.0]), None)}}, tmp / "a.safetensors")
    >>> load_state(tmp / "a.safetensors")
    {'step': 3, 'state': {0: (tensor([1.]), None)}}
    """
    tensors: dict[str, Tensor] = {}
    try:
        words = json.dumps(_written(tree, "", tensors))
    except RecursionError as error:
        raise ArgumentError("cannot save what is nested so deep, or holds itself") from error
    except ValueError as error:  # an integer of more digits than Python writes
        raise ArgumentError(f"cannot save: {error}") from error
    save(tensors, path, {KEY: words})


def load_state(path: str | os.PathLike[str]) -> Any:
    """The tree that :func:`save_state` wrote, its tensors on the backend in use.

    Raises DataError if the file is damaged in any bit, or was not written by it.
    """
    tensors, metadata = read(path)
    if KEY not in metadata or DIGEST not in metadata:
        raise DataError(f"{path} holds tensors, but no training state; tx.load reads it")
    try:
        return _read(json.loads(metadata[KEY]), tensors)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{path} is damaged: {type(error).__name__}: {error}") from error


def _written(x: Any, place: str, tensors: dict[str, Tensor]) -> Any:
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
        parts = [_written(part, f"{place}/{i}", tensors) for i, part in enumerate(x)]
        return parts if isinstance(x, list) else {"tuple": parts}
    if isinstance(x, Mapping):
        if wrong := [key for key in x if type(key) not in (str, int)]:
            raise ArgumentError(f"keys are strings or integers, got {wrong[0]!r} at {place or '/'}")
        return {"dict": [[k, _written(v, f"{place}/{k}", tensors)] for k, v in x.items()]}
    raise ArgumentError(
        f"cannot save a {type(x).__name__} at {place or '/'}; expected dicts, lists, tuples, "
        "tensors, strings and numbers"
    )


def _read(x: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(x, list):
        return [_read(part, tensors) for part in x]
    if not isinstance(x, dict):
        return x
    ((kind, content),) = x.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "tuple":
        return tuple([_read(part, tensors) for part in content])
    if kind == "dict":
        return {key: _read(value, tensors) for key, value in content}
    raise ValueError(f"unknown kind {kind!r}")
