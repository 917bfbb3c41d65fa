"""Random numbers: published vectors, the same bits on every backend, statistics, and replay."""

import contextvars
import math

import numpy as np
import pytest

import tinyxp as tx
from tinyxp import backends, random
from tinyxp.backends.common.philox import random_bits
from tinyxp.errors import ArgumentError, DTypeError
from tinyxp.random import Generator

ONES = 2**128 - 1
NAN = float("nan")
# Random123 1.14, tests/kat_vectors: (key, counter, words), the words lowest first
VECTORS = [
    (0, 0, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    (2**64 - 1, ONES, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    (
        0x299F31D0_A4093822,
        0x03707344_13198A2E_85A308D3_243F6A88,
        "d16cfe09 94fdcceb 5001e420 24126ea1",
    ),
]


def bits(key, counter, n):
    b = backends.current()
    return b.to_numpy(random_bits(b.xp, key, counter, n))


@pytest.mark.parametrize(("key", "counter", "words"), VECTORS)
def test_published_vectors(key, counter, words, backend):
    found = bits(key, counter, 4)
    assert found.dtype == np.int64
    assert [f"{word:08x}" for word in found.tolist()] == words.split()


def test_block_i_uses_counter_plus_i(backend):
    start = 2**32 - 2  # so that a carry goes from the first word to the second
    whole = bits(7, start, 16)
    parts = [bits(7, start + i, 4) for i in range(4)]
    assert (whole == np.concatenate(parts)).all()
    assert (bits(7, start, 13) == whole[:13]).all()
    assert bits(7, start, 0).shape == (0,)
    assert (bits(7, ONES, 8)[4:] == bits(7, 0, 4)).all()


DRAWS = {
    "uniform": lambda g: g.uniform((3, 5)),
    "uniform64": lambda g: g.uniform((3, 5), -2.0, 3.0, dtype=tx.float64),
    "uniform between": lambda g: g.uniform((3, 5), -0.1, 0.3),
    "normal": lambda g: g.normal((3, 5), 1.0, 0.02),
    "normal64": lambda g: g.normal((3, 5), dtype=tx.float64),
    "integers": lambda g: g.integers(-3, 10**12, (3, 5)),
    "bernoulli": lambda g: g.bernoulli(tx.zeros((3, 5)), 0.3),
    "a single number": lambda g: g.uniform(()),
    "none": lambda g: g.normal((0, 3)),
}


@pytest.mark.parametrize("name", DRAWS)
def test_same_bits_on_every_backend(name, backend):
    with tx.backend("numpy"):
        expected = DRAWS[name](g := Generator(5))
    found = DRAWS[name](h := Generator(5))
    assert found.backend.name == backend
    assert found.dtype is expected.dtype
    assert found.shape == expected.shape
    assert found.numpy().tobytes() == expected.numpy().tobytes()
    assert g.state_dict() == h.state_dict()


def test_devices():
    pytest.importorskip("array_api_strict", reason="its device1 stands in for an accelerator")
    with tx.backend("strict"):
        g = Generator(0)
        for x in (g.uniform(2, device="device1"), g.normal(2, device="device1")):
            assert x.device == "device1"
            assert g.bernoulli(x, 0.5).device == "device1"
        assert g.integers(0, 2, 2, device="device1").device == "device1"


@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (1000.0, 1000.0005)])
def test_no_number_is_the_upper_bound(low, high, backend):
    x = Generator(0).uniform(20_000, low, high)
    assert low <= x.min().item() <= x.max().item() < high


def test_uniform_statistics():
    for dtype, unit in ((tx.float32, 2.0**-24), (tx.float64, 2.0**-53)):
        x = Generator(1).uniform(100_000, dtype=dtype).numpy()
        assert x.min() >= 0
        assert x.max() < 1
        assert (x / unit == np.round(x / unit)).all()
        assert abs(x.mean() - 0.5) < 0.005
        assert abs(x.var() - 1 / 12) < 0.001
        counts = np.histogram(x, 100, (0, 1))[0]
        assert ((counts - 1000.0) ** 2 / 1000).sum() < 150  # χ² of 99 degrees: 99.9% below 149
        assert abs(np.corrcoef(x[1:], x[:-1])[0, 1]) < 0.01


def test_normal_statistics():
    x = Generator(2).normal(100_001, 3.0, 2.0).numpy()
    assert x.dtype == np.float32
    z = (x.astype(np.float64) - 3) / 2
    for power, moment in ((1, 0), (2, 1), (3, 0), (4, 3)):
        assert abs((z**power).mean() - moment) < 0.07
    assert abs((np.abs(z) < 1).mean() - 0.6827) < 0.005
    assert np.isfinite(z).all()


def test_integers_and_bernoulli_statistics():
    counts = np.bincount(Generator(3).integers(0, 7, 70_000).numpy(), minlength=7)
    assert ((counts - 10_000.0) ** 2 / 10_000).sum() < 22.5  # χ² of 6 degrees: 99.9%
    wide = Generator(3).integers(-(2**62), 2**62 - 1, 1000).numpy()
    assert abs(wide.astype(np.float64).mean()) < 2**62 / 10
    x = tx.zeros(100_000)
    assert abs(Generator(4).bernoulli(x, 0.1).numpy().mean() - 0.1) < 0.004
    assert not Generator(4).bernoulli(x, 0).numpy().any()
    assert Generator(4).bernoulli(x, 1).numpy().all()


def test_permutation():
    g = Generator(5)
    first, second = g.permutation(1000), g.permutation(1000)
    assert first.dtype == np.int64
    assert sorted(first.tolist()) == list(range(1000))
    assert (first != second).any()
    assert (first == Generator(5).permutation(1000)).all()
    assert g.permutation(0).shape == (0,)
    firsts = np.bincount([g.permutation(3)[0] for _ in range(3000)])
    assert abs(firsts - 1000).max() < 120


def test_state_replays_and_draws_do_not_overlap():
    g = Generator(6)
    g.normal(5)
    state = g.state_dict()
    a = g.uniform(10).tolist()
    b = g.uniform(10).tolist()
    assert not set(a) & set(b)
    h = Generator(0)
    h.load_state_dict(state)
    assert (h.uniform(10).tolist(), h.uniform(10).tolist()) == (a, b)
    assert h.manual_seed(6) is h
    assert h.state_dict() == {"seed": 6, "counter": 0}
    with pytest.raises(ArgumentError, match="'seed' and 'counter'"):
        h.load_state_dict({"seed": 1})


def test_seeds():
    assert Generator().seed != Generator().seed
    assert Generator(np.int64(3)).seed == 3
    draws = {tuple(Generator(seed).uniform(4).tolist()) for seed in (-1, 0, 1, 2**40, 2**63)}
    assert len(draws) == 5


def test_default_generator_is_of_the_context():
    random.manual_seed(7)
    a = random.rand(2, 3)
    assert a.tolist() == Generator(7).uniform((2, 3)).tolist()
    other = contextvars.Context().run(lambda: random.default_generator().seed)
    assert other != 7
    assert random.default_generator().seed == 7
    random.manual_seed(7)
    assert random.rand((2, 3)).tolist() == a.tolist()


def test_functions_in_pytorchs_spelling(backend):
    g = Generator(8)
    x = random.randn(2, 3, generator=g, dtype=tx.float64, requires_grad=True)
    assert (x.shape, x.dtype, x.requires_grad, x.backend.name) == (
        (2, 3),
        tx.float64,
        True,
        backend,
    )
    assert random.randint(0, 3, (4,), generator=g).dtype is tx.int64
    order = random.randperm(5, generator=g)
    assert order.backend.name == backend
    assert sorted(order.tolist()) == [0, 1, 2, 3, 4]
    assert random.rand().shape == ()


def test_errors():
    g = Generator(0)
    with pytest.raises(DTypeError, match=r"floating-point, got tinyxp\.int64"):
        g.uniform(2, dtype=tx.int64)
    with pytest.raises(ArgumentError, match="low < high"):
        g.integers(3, 3, 2)
    with pytest.raises(ArgumentError, match="low < high"):
        g.integers(-(2**63), 2**63, 2)
    with pytest.raises(ArgumentError, match=r"probability lies in \[0, 1\], got 1.5"):
        g.bernoulli(tx.zeros(2), 1.5)
    with pytest.raises(ArgumentError, match="from 0 up"):
        g.normal((2, -1))
    with pytest.raises(DTypeError, match="a seed must be an integer, got str"):
        Generator("7")
    assert g.state_dict() == {"seed": 0, "counter": 0}  # an error draws nothing


@pytest.mark.parametrize(
    "draw",
    [
        lambda g: g.uniform(2, NAN, 1.0),
        lambda g: g.uniform(2, 1.0, 0.0),
        lambda g: g.uniform(2, 0.0, math.inf),
        lambda g: g.uniform(2, -1e308, 1e308, dtype="float64"),
        lambda g: g.normal(2, NAN),
        lambda g: g.normal(2, 0.0, NAN),
        lambda g: g.normal(2, 0.0, -1.0),
        lambda g: g.normal(2, math.inf),
        lambda g: g.bernoulli(tx.ones(2), NAN),
        lambda g: tx.nn.init.trunc_normal_(tx.ones(2), NAN, generator=g),
        lambda g: tx.nn.init.uniform_(tx.ones(2), 0.0, NAN, generator=g),
        lambda g: tx.nn.functional.dropout(tx.ones(2), NAN, generator=g),
        lambda g: tx.nn.functional.rrelu(tx.ones(2), 0.0, NAN, True, generator=g),
        lambda g: tx.nn.functional.gumbel_softmax(tx.ones(2), NAN, generator=g),
        lambda g: tx.nn.functional.gumbel_softmax(tx.ones(2), -1.0, generator=g),
    ],
)
def test_nothing_is_drawn_from_nonsense(draw):
    g = Generator(0)
    with pytest.raises(ArgumentError):
        draw(g)
    assert g.counter == 0
