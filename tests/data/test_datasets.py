"""Digits, IDX files and points: what is in them, and what broken ones say."""

import gzip
import hashlib
import struct
import threading
import tracemalloc
from contextlib import suppress
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinyxp as tx
from tinyxp.data import idx
from tinyxp.errors import ArgumentError, DataError
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
    "a web page": (b"<!DOCTYPE html><html>", "is no IDX file: .* b'<!DO',.* looks like a web page"),
    "40 axes": (b"\0\0\x08\x28" + bytes(160), "is no IDX file"),
    "another type": (b"\0\0\x07\1\0\0\0\0", "is no IDX file"),
    "no lengths": (GOOD[:9], "cut short: it ends among the lengths of its 3 axes"),
    "cut": (GOOD[:-1], r"should hold 24 bytes for the shape \(2, 3, 4\), but 23 are there"),
    "more": (GOOD + b"x", "should hold 24 bytes .* but more follow"),
    "huge": (b"\0\0\x0e\2" + b"\xff" * 8, "bytes are too many"),
    "huge, but of nothing": (b"\0\0\x08\3" + bytes(4) + b"\xff" * 8, "bytes are too many"),
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


def test_a_header_that_lies_takes_no_memory(tmp_path):
    lie = b"\0\0\x08\1" + struct.pack(">I", 2_000_000_000) + bytes(100)
    (tmp_path / "plain").write_bytes(lie)
    (tmp_path / "zipped").write_bytes(gzip.compress(lie))
    for name in ("plain", "zipped"):
        tracemalloc.start()
        with pytest.raises(
            DataError, match=r"should hold 2,000,000,000 bytes .* but 100 are there"
        ):
            tx.data.read_idx(tmp_path / name)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
        tracemalloc.stop()


def test_no_file_and_a_folder(tmp_path):
    for path in (tmp_path / "none", tmp_path, "no\0name"):
        with pytest.raises(DataError, match="cannot read the IDX file"):
            tx.data.read_idx(path)


@given(st.sampled_from(sorted(ARRAYS)), st.lists(st.integers(0, 4), max_size=5), st.booleans())
def test_what_is_written_is_read(tmp_path_factory, code, shape, zipped):
    numbers = np.random.default_rng(len(shape)).integers(0, 100, shape)
    data = packed(np.asarray(numbers), code)
    path = tmp_path_factory.mktemp("fuzz") / "x"
    path.write_bytes(gzip.compress(data) if zipped else data)
    np.testing.assert_array_equal(tx.data.read_idx(path), numbers)


@given(st.data())
def test_mutated_bytes_give_an_array_or_our_error(tmp_path_factory, data):
    zipped = data.draw(st.booleans())
    raw = bytearray(gzip.compress(GOOD, mtime=0) if zipped else GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("fuzz") / "x"
    path.write_bytes(bytes(raw[: data.draw(st.integers(0, len(raw)))]))
    with suppress(DataError):
        array = tx.data.read_idx(path)
        assert array.nbytes <= len(GOOD)
        if zipped:  # its checksum lets nothing else pass
            np.testing.assert_array_equal(array, ARRAYS[0x08])


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
    for part, data in four.items():
        (tmp_path / f"{part}-ubyte").write_bytes(data)
    labels = tmp_path / "t10k-labels-idx1-ubyte"
    labels.write_bytes(packed(np.zeros(4), 0x08))
    with pytest.raises(
        DataError, match=r"mnist, test: expected images \(N, H, W\) and labels \(N,\)"
    ):
        tx.data.load_mnist(folder=tmp_path)
    labels.write_bytes(packed(np.asarray([3, 10, 0]), 0x08))
    with pytest.raises(
        DataError, match="labels from 0 to 9, got uint8 and uint8, the labels up to 10"
    ):
        tx.data.load_mnist(folder=tmp_path)
    labels.write_bytes(packed(np.asarray([3.0, np.nan, 0]), 0x0D))
    with pytest.raises(DataError, match="of uint8, .* got uint8 and float32"):
        tx.data.load_mnist(folder=tmp_path)
    labels.unlink()
    with pytest.raises(
        DataError, match=r"has no t10k-labels-idx1-ubyte.gz, nor t10k-labels-idx1-u"
    ):
        tx.data.load_mnist(folder=tmp_path)
    with pytest.raises(ArgumentError, match="unknown data set 'mist'; choose one of mnist, fash"):
        tx.data.load_mnist("mist")


CLOSED = "http://127.0.0.1:9/"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TINY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    return tmp_path / "cache"


@pytest.fixture
def server(tmp_path, four, monkeypatch):
    """A server on this machine that has MNIST, and the list of what it was asked for."""
    (tmp_path / "www").mkdir()
    facts, asked = [], []
    for part, data in four.items():
        zipped = gzip.compress(data)
        (tmp_path / "www" / f"{part}-ubyte.gz").write_bytes(zipped)
        facts.append((len(zipped), hashlib.sha256(zipped).hexdigest()))

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            asked.append(self.path)

    with HTTPServer(("127.0.0.1", 0), partial(Handler, directory=tmp_path / "www")) as served:
        threading.Thread(target=served.serve_forever, args=(0.01,), daemon=True).start()
        urls = (CLOSED, f"http://127.0.0.1:{served.server_port}/")
        monkeypatch.setitem(idx.SOURCES, "mnist", (urls, tuple(facts)))
        yield asked
        served.shutdown()


def test_mnist_is_downloaded_once_and_kept(server, cache, four):
    first = tx.data.load_mnist()[0].tensors[1].tolist()
    assert first == list(four["train-labels-idx1"][8:])
    assert server == [f"/{part}-ubyte.gz" for part in four]
    assert tx.data.load_mnist()[0].tensors[1].tolist() == first
    assert len(server) == 4
    assert sorted(path.name for path in (cache / "mnist").iterdir()) == sorted(
        f"{part}-ubyte.gz" for part in four
    )
    (cache / "mnist" / "t10k-labels-idx1-ubyte.gz").write_bytes(b"damaged")
    tx.data.load_mnist()
    assert server[4:] == ["/t10k-labels-idx1-ubyte.gz"]


def test_a_download_with_another_hash_is_refused(server, cache, tmp_path):
    images = tmp_path / "www" / "train-images-idx3-ubyte.gz"
    images.write_bytes(images.read_bytes()[::-1])
    with pytest.raises(DataError, match="expected sha256 .*, got"):
        tx.data.load_mnist()
    assert not cache.exists()


def test_offline_says_where_to_put_mnist_and_takes_it_there(cache, four, monkeypatch):
    monkeypatch.setitem(idx.SOURCES, "mnist", ((CLOSED,), idx.SOURCES["mnist"][1]))
    with pytest.raises(DataError) as caught:
        tx.data.load_mnist()
    assert f"train-images-idx3-ubyte.gz of mnist not downloaded ({CLOSED}: " in str(caught.value)
    assert f"t10k-labels-idx1-ubyte.gz into {cache / 'mnist'}, or name" in str(caught.value)
    (cache / "mnist").mkdir(parents=True)
    for part, data in four.items():
        (cache / "mnist" / f"{part}-ubyte").write_bytes(data)
    assert len(tx.data.load_mnist()[1]) == 3
    (cache / "mnist" / "train-images-idx3-ubyte").write_bytes(b"<html>")
    with pytest.raises(DataError, match="looks like a web page; train-images.* not downloaded"):
        tx.data.load_mnist()


# -- points -------------------------------------------------------------------------------------


@pytest.mark.parametrize("gap", [0.0, 0.5, 2.0])
def test_a_line_parts_the_clouds(gap):
    x, y = tx.data.two_clouds(500, Generator(3), gap)
    side = (x @ tx.asarray([0.6, 0.8]) - 1).numpy()
    labels = y.numpy()
    assert ((side > 0) == (labels == 1)).all()
    assert np.abs(side).min() >= gap / 2 - 1e-5
    assert np.abs(side).max() <= 2 + gap / 2 + 1e-5
    assert labels.sum() == 250
    few, classes = tx.data.two_clouds(5, Generator(3), gap)
    assert (few.shape, few.dtype, classes.dtype) == ((5, 2), tx.float32, tx.int64)
    assert sorted(classes.tolist()) == [0, 0, 0, 1, 1]


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


def test_four_points_are_the_truth_table(backend):
    x, y = tx.data.xor_points()
    assert x.tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert y.tolist() == [0, 1, 1, 0]
    assert (x.dtype, y.dtype) == (tx.float32, tx.int64)
    assert tx.data.xor_points(6)[1].tolist() == [0, 1, 1, 0, 0, 1]


@pytest.mark.parametrize("make", [tx.data.two_clouds, tx.data.xor_points])
def test_points_are_drawn_from_the_generator(backend, make):
    first, again, other = (make(50, Generator(seed))[0].numpy() for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_points_refuse_what_makes_none():
    with pytest.raises(ArgumentError, match="n >= 2 and gap >= 0, got n=1"):
        tx.data.two_clouds(1)
    with pytest.raises(ArgumentError, match="got n=9, gap=nan"):
        tx.data.two_clouds(9, gap=float("nan"))
    with pytest.raises(ArgumentError, match="at least the 4 corners, got n=3"):
        tx.data.xor_points(3)
    with pytest.raises(ArgumentError, match="0 <= noise < 0.5, .* got 0.5"):
        tx.data.xor_points(8, noise=0.5)
