"""Batches from worker processes: the same in the same order, and what goes wrong is told."""

import os
import signal
import time

import pytest

import tinyxp as tx
from tests.worker_datasets import Dying, Failing, Hanging, Noisy, Raising, Squares
from tinyxp.backends.errors import ArgumentError, DataError
from tinyxp.data import DataLoader, Epochs
from tinyxp.random import Generator


def batches(n, dataset=None, epochs=1, **options):
    loader = DataLoader(
        dataset or Squares(), 3, shuffle=True, generator=Generator(0), num_workers=n, **options
    )
    return [batch for _ in range(epochs) for batch in loader]


def test_the_order_is_that_of_no_workers(backend):
    expected = batches(0, epochs=2)
    for n in (1, 3) if backend == "numpy" else (2,):
        found = batches(n, epochs=2)
        assert [b["y"].tolist() for b in found] == [b["y"].tolist() for b in expected]
        assert [b["x"].tolist() for b in found] == [b["x"].tolist() for b in expected]
        assert {b["x"].backend.name for b in found} == {backend}
        assert os.getpid() not in {i for b in found for i in b["who"].tolist()}


def test_random_numbers_are_those_of_the_batch():
    """Not the same in each worker, nor in each epoch, and the same for any number of workers."""
    one, two = (batches(n, Noisy(), epochs=2) for n in (1, 2))
    drawn = [tuple(part.tolist()) for batch in one for part in batch]
    assert drawn == [tuple(part.tolist()) for batch in two for part in batch]
    assert len(set(drawn)) == len(drawn)


def test_epochs_go_on_in_the_middle_with_workers():
    def fresh():
        return Epochs(DataLoader(Noisy(), 3, True, generator=Generator(0), num_workers=1))

    whole = fresh()
    expected = [[part.tolist() for part in next(whole)] for _ in range(9)]
    part = fresh()
    for _ in range(6):
        next(part)
    again = fresh()
    again.load_state_dict(part.state_dict())
    assert [[part.tolist() for part in next(again)] for _ in range(3)] == expected[6:]


def test_what_a_worker_raises_comes_with_its_traceback():
    with pytest.raises(ZeroDivisionError) as caught:
        batches(2, Failing())
    assert "in __getitem__" in str(caught.value.__cause__)


def test_a_worker_that_dies_is_told():
    with pytest.raises(DataError, match="a worker process of the DataLoader died"):
        batches(2, Dying())


def test_a_worker_that_hangs_is_given_up(tmp_path):
    """And the next epoch has another."""
    start = time.monotonic()
    loader = DataLoader(Hanging(tmp_path / "hung"), 6, num_workers=1, timeout=6)
    with pytest.raises(DataError, match="made no batch in 6 s"):
        list(loader)
    loader.timeout = 0  # to start a process takes long on a busy machine
    assert [batch.tolist() for batch in loader] == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10]]
    assert time.monotonic() - start < 50


@pytest.mark.parametrize(
    ("kind", "said"), [("odd", "OddError: 1 and 2"), ("stop", "Iteration: 3"), ("exit", "Exit: 4")]
)
def test_what_cannot_be_raised_here_is_told(kind, said):
    with pytest.raises(DataError, match=f"(?s)in __getitem__.*{said}"):
        batches(1, Raising(kind))


def test_what_cannot_be_sent_is_told():
    with pytest.raises(ArgumentError, match="need a copy .* but .*lambda.*num_workers=0"):
        batches(1, collate_fn=lambda x: x)


@pytest.mark.skipif(os.name != "posix", reason="there is no such signal to one process")
def test_ctrl_c_is_left_to_the_parent():
    """The terminal sends it to all processes; the parent may want to end its step."""
    loader = DataLoader(Squares(), 1, num_workers=1)
    iterator = iter(loader)
    (pid,) = next(iterator)["who"].tolist()
    os.kill(pid, signal.SIGINT)
    assert [batch["who"].tolist() for batch in iterator] == [[pid]] * 10


@pytest.mark.parametrize("option", ["num_workers", "prefetch_factor", "timeout"])
def test_wrong_numbers_are_named(option):
    with pytest.raises(ArgumentError, match=option):
        DataLoader([1], **{option: -1})


def test_a_loader_that_is_left_in_the_middle_ends_its_workers():
    loader = DataLoader(Squares(), 1, num_workers=1)
    iterator = iter(loader)
    (pid,) = next(iterator)["who"].tolist()
    del iterator, loader
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except OSError:
            return
        time.sleep(0.05)
        tx.zeros(1)
    pytest.fail("the worker is alive")
