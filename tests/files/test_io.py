"""Saved tensors come back as they were, and a damaged file is refused."""

import json
import tracemalloc

import numpy as np
import pytest

import tinyxp as tx
from tinyxp.errors import ArgumentError, DataError
from tinyxp.files import safetensors as files
from tinyxp.files.safetensors import read


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
    with pytest.raises(ArgumentError, match="cannot save a set at /x; expected dicts"):
        tx.save({"x": {1, 2}}, path)
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
    with pytest.raises(DataError, match="cannot save as safetensors: 'z' is complex128; cast it"):
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


# -- the format -----------------------------------------------------------------------------------


def test_the_library_reads_our_files_and_we_read_its(tmp_path, rng):
    theirs = pytest.importorskip("safetensors.numpy", reason="compares with safetensors")
    x = tx.asarray(rng.normal(size=(3, 4)))
    tensors = {
        "strided": x[:, ::2],
        "turned": x.T,
        "wide": tx.broadcast_to(x[:1], (5, 4)),
        "back": tx.flip(x, axis=0),
        "number": tx.asarray(7, dtype=tx.int8),
        "ä": tx.asarray([True, False]),
        "empty": tx.zeros((0, 3), dtype=tx.uint16),
    }
    tx.save(tensors, tmp_path / "ours.safetensors", {"made": 'ü \\" today'})
    found = theirs.load_file(tmp_path / "ours.safetensors")
    assert found.keys() == tensors.keys()
    for name, value in tensors.items():
        assert found[name].dtype == value.numpy().dtype
        np.testing.assert_array_equal(found[name], value.numpy())
    plain = {name: np.ascontiguousarray(value) for name, value in found.items()}
    theirs.save_file(plain, tmp_path / "theirs.safetensors", {"made": "ü"})
    again, words = read(tmp_path / "theirs.safetensors")
    assert words == {"made": "ü"}
    for name, value in tensors.items():
        assert again[name].dtype is value.dtype
        np.testing.assert_array_equal(again[name].numpy().reshape(value.shape), value.numpy())


def written(path, header, data=b"12345678"):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def entry(first, last, shape=(4,), dtype="U8", **more):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [first, last], **more}


LIES = {
    "overlap": {"a": entry(0, 4), "b": entry(2, 8, (6,))},
    "a gap": {"a": entry(0, 2, (2,)), "b": entry(4, 8)},
    "not from the start": {"a": entry(4, 8)},
    "too short": {"a": entry(0, 4)},
    "too long": {"a": entry(0, 12, (12,))},
    "backwards": {"a": entry(8, 0, (8,))},
    "another shape": {"a": entry(0, 8, (2, 3))},
    "overflow": {"a": entry(0, 8, (2**32, 2**32))},
    "huge offsets": {"a": entry(0, 2**70, (2**70,))},
    "negative": {"a": entry(0, 8, (-2, -4))},
    "truth as length": {"a": entry(0, 8, (True, 8))},
    "a fraction": {"a": entry(0, 8, (8.0,))},
    "no dtype": {"a": {"shape": [8], "data_offsets": [0, 8]}},
    "more words": {"a": entry(0, 8, (8,), strides=[1])},
    "dtype of another kind": {"a": entry(0, 8, (8,), dtype=["U8"])},
    "three offsets": {"a": {"dtype": "U8", "shape": [8], "data_offsets": [0, 4, 8]}},
    "a list": [1, 2],
    "a word": "U8",
    "metadata of numbers": {"__metadata__": {"a": 1}, "a": entry(0, 8, (8,))},
    "metadata in a list": {"__metadata__": ["a"], "a": entry(0, 8, (8,))},
    "65 axes": {"a": entry(0, 8, (1,) * 65 + (8,))},
    "nothing of much": {"a": entry(0, 0, (0, 2**62, 2**62)), "b": entry(0, 8, (8,))},
    "nothing": b"",
    "half": b'{"a":',
    "not UTF-8": b"\xff\xfe{}",
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("name", LIES)
def test_a_header_that_lies_is_refused(name, tmp_path):
    path = tmp_path / "lie.safetensors"
    written(path, LIES[name])
    with pytest.raises(DataError, match="lie.safetensors is damaged or no safetensors file: ."):
        tx.load(path)


def test_what_a_header_may_say(tmp_path):
    path = tmp_path / "a.safetensors"
    header = {"b": entry(4, 8, (1,), "F32"), "__metadata__": None, "a": entry(0, 4, (4, 1))}
    header["none"] = entry(4, 4, (0, 7))
    written(path, header, b"\1\2\3\4" + np.float32(2.5).tobytes())
    found = tx.load(path)
    assert list(found) == ["a", "b", "none"]
    assert found["a"].tolist() == [[1], [2], [3], [4]] and found["b"].tolist() == [2.5]
    written(path, {"a": entry(0, 2, (2,), "BOOL"), "h": entry(2, 4, (1,), "F16")}, b"\0\2\0\x3c")
    assert tx.load(path)["a"].tolist() == [False, True]
    assert tx.load(path)["h"].tolist() == [1.0]
    written(path, {"a": entry(0, 2, (1,), "BF16")}, b"\xc0\x3f")
    assert tx.load(path)["a"].tolist() == [1.5]


def test_no_memory_is_taken_for_what_is_not_there(tmp_path):
    path = tmp_path / "a.safetensors"
    written(path, {"a": entry(0, 4 << 30, (4 << 30,))})
    tracemalloc.start()
    with pytest.raises(DataError, match="its tensors need 4294967296 bytes, 8 are there"):
        tx.load(path)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


def test_the_same_tensors_are_the_same_bytes(tmp_path):
    x = {"b": tx.ones(3), "a": tx.zeros((2, 2), dtype=tx.int8)}
    tx.save(x, tmp_path / "1.safetensors", {"k": "v", "j": "w"})
    tx.save(dict(reversed(x.items())), tmp_path / "2.safetensors", {"j": "w", "k": "v"})
    first, second = ((tmp_path / f"{i}.safetensors").read_bytes() for i in (1, 2))
    assert first == second
    tensors, words = read(tmp_path / "1.safetensors")
    tx.save(tensors, tmp_path / "3.safetensors", words)  # with the old sum among its metadata
    assert (tmp_path / "3.safetensors").read_bytes() == first


@pytest.mark.parametrize(
    ("tensors", "metadata", "message"),
    [
        ([tx.ones(1), {3}], None, "cannot save a set at /1"),
        ({0.5: tx.ones(1)}, None, "keys are strings or integers, got 0.5 at /"),
        ([1], ["a"], "metadata maps strings to strings, got \\['a'\\]"),
        ([1], {"a": 1}, "metadata maps strings to strings, got 'a': 1"),
        ({"\ud800": tx.ones(1)}, None, "must be Unicode text"),
        ({}, {"a": "\ud800"}, "must be Unicode text"),
        ({}, {"a": 1}, "metadata maps strings to strings, got 'a': 1"),
        ({}, ["a"], "metadata maps strings to strings, got \\['a'\\]"),
    ],
)
def test_what_cannot_be_written_is_named(tensors, metadata, message, tmp_path):
    with pytest.raises(ArgumentError, match=message):
        tx.save(tensors, tmp_path / "a.safetensors", metadata)
    assert list(tmp_path.iterdir()) == []


def test_paths_that_are_none(tmp_path):
    for act in (tx.load, lambda path: tx.save({}, path)):
        with pytest.raises(ArgumentError, match="expected the path of a file, got 3"):
            act(3)
        with pytest.raises(DataError, match="null byte"):
            act("a\0b")
    with pytest.raises(DataError, match="names and metadata have 1.*,.* bytes; at most 16,777,216"):
        tx.save({}, tmp_path / "a.safetensors", {"a": "x" * (1 << 24)})


@pytest.mark.parametrize("call", ["open", "fsync", "replace"])
def test_a_disk_that_fails_at_any_call_leaves_the_old_file(call, tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    tx.save({"x": tx.ones(3)}, path)
    before = path.read_bytes()

    def fail(*_, **__):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(
        *((files, call) if call == "open" else (files.os, call)), fail, raising=False
    )
    with pytest.raises(DataError, match="cannot write .*: Input/output error"):
        tx.save({"x": tx.zeros(3)}, path)
    monkeypatch.undo()
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
