"""Training steps on several threads: the gradients of the whole batch, part by part."""

import io

import numpy as np
import pytest

import tinyxp as tx
from tinyxp import nn, parallel
from tinyxp.backends.errors import ArgumentError, BackendError, ShapeError
from tinyxp.models.transformer import GPT, Config
from tinyxp.nn import functional as F
from tinyxp.parallel import Parallel
from tinyxp.random import Generator
from tinyxp.train import Trainer

CONFIG = Config(n_layer=2, n_head=2, n_embd=16, block_size=12, batch_size=5, bias=True)


def gpt():
    return GPT(CONFIG, 11, Generator(0)).to(dtype=tx.float64)


def batch():
    ids = np.random.default_rng(0).integers(0, 11, (2, 5, 12))
    return tuple(map(tx.asarray, ids))


def gradients(threads, model=None, times=1):
    model = model or gpt()
    with Parallel(model, threads) as runner:
        for _ in range(times):
            loss = runner.backward(model.loss, batch())
    return loss.item(), {name: p.grad.numpy() for name, p in model.named_parameters()}


@pytest.mark.parametrize("threads", [2, 3, 5, 8])
def test_parts_give_the_gradients_of_the_whole(threads):
    """Parts of unequal size too, and more threads than samples."""
    loss, expected = gradients(1)
    parted, found = gradients(threads)
    assert parted == pytest.approx(loss, rel=1e-12)
    for name, g in expected.items():
        assert np.abs(found[name] - g).max() <= 1e-12 * max(1, np.abs(g).max()), name


def test_gradients_add_up_as_those_of_backward_do():
    _, once = gradients(2)
    _, twice = gradients(2, times=2)
    for name, g in once.items():
        assert np.allclose(twice[name], 2 * g, rtol=1e-12, atol=1e-15)


def test_a_run_in_parts_can_be_repeated_with_dropout():
    def run():
        tx.manual_seed(3)
        model = nn.Sequential(nn.Linear(4, 32), nn.Dropout(0.5), nn.Linear(32, 2))
        x, y = tx.randn(64, 4), tx.randint(0, 2, (64,))
        optimizer = tx.optim.SGD(model.parameters(), lr=0.1)
        with Parallel(model, 2) as runner:
            for _ in range(5):
                optimizer.zero_grad()
                runner.backward(lambda batch: F.cross_entropy(model(batch[0]), batch[1]), (x, y))
                optimizer.step()
        return [p.detach().numpy() for p in model.parameters()]

    for a, b in zip(run(), run(), strict=True):
        assert np.array_equal(a, b)


def test_parts_draw_different_numbers():
    seen = []
    model = nn.Linear(1, 1)

    def loss_of(x):
        seen.append(tx.rand(4).tolist())
        return model(x).mean()

    with Parallel(model, 2) as runner:
        runner.backward(loss_of, tx.ones((4, 1)))
    assert len(seen) == 2 and seen[0] != seen[1]


def test_what_goes_wrong_in_a_part_is_raised():
    model = nn.Linear(3, 1)
    with Parallel(model, 2) as runner, pytest.raises(ShapeError, match="linear"):
        runner.backward(lambda x: model(x).mean(), tx.ones((4, 2)))


def test_batchnorm_is_refused_and_left_whole_by_default(monkeypatch):
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    with pytest.raises(ArgumentError, match="BatchNorm"):
        Parallel(model, 2)
    monkeypatch.setattr(parallel, "LARGE", 1)
    with Parallel(model) as runner:
        runner.backward(lambda x: model(x).mean(), tx.ones((4, 1, 4, 4)))
        assert runner.pool is None


def test_the_choice_follows_sizes(monkeypatch):
    model = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5))
    model.eval()
    loss_of = lambda x: model(x).mean()  # noqa: E731
    monkeypatch.setattr(parallel, "get_num_threads", lambda: 2)

    def choice(batch):
        with Parallel(model) as runner:
            runner.backward(loss_of, batch)
            return runner.threads, runner.pool is not None

    assert choice(tx.ones((8, 4))) == (1, False)  # small: one thread
    monkeypatch.setattr(parallel, "LARGE", 1)
    assert choice(tx.ones((8, 4))) == (2, True)
    assert choice(tx.ones((1, 4))) == (2, False)  # cannot be parted
    model.train()
    assert choice(tx.ones((8, 4))) == (2, False)  # dropout would draw other numbers


@pytest.mark.parametrize("threads", [0, -1, 1.5, "2", True])
def test_a_number_of_threads_is_checked(threads):
    for refuse in (lambda: Parallel(nn.Linear(1, 1), threads), lambda: tx.set_num_threads(threads)):
        with pytest.raises(ArgumentError, match="whole number from 1 up"):
            refuse()


def test_threads_are_set_and_restored():
    backend = tx.backends.get("numpy")
    before = backend.get_threads()
    if before is None:
        pytest.skip("NumPy has another BLAS here than its wheels bring")
    tx.set_num_threads(2)
    assert tx.get_num_threads() == 2
    with Parallel(nn.Linear(1, 1), 1):
        assert backend.get_threads() == 1
        assert tx.get_num_threads() == 2  # those that there are without it
    assert tx.get_num_threads() == backend.get_threads() == 2
    tx.set_num_threads(before)


def test_limits_that_overlap_hold_to_the_last():
    """As of Trainers in two threads: the first to come is not the last to go."""
    backend = tx.backends.get("numpy")
    before = backend.get_threads()
    if before is None:
        pytest.skip("NumPy has another BLAS here than its wheels bring")
    tx.set_num_threads(2)
    first, second = (Parallel(nn.Linear(1, 1), 1) for _ in range(2))
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert backend.get_threads() == 1
    tx.set_num_threads(3)  # counts afterwards
    assert backend.get_threads() == 1
    second.__exit__(None, None, None)
    assert backend.get_threads() == tx.get_num_threads() == 3
    tx.set_num_threads(before)


def test_another_blas_is_told_how_to_limit_it(monkeypatch):
    monkeypatch.setitem(tx.backends.get("numpy").__dict__, "set_threads", lambda n: False)
    with pytest.raises(BackendError, match="OMP_NUM_THREADS before Python starts"):
        tx.set_num_threads(2)


@pytest.mark.parametrize("threads", [1, 2, None])
def test_a_trainer_learns_the_same(threads):
    model = gpt()
    optimizer = tx.optim.SGD(model.parameters(), lr=0.5)
    trainer = Trainer(model, optimizer, threads=threads, stream=io.StringIO())
    trainer.fit([batch()] * 20, model.loss, 20)
    reference = gpt()
    plain = tx.optim.SGD(reference.parameters(), lr=0.5)
    for _ in range(20):
        plain.zero_grad()
        reference.loss(batch()).backward()
        plain.step()
    for (name, p), q in zip(model.named_parameters(), reference.parameters(), strict=True):
        assert np.abs(p.detach().numpy() - q.detach().numpy()).max() < 1e-10, name
