"""Datasets, splits and the DataLoader: what comes in which order, and what is refused."""

from collections import OrderedDict, defaultdict
from typing import NamedTuple

import numpy as np
import pytest

import tinyxp as tx
from tinyxp import random
from tinyxp.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    Dataset,
    RandomSampler,
    RandomWindows,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    all_windows,
    collate,
    random_split,
    windows,
)
from tinyxp.errors import (
    ArgumentError,
    DataError,
    DTypeError,
    IndexingError,
    ShapeError,
    TinyError,
)
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


def test_collate_keeps_the_kind_of_a_mapping():
    for sample in (OrderedDict(a=1), defaultdict(list, a=1)):
        batch = collate([sample, sample])
        assert type(batch) is type(sample)
        assert batch["a"].tolist() == [1, 1]
        assert sample["a"] == 1
    assert collate([np.str_("a"), np.str_("b")]) == ["a", "b"]
    assert collate([[], []]) == []


def test_collate_of_another_librarys_arrays():
    torch = pytest.importorskip("torch")
    batch = collate([(torch.tensor([1.0]), 1), (torch.tensor([2.0]), 2)])
    assert batch[0].tolist() == [[1.0], [2.0]]


def test_samples_alone():
    """Without batches arrays become tensors, and all else stays what it is."""
    samples = [{"x": np.ones(2), "y": [1, "a"], "z": np.float64(3)}, "text", None]
    first, *others = DataLoader(samples, batch_size=None)
    assert isinstance(first["x"], tx.Tensor)
    assert first["y"] == [1, "a"]
    assert first["z"].dtype is tx.float64
    assert others == ["text", None]
    assert list(DataLoader([1, 2], None, collate_fn=str)) == ["1", "2"]


class Augmented(TensorDataset):
    """A subclass that changes samples must not be read past its __getitem__."""

    def __getitem__(self, index):
        (x,) = super().__getitem__(index)
        return (x + 100,)


class Several(Dataset):
    """What fetches several samples at once, as Hugging Face's datasets do."""

    def __len__(self):
        return 4

    def __getitems__(self, indices):
        return [i * 10 for i in indices]


def test_which_way_a_batch_is_made():
    assert seen(DataLoader(Augmented(np.arange(3)), 3)) == [[100, 101, 102]]
    assert seen(DataLoader(Subset(Augmented(np.arange(3)), [2, 0]), 3)) == [[102, 100]]
    assert [batch.tolist() for batch in DataLoader(Several(), 2)] == [[0, 10], [20, 30]]
    assert [batch.tolist() for batch in DataLoader(Subset(Several(), [3]), 2)] == [[30]]
    by_name = DataLoader({"a": 1, "b": 2}, sampler=["b", "a"])
    assert [batch.tolist() for batch in by_name] == [[2], [1]]
    data = TensorDataset(np.arange(3))
    assert seen(DataLoader(data, batch_sampler=[[-1, 0]])) == [[2, 0]]
    with pytest.raises(IndexingError, match="3 samples has no sample"):
        list(DataLoader(data, batch_sampler=[[3]]))


def test_datasets_in_a_row():
    both = Squares(2) + Squares(3)
    assert isinstance(both, ConcatDataset)
    assert [both[i][0] for i in range(-5, 5)] == [0, 1, 0, 1, 2] * 2
    assert seen(DataLoader(both, 5)) == [[0, 1, 0, 1, 2]]
    for index in (5, -6):
        with pytest.raises(IndexingError, match="out of range for 5 samples"):
            both[index]
    with pytest.raises(ArgumentError, match="at least one dataset"):
        ConcatDataset([])


def test_samplers():
    g = Generator
    assert list(SequentialSampler("abc")) == [0, 1, 2]
    assert list(RandomSampler(range(20), generator=g(0))) == g(0).permutation(20).tolist()
    longer = list(RandomSampler(range(3), num_samples=7, generator=g(0)))
    assert sorted(longer[:3]) == sorted(longer[3:6]) == [0, 1, 2]
    assert len(longer) == len(RandomSampler(range(3), num_samples=7)) == 7
    drawn = list(RandomSampler(range(3), True, 3000, g(0)))
    assert (abs(np.bincount(drawn) - 1000) < 5 * np.sqrt(3000 * 2 / 9)).all()
    assert sorted(SubsetRandomSampler([7, 5], g(0))) == [5, 7]
    assert list(BatchSampler([3, 1, 2], 2, True)) == [[3, 1]]
    assert list(RandomSampler([])) == list(RandomSampler([], True)) == []
    sampler = RandomSampler(range(9))
    orders = [[b.item() for b in DataLoader(range(9), sampler=sampler, generator=g(1))]] * 2
    assert orders[0] == orders[1] == g(1).permutation(9).tolist()  # a loader's generator is its


def test_weighted_samples():
    """Five standard deviations; without replacement, the chances of pairs are exact."""
    w = np.asarray([0.0, 1.0, 2.0, 5.0, 0.0])
    drawn = np.bincount(list(WeightedRandomSampler(w, 4000, generator=Generator(0))), minlength=5)
    p = w / w.sum()
    assert (abs(drawn - 4000 * p) <= 5 * np.sqrt(4000 * p * (1 - p))).all()
    g, n = Generator(1), 800
    pairs = [tuple(WeightedRandomSampler(w, 2, False, g)) for _ in range(n)]
    for i, j in ((3, 2), (2, 1), (1, 3)):
        q = p[i] * p[j] / (1 - p[i])
        assert abs(pairs.count((i, j)) - n * q) <= 5 * np.sqrt(n * q * (1 - q))
    tiny = WeightedRandomSampler([1e-320, 0.0, 1e300], 2, False, Generator(0))
    assert list(tiny) == [2, 0]
    assert len(tiny) == 2


@pytest.mark.parametrize(
    "make",
    [
        lambda: WeightedRandomSampler([1.0, float("nan")], 1),
        lambda: WeightedRandomSampler([1.0, float("inf")], 1),
        lambda: WeightedRandomSampler([1.0, -1.0], 1),
        lambda: WeightedRandomSampler([0.0, 0.0], 1),
        lambda: WeightedRandomSampler([], 1),
        lambda: WeightedRandomSampler([[1.0]], 1),
        lambda: WeightedRandomSampler([1.0, 0.0], 2, False),
        lambda: WeightedRandomSampler([1.0], 0),
        lambda: WeightedRandomSampler([1.0], 1.5),
        lambda: WeightedRandomSampler(["a"], 1),
        lambda: WeightedRandomSampler([1.0], 1, 2),
        lambda: RandomSampler([1], num_samples=0),
        lambda: RandomSampler([1], num_samples=True),
        lambda: RandomSampler([1], replacement=1),
        lambda: list(RandomSampler([], num_samples=2)),
        lambda: BatchSampler([1], 0, False),
        lambda: BatchSampler([1], 2.0, False),
        lambda: BatchSampler([1], 2, None),
        lambda: Subset([1, 2], [0.5]),
        lambda: Subset([1, 2], [True, False]),
        lambda: len(Dataset()),
    ],
)
def test_what_samplers_refuse(make):
    with pytest.raises(TinyError):
        make()


def test_windows_lie_within():
    ids = np.arange(9)
    for starts in ([-1], [6], [0, 100]):
        with pytest.raises(IndexingError, match="begin at 0 to 5 of 9"):
            windows(ids, starts, 3)
    assert windows(ids, [5], 3)[1].tolist() == [[6, 7, 8]]
    assert next(RandomWindows(ids, 8, 1, Generator(0)))[0].tolist() == [[*range(8)]]
    for make in (
        lambda n, b: RandomWindows(ids, n, b, Generator(0)),
        lambda n, b: all_windows(ids, n, b),
    ):
        with pytest.raises(DataError, match="need 10 of them, got 9"):
            make(9, 1)
        for wrong in ((0, 1), (3, 0), (2.5, 1)):
            with pytest.raises(ArgumentError, match="expects an integer from 1 up"):
                make(*wrong)


def test_random_split():
    whole = [len(part) for part in random_split(Squares(1), [1, 0])]
    assert whole == [1, 0]
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
    with pytest.raises(ShapeError, match=r"the same number of parts, got \[1, 2\]"):
        collate([(1,), (1, 2)])
    with pytest.raises(ShapeError, match="the keys"):
        collate([{"a": 1}, {"b": 1}])
    with pytest.raises(DTypeError, match="samples of type object into a batch"):
        collate([object()])
