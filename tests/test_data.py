"""Datasets, splits and the DataLoader: what comes in which order, and what is refused."""

from typing import NamedTuple

import numpy as np
import pytest

import tinyxp as tx
from tinyxp import random
from tinyxp.backends.errors import ArgumentError, DTypeError, IndexingError, ShapeError
from tinyxp.data import DataLoader, Dataset, Subset, TensorDataset, collate, random_split
from tinyxp.random import Generator


class Squares(Dataset):
    def __init__(self, n):
        self.n = n

    def __getitem__(self, index):
        return index, float(index**2)

    def __len__(self):
        return self.n


def seen(loader):
    return [batch.tolist() for batch, *_ in loader]


def test_in_order():
    loader = DataLoader(Squares(5), batch_size=2)
    assert len(loader) == 3
    batches = list(loader)
    assert [x.tolist() for x, _ in batches] == [[0, 1], [2, 3], [4]]
    assert batches[1][1].tolist() == [4.0, 9.0]
    assert (batches[0][0].dtype, batches[0][1].dtype) == (tx.int64, tx.float32)


def test_drop_last():
    loader = DataLoader(Squares(5), batch_size=2, drop_last=True)
    assert len(loader) == 2
    assert seen(loader) == [[0, 1], [2, 3]]
    assert len(DataLoader(Squares(4), batch_size=2)) == 2
    assert list(DataLoader(Squares(1), batch_size=2, drop_last=True)) == []


def test_epochs_differ_and_seeds_repeat():
    def epochs(seed):
        loader = DataLoader(Squares(20), batch_size=7, shuffle=True, generator=Generator(seed))
        return [[i for batch in seen(loader) for i in batch] for _ in range(3)]

    first = epochs(0)
    assert first == epochs(0)
    assert len({tuple(epoch) for epoch in first + epochs(1)}) == 6
    assert all(sorted(epoch) == list(range(20)) for epoch in first)


def test_order_is_drawn_when_an_epoch_starts():
    loader = DataLoader(Squares(20), shuffle=True, generator=(g := Generator(0)))
    iterator = iter(loader)
    assert g.counter > 0
    g.normal(3)
    expected = Generator(0).permutation(20)
    assert [x.item() for x, _ in iterator] == expected.tolist()


def test_default_generator():
    loader = DataLoader(Squares(20), batch_size=20, shuffle=True)
    random.manual_seed(3)
    first = seen(loader)
    random.manual_seed(3)
    assert seen(loader) == first
    assert seen(loader) != first


def test_tensor_dataset(backend):
    x = np.arange(24, dtype=np.float32).reshape(6, 2, 2)
    data = TensorDataset(tx.asarray(x), np.arange(6))
    assert len(data) == 6
    assert data[5][0].tolist() == x[5].tolist()
    assert data[-1][1].item() == 5
    loader = DataLoader(data, batch_size=4, shuffle=True, generator=Generator(1))
    for inputs, labels in loader:
        assert inputs.backend.name == labels.backend.name == backend
        assert inputs.shape == (len(labels), 2, 2)
        np.testing.assert_array_equal(inputs.numpy(), x[labels.numpy()])


def test_fast_batches_equal_samples(backend):
    data = TensorDataset(np.random.default_rng(0).normal(size=(9, 3)), np.arange(9))
    data = Subset(Subset(data, [8, 1, 1, 5, 0]), np.asarray([4, 1, -1]))
    fast = list(DataLoader(data, batch_size=2))
    slow = list(DataLoader(data, batch_size=2, collate_fn=collate))
    for a, b in zip(fast, slow, strict=True):
        for part, other in zip(a, b, strict=True):
            assert part.dtype is other.dtype
            assert part.tolist() == other.tolist()
    assert fast[0][1].tolist() == [0, 1]


def test_any_sequence_and_collate_fn():
    loader = DataLoader([3, 1, 2], batch_size=2, collate_fn=sorted)
    assert list(loader) == [[1, 3], [2]]
    assert [batch.tolist() for batch in DataLoader(np.arange(3.0), batch_size=2)] == [[0, 1], [2]]


def test_empty_dataset():
    for shuffle in (False, True):
        for data in (Squares(0), TensorDataset(np.zeros((0, 2)))):
            loader = DataLoader(data, batch_size=2, shuffle=shuffle, generator=Generator(0))
            assert (len(loader), list(loader)) == (0, [])
    assert len(Subset(Squares(0), [])) == 0


class Pair(NamedTuple):
    a: int
    b: float


def test_collate(backend):
    x = collate([tx.asarray([1.0, 2.0]), tx.asarray([3.0, 4.0])])
    assert (x.tolist(), x.backend.name) == ([[1.0, 2.0], [3.0, 4.0]], backend)
    assert collate([np.zeros((2, 3)), np.ones((2, 3))]).shape == (2, 2, 3)
    assert collate([np.float64(1), np.float64(2)]).dtype is tx.float64
    assert collate([True, False]).dtype is tx.bool
    batch = collate([{"ids": [1, 2], "name": "a"}, {"ids": [3, 4], "name": "b"}])
    assert [part.tolist() for part in batch["ids"]] == [[1, 3], [2, 4]]
    assert batch["name"] == ["a", "b"]
    pair = collate([Pair(1, 0.5), Pair(2, 1.5)])
    assert isinstance(pair, Pair)
    assert pair.b.tolist() == [0.5, 1.5]


def test_random_split():
    parts = random_split(Squares(10), [7, 3], Generator(0))
    assert [len(part) for part in parts] == [7, 3]
    assert sorted(i for part in parts for i, _ in (part[k] for k in range(len(part)))) == [
        *range(10)
    ]
    again = random_split(Squares(10), [7, 3], Generator(0))
    assert parts[0].indices.tolist() == again[0].indices.tolist()
    assert [len(part) for part in random_split(Squares(11), [0.5, 0.3, 0.2])] == [6, 3, 2]
    assert [len(part) for part in random_split(Squares(3), [0, 3])] == [0, 3]
    assert [len(part) for part in random_split(Squares(0), [0, 0])] == [0, 0]


def test_errors():
    with pytest.raises(ArgumentError, match="batch_size expects an integer from 1 up, got 0"):
        DataLoader(Squares(3), batch_size=0)
    with pytest.raises(ArgumentError, match=r"got 2\.0"):
        DataLoader(Squares(3), batch_size=2.0)
    with pytest.raises(ShapeError, match=r"tensors of one length, got shapes \[\(3,\), \(2,\)\]"):
        TensorDataset(tx.zeros(3), tx.zeros(2))
    with pytest.raises(ShapeError, match="one length"):
        TensorDataset(tx.asarray(1.0))
    with pytest.raises(ArgumentError, match="at least one tensor"):
        TensorDataset()
    with pytest.raises(IndexingError, match="indices of 3 samples"):
        Subset(Squares(3), [0, 3])
    for lengths in ([1, 1], [4], [-1, 4], [0.5, 0.4], [1.5, 1.5]):
        with pytest.raises(ArgumentError, match="whole numbers that sum to 3, or fractions"):
            random_split(Squares(3), lengths)
    with pytest.raises(ShapeError, match=r"one shape, got \[\(2,\), \(3,\)\]"):
        collate([np.zeros(3), np.zeros(2)])
    with pytest.raises(ShapeError, match="stack"):
        collate([tx.zeros(3), tx.zeros(2)])
    with pytest.raises(ShapeError, match=r"equally many parts, got \[1, 2\]"):
        collate([(1,), (1, 2)])
    with pytest.raises(ShapeError, match="the keys"):
        collate([{"a": 1}, {"b": 1}])
    with pytest.raises(DTypeError, match="samples of type object into a batch"):
        collate([object()])
