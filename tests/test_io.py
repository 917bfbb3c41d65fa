"""Saved tensors come back as they were, and a damaged file is refused."""

import numpy as np
import pytest

import tinyxp as tx
from tinyxp.backends.errors import ArgumentError, DataError

pytest.importorskip("safetensors", reason="saving needs safetensors")


def test_what_is_saved_comes_back(backend, tmp_path, rng):
    x = tx.asarray(rng.normal(size=(3, 4)))
    tensors = {
        "plain": x,
        "transposed": x.T,
        "strided": x[:, ::2],
        "broadcast": tx.broadcast_to(x[0], (5, 4)),
        "number": tx.asarray(2.5),
        "empty": tx.zeros((0, 3)),
        "ints": tx.arange(4),
        "mask": x > 0,
    }
    expected = {name: value.numpy() for name, value in tensors.items()}
    tx.save(tensors, tmp_path / "a.safetensors")
    loaded = tx.load(tmp_path / "a.safetensors")
    assert loaded.keys() == tensors.keys()
    for name, value in loaded.items():
        assert value.dtype is tensors[name].dtype
        assert value.backend.name == backend
        np.testing.assert_array_equal(value.numpy(), expected[name])
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_a_failed_save_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.safetensors"
    tx.save({"x": tx.ones(3)}, path)
    before = path.read_bytes()
    with pytest.raises(ArgumentError, match="save expects Tensors, got list for 'x'"):
        tx.save({"x": [1, 2]}, path)
    assert path.read_bytes() == before
    with pytest.raises(DataError, match="cannot write .*absent"):
        tx.save({"x": tx.ones(3)}, tmp_path / "absent" / "a.safetensors")


def test_a_damaged_file_is_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    tx.save({"x": tx.ones(3)}, path)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(DataError, match="is damaged or no safetensors file"):
        tx.load(path)
    with pytest.raises(DataError, match="cannot read .*absent"):
        tx.load(tmp_path / "absent")
