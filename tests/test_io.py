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


def test_a_dtype_without_a_word_is_named(tmp_path):
    with pytest.raises(DataError, match="cannot save as safetensors.*complex128"):
        tx.save({"z": tx.asarray([1j], dtype=tx.complex128)}, tmp_path / "z.safetensors")
    header = b'{"w":{"dtype":"F8_E5M2","shape":[2],"data_offsets":[0,2]}}'
    numbers = len(header).to_bytes(8, "little") + header + b"12"
    (tmp_path / "w.safetensors").write_bytes(numbers)
    with pytest.raises(DataError, match="'w' has the dtype F8_E5M2, unknown to tinyxp"):
        tx.load(tmp_path / "w.safetensors")


@pytest.mark.parametrize(
    "dtype",
    [
        "bool",
        *(f"{k}int{n}" for k in ("", "u") for n in (8, 16, 32, 64)),
        "float32",
        "float64",
        "complex64",
    ],
)
@pytest.mark.parametrize("shape", [(), (0, 2), (2, 3)])
def test_every_dtype_comes_back(dtype, shape, tmp_path):
    x = tx.asarray(np.arange(6).reshape(2, 3)[: shape[0] if shape else 1], dtype=getattr(tx, dtype))
    x = tx.reshape(x[:1, 1], ()) if shape == () else x
    tx.save({"x": x}, tmp_path / "x.safetensors")
    y = tx.load(tmp_path / "x.safetensors")["x"]
    assert y.dtype is x.dtype
    np.testing.assert_array_equal(y.numpy(), x.numpy())
