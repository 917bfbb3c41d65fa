"""The pool of buffers under NumPy's kernels."""

import sys
import threading

import numpy as np
import pytest

import tinyxp as tx
from tinyxp.backends.common import memory as common_memory
from tinyxp.backends.numpy import memory as numpy_memory
from tinyxp.backends.numpy.memory import LEAST, Pool, empty_like
from tinyxp.errors import BackendError

F4 = np.dtype("float32")
N = LEAST  # elements of float32: four times the smallest buffer


def address(x):
    return x.__array_interface__["data"][0]


def test_a_buffer_is_used_again_once_nobody_holds_it():
    pool = Pool()
    a = pool.empty((N,), F4)
    b = pool.empty((N,), F4)
    assert not np.may_share_memory(a, b)
    place = address(a)
    del a
    assert address(pool.empty((4, N // 4), F4)) == place


@pytest.mark.parametrize(
    "hold",
    [
        lambda x: x[3:5],
        lambda x: x.reshape(2, -1).T,
        lambda x: x.view(np.int32)[::-1],
        lambda x: np.broadcast_to(x, (2, *x.shape)),
        lambda x: memoryview(x),
        lambda x: tx.asarray(x, copy=False),
    ],
)
def test_a_buffer_with_any_view_alive_is_left_alone(hold):
    pool = Pool()
    x = pool.empty((N,), F4)
    place = address(x)
    held = hold(x)
    del x
    assert address(pool.empty((N,), F4)) != place
    del held
    assert place in (address(pool.empty((N,), F4)), address(pool.empty((N,), F4)))


def test_a_larger_free_buffer_serves_but_not_for_what_lasts():
    pool = Pool()
    x = pool.empty((2 * N,), F4)
    place = address(x)
    del x
    lasting, passing = pool.empty((N,), F4, lasting=True), pool.empty((N,), F4)
    assert address(lasting) != place and address(passing) == place


def test_idle_buffers_go_back_and_living_ones_stay():
    pool = Pool()
    kept, dropped = pool.empty((N,), F4), pool.empty((3 * N,), F4)
    kept[...] = 1
    del dropped
    pool.give_back(patience=0)
    assert sum(map(len, pool.buffers.values())) == 1 and len(pool.last) == 1
    assert (kept == 1).all()


def test_varying_sizes_do_not_pile_up():
    pool = Pool()
    for i in range(1, 400):
        pool.empty((N + 64 * i * i,), F4)
        pool.requests += numpy_memory.PATIENCE // 8  # as if much else had been asked for
    assert sum(map(len, pool.buffers.values())) < 40


def test_small_arrays_are_numpys_own():
    pool = Pool()
    pool.empty((8,), F4)
    assert not pool.buffers


def test_threads_never_get_the_same_buffer():
    pool, wrong = Pool(), []

    def work(number):
        for _ in range(300):
            x = pool.empty((N,), F4)
            x[...] = number
            y = x * 1
            if (x != number).any() or (y != number).any():
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_empty_like_keeps_the_order_in_memory():
    x = np.zeros((2, 300, 400), "float32").transpose(2, 0, 1)
    y = empty_like(x)
    assert y.shape == x.shape and y.strides == x.strides and y.dtype == x.dtype


def test_what_a_user_holds_never_changes():
    """Detached results keep their numbers through many steps that use memory again."""
    tx.manual_seed(0)
    model = tx.nn.Sequential(tx.nn.Linear(64, 512), tx.nn.GELU(), tx.nn.LayerNorm(512))
    x = tx.randn(256, 64)
    held, copies = [], []
    optimizer = tx.optim.AdamW(model.parameters())
    for _ in range(8):
        y = model(x)
        (y * y).mean().backward()
        parts = [y.detach(), *(p.grad for p in model.parameters())]
        parts += [p.detach() for p in model.parameters()]
        held += parts
        copies += [part.numpy().copy() for part in parts]
        optimizer.step()
        optimizer.zero_grad()
    for part, copy in zip(held, copies, strict=True):
        assert np.array_equal(part.numpy(), copy)


def test_keep_memory_says_where_it_cannot(monkeypatch):
    if sys.platform == "linux":
        tx.keep_memory()
    monkeypatch.setattr(common_memory.ctypes, "CDLL", lambda name: object())
    with pytest.raises(BackendError, match="glibc"):
        tx.keep_memory()
