"""Generation: what is drawn, and the same with a cache of keys and values as without."""

import numpy as np
import pytest

import tinyxp as tx
from tinyxp.errors import ArgumentError, DTypeError, GradientError, ShapeError
from tinyxp.models.gpt2 import GPT2, Config
from tinyxp.nn.generation import KVCache, choose, generate
from tinyxp.random import Generator

SMALL = Config(vocab_size=50, n_positions=16, n_embd=24, n_layer=2, n_head=3)


def model(config=SMALL):
    return GPT2(config, Generator(0)).eval()


def ids(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 50, size=shape)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("pieces", [[1] * 12, [5, 1, 1, 4, 1], [12], [1, 11]], ids=str)
def test_cached_logits_equal_those_of_the_whole(batch, pieces, backend):
    gpt, x = model(), ids(batch, 12)
    with tx.no_grad():
        whole = gpt(tx.asarray(x)).numpy()
        cache, start = gpt.new_cache(), 0
        for n in pieces:
            some = gpt(tx.asarray(x[:, start : start + n]), cache).numpy()
            scale = abs(whole).max()
            np.testing.assert_allclose(
                some, whole[:, start : start + n], rtol=0, atol=1e-5 * scale, err_msg=f"at {start}"
            )
            start += n
    assert cache.length == 12


@pytest.mark.parametrize("prompt", [1, 5])
@pytest.mark.parametrize("options", [{"temperature": 0}, {"top_k": 5}, {"top_p": 0.8}, {}], ids=str)
def test_cached_generation_equals_uncached(prompt, options, backend):
    gpt, start = model(), ids(prompt).tolist()
    without = generate(gpt, start, 20, generator=Generator(1), **options)  # beyond the block
    cached = generate(gpt, start, 20, generator=Generator(1), cache=gpt.new_cache(), **options)
    assert without == cached == gpt.generate(start, 20, generator=Generator(1), **options)
    assert len(without) == prompt + 20
    assert without[:prompt] == start


def test_a_cache_reads_each_symbol_once(monkeypatch):
    gpt, lengths = model(), []
    read = GPT2.forward

    def forward(self, ids, cache=None):
        lengths.append(ids.shape[1])
        return read(self, ids, cache)

    monkeypatch.setattr(GPT2, "forward", forward)
    gpt.generate([1, 2, 3], 5)
    assert lengths == [3, 1, 1, 1, 1]


def test_it_stops():
    gpt = model()
    free = gpt.generate([1], 10, temperature=0)
    stop = free[3]
    assert gpt.generate([1], 10, temperature=0, stop=stop) == free[: free.index(stop, 1) + 1]
    assert gpt.generate(np.asarray([1]), 0) == [1]


def test_frequencies_of_what_is_drawn():
    """2,000 draws within five standard deviations of what softmax says."""
    logits = np.log(np.asarray([0.5, 0.3, 0.15, 0.05]))
    cases = {
        (1.0, None, None): [0.5, 0.3, 0.15, 0.05],
        (1.0, 2, None): [0.625, 0.375, 0, 0],
        (1.0, None, 0.6): [0.625, 0.375, 0, 0],  # 0.5 is not enough, 0.8 is
        (1.0, None, 0.5): [1, 0, 0, 0],
        (0.5, None, None): np.asarray([0.25, 0.09, 0.0225, 0.0025]) / 0.365,
        (0, None, None): [1, 0, 0, 0],
    }
    generator = Generator(0)
    for options, expected in cases.items():
        p = np.asarray(expected, dtype=float)
        drawn = [choose(logits, *options, generator) for _ in range(2000)]
        share = np.bincount(drawn, minlength=4) / 2000
        assert (abs(share - p) <= 5 * np.sqrt(p * (1 - p) / 2000)).all(), options


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize("options", [(1.0, None, None), (0, None, None), (2.0, 2, 0.9)], ids=str)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_logits_that_are_no_numbers(dtype, options):
    """No symbol is drawn from NaN or Inf; a symbol that is ruled out never comes."""
    for row in (
        [NAN] * 4,
        [0, NAN, 1, 0],
        [INF, 0, 0, 0],
        [-INF, NAN, 0, 0],
        [0, -INF, 0, INF],
        [],
    ):
        with pytest.raises(ArgumentError, match="logits are (NaN or Inf|-Inf for every)"):
            choose(np.asarray(row, dtype=dtype), *options, Generator(0))
    with pytest.raises(ArgumentError, match="-Inf for every symbol"):
        choose(np.full(4, -INF, dtype), *options, Generator(0))
    row, generator = np.asarray([-INF, 5, -INF, 6e4, -INF], dtype), Generator(0)
    assert {choose(row, *options, generator) for _ in range(50)} == {3}
    row = np.asarray([-INF, 0, -INF], dtype)
    assert {choose(row, *options, generator) for _ in range(50)} == {1}


def test_of_equal_logits_top_k_keeps_no_more_than_k():
    generator = Generator(0)
    for k in (1, 2, 3):
        drawn = {choose(np.zeros(4), 1.0, k, None, generator) for _ in range(60)}
        assert drawn == {*range(k)}


@pytest.mark.parametrize(
    ("logits", "error"), [(np.zeros((2, 3)), ShapeError), (np.ones(3, complex), DTypeError)]
)
def test_logits_that_are_none_of_one_symbol(logits, error):
    with pytest.raises(error, match="choose expects"):
        choose(logits, 1.0, None, None, Generator(0))


def test_the_largest_draw_stays_in_the_vocabulary():
    """Sums in another order round otherwise: no draw may reach beyond the last symbol."""

    class Largest:
        def uniform(self, shape, dtype):
            return tx.asarray(1 - 2**-53, dtype=dtype)

    rng = np.random.default_rng(0)
    for n in (1, 3, 50, 1000):
        logits = rng.normal(size=n) * 4
        for options in (
            (1.0, None, None),
            (1e-300, None, None),
            (1.0, None, 0.3),
            (1e300, 7, None),
        ):
            assert 0 <= choose(logits, *options, Largest()) < n


def test_what_a_cache_gave_does_not_change():
    cache = KVCache(1, 4)
    x = tx.asarray(np.arange(4.0).reshape(1, 1, 2, 2))
    k, _ = cache.append(0, x, x)
    before = k.numpy().copy()
    cache.advance(2)
    cache.append(0, x + 10, x)
    np.testing.assert_array_equal(k.numpy(), before)


def test_errors():
    gpt, x = model(), tx.asarray(ids(1, 4))
    with pytest.raises(GradientError, match=r"use tx\.no_grad"):
        gpt(x, gpt.new_cache())
    with tx.no_grad():
        cache = gpt.new_cache()
        gpt(x, cache)
        with pytest.raises(ShapeError, match="make a new one for another batch"):
            gpt(tx.asarray(ids(2, 1)), cache)
        with pytest.raises(ShapeError, match="reads 16 symbols at once, got 17"):
            gpt(tx.asarray(ids(1, 13)), cache)
        with pytest.raises(ShapeError, match="cannot hold 3"):
            KVCache(1, 2).append(0, tx.zeros((1, 1, 3, 2)), tx.zeros((1, 1, 3, 2)))
    for wrong in (
        {"temperature": -1},
        {"temperature": float("nan")},
        {"top_k": 1.5},
        {"top_k": 0},
        {"top_p": 0.0},
        {"top_p": 1.5},
        {"top_k": True},
        {"top_p": NAN},
        {"temperature": INF},
        {"count": -1},
        {"cache": cache},
    ):
        with pytest.raises(ArgumentError):
            generate(gpt, [1], **{"count": 1} | wrong)
    for wrong in ({"temperature": "1"}, {"top_p": "1"}, {"count": 1.5}, {"ids": [1.5]}):
        with pytest.raises(DTypeError):
            generate(gpt, **{"ids": [1], "count": 1} | wrong)
    assert len(generate(gpt, [1], 1, top_k=np.int64(2))) == 2
    with pytest.raises(ArgumentError, match="one symbol or more to start from"):
        generate(gpt, [], 1)
