"""Digits, IDX files and points: what is in them, and what broken ones say."""

import gzip
import hashlib
import struct
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinyxp as tx
from tinyxp.backends.errors import ArgumentError, DataError
from tinyxp.data import idx
from tinyxp.random import Generator


def packed(array, code):
    """The bytes of an IDX file."""
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    return head + array.astype(idx.TYPES[code]).tobytes()


# -- digits -------------------------------------------------------------------------------------


def test_the_digits_look_like_digits():
    train, test = tx.data.load_digits()
    (x, y), (u, v) = train.tensors, test.tensors
    assert (x.shape, u.shape) == ((1437, 1, 8, 8), (360, 1, 8, 8))
    assert (x.dtype, y.dtype, float(x.min()), float(x.max())) == (tx.float32, tx.int64, 0, 1)
    assert sorted(np.bincount([*y.tolist(), *v.tolist()]).tolist()) == [
        174, 177, 178, 179, 180, 181, 181, 182, 182, 183
    ]  # fmt: skip
    assert min(np.bincount(v.tolist())) >= 25
    # the mean of each class, as a classifier: it would fail on labels of other images
    means = np.stack([x.numpy()[y.numpy() == c].mean(axis=0) for c in range(10)])
    nearest = ((u.numpy()[:, None] - means) ** 2).sum(axis=(2, 3, 4)).argmin(axis=1)
    assert (nearest == v.numpy()).mean() > 0.85
    # no image is in both parts
    assert not {row.tobytes() for row in x.numpy()} & {row.tobytes() for row in u.numpy()}


def test_the_split_heeds_no_seed():
    tx.manual_seed(1)
    first = tx.data.load_digits()[1].tensors[1].tolist()
    tx.manual_seed(2)
    assert tx.data.load_digits()[1].tensors[1].tolist() == first


# -- IDX ----------------------------------------------------------------------------------------

ARRAYS = {
    0x08: np.arange(24).reshape(2, 3, 4),
    0x09: np.asarray([-128, 127]),
    0x0B: np.asarray([[-300, 300]]),
    0x0C: np.asarray([[-70000], [70000]]),
    0x0D: np.asarray([0.5, -1e30]),
    0x0E: np.asarray([0.1, 1e300]),
}


@pytest.mark.parametrize("code", ARRAYS)
@pytest.mark.parametrize("zipped", [False, True])
def test_every_type_is_read(tmp_path, code, zipped):
    data = packed(ARRAYS[code], code)
    path = tmp_path / "array.idx"
    path.write_bytes(gzip.compress(data) if zipped else data)
    array = tx.data.read_idx(path)
    np.testing.assert_array_equal(array, ARRAYS[code].astype(idx.TYPES[code]))
    assert array.dtype.isnative and array.flags.writeable


GOOD = packed(ARRAYS[0x08], 0x08)
BROKEN = {
    "nothing": (b"", "is no IDX file"),
    "a web page": (b"<!DOCTYPE html><html>", "is no IDX file: it starts with b'<!DO'"),
    "another type": (b"\0\0\x07\1\0\0\0\0", "is no IDX file"),
    "no lengths": (GOOD[:9], "cut short: it ends among the lengths of its 3 axes"),
    "cut": (GOOD[:-1], r"should hold 24 bytes for the shape \(2, 3, 4\), but 23 are there"),
    "more": (GOOD + b"x", "should hold 24 bytes .* but more follow"),
    "huge": (b"\0\0\x0e\2" + b"\xff" * 8, "bytes are too many"),
    "cut zip": (gzip.compress(GOOD)[:-9], "ended before the end"),
    "wrong zip": (b"\x1f\x8bnothing", "ended before the end"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_named(tmp_path, name):
    data, message = BROKEN[name]
    path = tmp_path / "broken.idx"
    path.write_bytes(data)
    with pytest.raises(DataError, match=f"broken.idx.*{message}"):
        tx.data.read_idx(path)


def test_no_more_is_unzipped_than_the_header_says(tmp_path, monkeypatch):
    bomb = tmp_path / "bomb.gz"
    bomb.write_bytes(gzip.compress(GOOD + bytes(50_000_000)))
    read = []
    monkeypatch.setattr(
        gzip.GzipFile, "read", lambda self, n=-1, f=gzip.GzipFile.read: read.append(n) or f(self, n)
    )
    with pytest.raises(DataError, match="more follow"):
        tx.data.read_idx(bomb)
    assert read == [4, 12, 25]


def test_no_file_and_a_folder(tmp_path):
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(DataError, match="cannot read the IDX file"):
            tx.data.read_idx(path)


@given(st.data())
def test_mutated_bytes_give_an_array_or_our_error(tmp_path_factory, data):
    raw = bytearray(gzip.compress(GOOD) if data.draw(st.booleans()) else GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("fuzz") / "x"
    path.write_bytes(bytes(raw[: data.draw(st.integers(0, len(raw)))]))
    with suppress(DataError):
        assert tx.data.read_idx(path).nbytes <= len(GOOD)


# -- MNIST --------------------------------------------------------------------------------------


@pytest.fixture
def four():
    """Four small files, by name, in the form of MNIST."""
    rng = np.random.default_rng(0)
    sizes = {"train": 5, "t10k": 3}
    return {
        part: packed(
            rng.integers(0, 256, (sizes[part.split("-")[0]], 28, 28))
            if "images" in part
            else rng.integers(0, 10, sizes[part.split("-")[0]]),
            0x08,
        )
        for part in idx.PARTS
    }


@pytest.mark.parametrize("spelling", ["{}-ubyte", "{}-ubyte.gz", "dotted"])
def test_mnist_from_a_folder(tmp_path, four, spelling):
    for part, data in four.items():
        if spelling == "dotted":
            (tmp_path / f"{part}-ubyte".replace("-idx", ".idx")).write_bytes(data)
        else:
            zipped = gzip.compress(data) if spelling.endswith("gz") else data
            (tmp_path / spelling.format(part)).write_bytes(zipped)
    train, test = tx.data.load_mnist(folder=tmp_path)
    (x, y), (u, v) = train.tensors, test.tensors
    assert (x.shape, y.shape, u.shape) == ((5, 1, 28, 28), (5,), (3, 1, 28, 28))
    raw = np.frombuffer(four["train-images-idx3"][16:], np.uint8).reshape(5, 1, 28, 28)
    np.testing.assert_allclose(x.numpy(), raw / np.float32(255), rtol=1e-6)
    assert v.tolist() == list(four["t10k-labels-idx1"][8:])


def test_mnist_that_does_not_fit(tmp_path, four):
    four["train-labels-idx1"] = packed(np.zeros(4), 0x08)
    for part, data in four.items():
        (tmp_path / f"{part}-ubyte").write_bytes(data)
    with pytest.raises(DataError, match=r"images \(N, H, W\) and labels \(N,\), got shapes"):
        tx.data.load_mnist(folder=tmp_path)
    with pytest.raises(DataError, match=r"has no train-images-idx3-ubyte.gz, nor train-images"):
        tx.data.load_mnist(folder=tmp_path / "elsewhere")
    with pytest.raises(ArgumentError, match="unknown data set 'mist'; choose one of mnist, fash"):
        tx.data.load_mnist("mist")


def test_mnist_is_downloaded_once_and_kept(tmp_path, four, monkeypatch):
    monkeypatch.setenv("TINY_CACHE", str(tmp_path))
    files = {f"{part}-ubyte.gz": gzip.compress(data) for part, data in four.items()}
    facts = tuple((len(data), hashlib.sha256(data).hexdigest()) for data in files.values())
    monkeypatch.setitem(idx.SOURCES, "mnist", ("here/", facts))
    asked = []

    def download(url, size, sha256, **_):
        asked.append(url)
        data = files[url.removeprefix("here/")]
        assert (len(data), hashlib.sha256(data).hexdigest()) == (size, sha256)
        return data

    monkeypatch.setattr(idx, "download", download)
    first = tx.data.load_mnist()[0].tensors[1].tolist()
    assert asked == [f"here/{name}" for name in files]
    assert tx.data.load_mnist()[0].tensors[1].tolist() == first
    assert len(asked) == 4
    (tmp_path / "mnist" / "t10k-labels-idx1-ubyte.gz").write_bytes(b"damaged")
    tx.data.load_mnist()
    assert asked[4:] == ["here/t10k-labels-idx1-ubyte.gz"]


def test_offline_says_where_to_put_mnist(tmp_path, monkeypatch):
    monkeypatch.setenv("TINY_CACHE", str(tmp_path))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setitem(
        idx.SOURCES, "mnist", ("http://127.0.0.1:9/", idx.SOURCES["mnist"][1])
    )  # fmt: skip
    with pytest.raises(DataError, match="not downloaded: .*put the four files into"):
        tx.data.load_mnist()


# -- points -------------------------------------------------------------------------------------


@pytest.mark.parametrize("gap", [0.0, 0.5, 2.0])
def test_a_line_parts_the_clouds(gap):
    x, y = tx.data.two_clouds(500, Generator(3), gap)
    side = (x @ tx.asarray([0.6, 0.8])).numpy()
    labels = y.numpy()
    assert ((side > 0) == (labels == 1)).all()
    assert np.abs(side).min() >= gap / 2 - 1e-5
    assert np.abs(side).max() <= 2 + gap / 2 + 1e-5
    assert 200 < labels.sum() < 300
    assert tx.data.two_clouds(5, Generator(3), gap)[0].shape == (5, 2)


def test_xor_is_what_no_line_parts():
    x, y = tx.data.xor_points(200, Generator(0), noise=0.2)
    a = x.numpy()
    corner = a.round()
    np.testing.assert_array_equal(corner[:, 0] != corner[:, 1], y.numpy() == 1)
    assert 0.1 < np.abs(a - corner).max() <= 0.2 + 1e-6
    assert np.bincount(y.tolist()).tolist() == [100, 100]
    angles = np.linspace(0, 2 * np.pi, 90)
    best = max(
        ((a @ [np.cos(t), np.sin(t)] > b) == (y.numpy() == 1)).mean()
        for t in angles
        for b in np.linspace(-1.5, 1.5, 60)
    )
    assert best <= 0.75


def test_points_refuse_what_makes_none():
    with pytest.raises(ArgumentError, match="n >= 2 and gap >= 0, got n=1"):
        tx.data.two_clouds(1)
    with pytest.raises(ArgumentError, match="at least the 4 corners, got n=3"):
        tx.data.xor_points(3)
