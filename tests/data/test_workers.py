"""Batches from worker processes: the same in the same order, and what goes wrong is told.

They are forked, as they are by default; what differs where they start from nothing has its own
tests.
"""

import contextlib
import functools
import gc
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
import traceback
import types
import warnings

import numpy as np
import pytest

import tinyxp as tx
from tests.data import worker_datasets as sets
from tests.data.worker_datasets import Dying, Hanging, Noisy, Raising, Scaled, Squares, Stream, Told
from tinyxp.data import DataLoader, Dataset, Epochs, RandomSampler
from tinyxp.errors import ArgumentError, DataError, TinyError, WorkerError
from tinyxp.files.locks import only_writer
from tinyxp.random import Generator

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")


def forked(dataset, *args, num_workers=2, **options):
    start = {"multiprocessing_context": "fork"} if num_workers else {}
    return DataLoader(dataset, *args, num_workers=num_workers, **start, **options)


def plain(batches):
    """Batches as lists, to be compared."""
    return [
        [part.tolist() for part in batch] if isinstance(batch, tuple) else batch.tolist()
        for batch in batches
    ]


# -- the same batches -----------------------------------------------------------------------------


def test_the_order_is_that_of_no_workers(backend):
    def batches(n):
        loader = forked(Squares(), 3, True, generator=Generator(0), num_workers=n)
        return [batch for _ in range(2) for batch in loader]

    expected, found = batches(0), batches(2)
    assert [b["y"].tolist() for b in found] == [b["y"].tolist() for b in expected]
    assert [b["x"].tolist() for b in found] == [b["x"].tolist() for b in expected]
    assert {b["x"].backend.name for b in found} == {backend}
    assert os.getpid() not in {i for b in found for i in b["who"].tolist()}


def test_workers_that_start_from_nothing():
    """They make the batches that forked ones make."""
    spawned = functools.partial(DataLoader, multiprocessing_context="spawn", num_workers=1)
    loaders = (
        make(Noisy(), 3, True, generator=Generator(0), num_workers=1) for make in (forked, spawned)
    )
    found = [plain(loader) for loader in loaders]
    assert found[0] == found[1]
    with pytest.raises(ArgumentError, match="need a copy .* but .*lambda.*num_workers=0"):
        iter(spawned([1], collate_fn=lambda x: x))


def test_how_workers_start(monkeypatch):
    """As the program has chosen; else by a fork, where there is one and no GPU is in use."""
    from tinyxp.data import loader

    def start(default, chosen=None, gpu=False):
        monkeypatch.setattr(loader, "get_all_start_methods", lambda: [default, "other"])
        monkeypatch.setattr(loader, "get_start_method", lambda allow_none: chosen)
        used = [types.SimpleNamespace(fork_safe=safe) for safe in (True, not gpu)]
        monkeypatch.setattr(loader.backends, "loaded", lambda: used)
        return loader._default_start()

    assert start("fork") == start("fork", "fork") == "fork"  # Linux up to Python 3.13
    assert start("forkserver") == start("forkserver", "forkserver") == "fork"  # from 3.14 on
    assert start("spawn") == start("spawn", "spawn") == "spawn"  # macOS and Windows
    assert start("fork", "spawn") == start("forkserver", "spawn") == "spawn"
    assert start("fork", "forkserver") == "forkserver"
    assert start("spawn", "fork") == "fork"
    assert start("fork", gpu=True) == start("forkserver", gpu=True) == "spawn"


@pytest.mark.skipif(sys.platform != "linux", reason="the default is a fork on Linux")
def test_what_the_default_takes():
    """Classes and functions from anywhere, as lambdas; copies begin with the dataset as it is."""

    class Here(Dataset):
        def __len__(self):
            return 4

        def __getitem__(self, i):
            return i, os.getpid()

    def mine(samples):
        return samples

    loader = DataLoader(Here(), 2, num_workers=2, collate_fn=mine, worker_init_fn=lambda i: None)
    found = list(loader)
    assert [[i for i, _ in batch] for batch in found] == [[0, 1], [2, 3]]
    assert os.getpid() not in {pid for batch in found for _, pid in batch}
    assert list(DataLoader([1, 2], num_workers=1, collate_fn=lambda s: s[0] * 10)) == [10, 20]


def test_a_fork_warns_of_nothing(monkeypatch):
    """Python 3.12 and later warns of a fork beside threads; the worker is made for that."""
    fork = os.fork

    def warning():
        warnings.warn(
            f"This process (pid={os.getpid()}) is multi-threaded, use of fork() may lead to "
            "deadlocks in the child.",
            DeprecationWarning,
            stacklevel=2,
        )
        return fork()

    monkeypatch.setattr(os, "fork", warning)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert plain(forked(Scaled(1), 2)) == [[0, 1], [2, 3]]


@pytest.mark.parametrize("persistent", [False, True])
def test_a_loader_that_nobody_keeps(persistent):
    def begun():
        return iter(forked(Scaled(1), 2, persistent_workers=persistent))

    expected = [[0, 1], [2, 3]]
    assert plain(b for b in forked(Scaled(1), 2, persistent_workers=persistent)) == expected
    assert plain(b for _, b in enumerate(forked(Scaled(1), 2))) == expected
    iterator = begun()
    gc.collect()
    assert plain(iterator) == expected


@pytest.mark.parametrize("shuffle", [False, True])
def test_random_numbers_are_those_of_the_batch(shuffle):
    """Not the same in each worker, nor in each pass; the same for any number of workers, and for
    none. What the program draws itself goes on as if no batch had been made."""

    def batches(n):
        loader = forked(Noisy(), 3, shuffle, generator=Generator(0), num_workers=n)
        return [tuple(map(tuple, parts)) for _ in range(2) for parts in plain(loader)]

    np.random.seed(1)
    expected = np.random.rand()
    np.random.seed(1)
    tx.manual_seed(1)
    none = batches(0)
    assert (np.random.rand(), tx.random.default_generator().counter) == (expected, 0)
    assert none == batches(1) == batches(3)
    assert len(set(none)) == len(none) == 8


class Nested(Dataset):
    """A dataset that loads by a loader of its own."""

    def __len__(self):
        return 2

    def __getitem__(self, i):
        before = np.random.randn()
        inner = plain(DataLoader(Noisy(), 11, generator=Generator(i)))
        return before, np.random.randn(), np.asarray(inner)


def test_random_numbers_of_the_program_go_on():
    """Also the second of a pair of normal numbers, and within another loader's dataset."""

    def numbers(load):
        np.random.seed(0)
        random.seed(0)
        found = []
        for _ in range(3):
            found += [np.random.randn(), random.gauss(0, 1)]
            load()
        return found

    assert numbers(lambda: list(DataLoader(Noisy()))) == numbers(lambda: None)
    first, second = (plain(DataLoader(Nested(), generator=Generator(0))) for _ in range(2))
    assert first == second
    np.random.seed(5)
    bits = np.random.get_bit_generator()
    list(DataLoader(Nested()))
    assert np.random.get_bit_generator() is bits


def test_random_numbers_with_threads():
    """Two loops in two threads draw what they would draw alone."""

    def loop(seed, found):
        found[seed] = plain(DataLoader(Noisy(), 1, generator=Generator(seed)))

    alone, together = {}, {}
    for seed in (0, 1):
        loop(seed, alone)
    threads = [threading.Thread(target=loop, args=(seed, together)) for seed in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert alone == together


@pytest.mark.parametrize("n", [0, 2])
@pytest.mark.parametrize(
    "options",
    [{}, {"shuffle": True}, {"sampler": RandomSampler(range(11))}],
    ids=["in order", "shuffled", "sampled"],
)
def test_epochs_go_on_in_the_middle(n, options):
    """Whatever the loader did before, and does between the epochs."""

    def story(count, state=None, peeks=0):
        loader = forked(Noisy(), 3, generator=Generator(0), num_workers=n, **options)
        for _ in range(peeks):
            next(iter(loader))
        epochs, found = Epochs(loader), []
        if state is not None:
            epochs.load_state_dict(state)
            next(iter(loader))
        for _ in range(count):
            found += plain([next(epochs)])
            if epochs.position == 4:
                list(loader)  # an evaluation on the training data
        return found, epochs.state_dict()

    whole, _ = story(10, peeks=1)
    for cut in (2, 4, 5) if n == 0 else (6,):
        first, state = story(cut, peeks=1)
        assert first + story(10 - cut, state)[0] == whole


def test_epochs_go_on_with_a_sampler_of_the_users():
    """One that draws from NumPy's numbers, one with a generator of its own; and a stream."""

    class Shuffled:
        def __iter__(self):
            return iter(np.random.permutation(11).tolist())

        def __len__(self):
            return 11

    def loaders():
        yield DataLoader(range(11), 3, sampler=Shuffled())
        yield DataLoader(range(11), 3, sampler=RandomSampler(range(11), generator=Generator(3)))
        yield DataLoader(Stream(11), 3)
        yield forked(Stream(11), 3)

    for first, second in zip(loaders(), loaders(), strict=True):
        tx.manual_seed(2)
        whole = Epochs(first)
        for _ in range(6):
            next(whole)
        state = whole.state_dict()
        expected = [next(whole).tolist() for _ in range(7)]
        again = Epochs(second)
        again.load_state_dict(state)
        assert [next(again).tolist() for _ in range(7)] == expected


def test_a_changed_dataset():
    """Workers begin every pass with the dataset as it is; those that persist keep their copy, but
    for a dataset that is another one."""
    found = {}
    for n, persistent in ((0, False), (2, False), (2, True)):
        data = Scaled(1)
        loader = forked(data, 4, num_workers=n, persistent_workers=persistent)
        found[n, persistent] = [plain(loader)]
        data.factor = 10
        found[n, persistent] += [plain(loader)]
        loader.dataset = [7, 8]
        found[n, persistent] += [plain(loader)]
    new = [[[0, 1, 2, 3]], [[0, 10, 20, 30]], [[7, 8]]]
    assert found[0, False] == found[2, False] == new
    assert found[2, True] == [new[0], new[0], new[2]]


def test_workers_that_persist():
    loader = forked(Squares(), 1, num_workers=1, persistent_workers=True)
    first, second = ({b["who"].item() for b in loader} for _ in range(2))
    assert first == second
    next(iter(loader))  # what was asked for beyond it is not taken for the next pass
    assert [b["y"].item() for b in loader] == [i * i for i in range(11)]
    assert {b["who"].item() for b in forked(Squares(), 1, num_workers=1)} != first


@pytest.mark.parametrize("persistent", [False, True])
def test_several_passes_at_once(persistent):
    loader = forked(Scaled(1), 1, persistent_workers=persistent)
    pairs = [(a.item(), b.item()) for a in loader for b in loader]
    assert pairs == [(a, b) for a in range(4) for b in range(4)]
    assert [(a.item(), b.item()) for a, b in zip(loader, loader, strict=True)] == [
        (i, i) for i in range(4)
    ]


def test_streams_give_each_worker_its_share():
    assert plain(DataLoader(Stream(7), 2)) == [[0, 1], [2, 3], [4, 5], [6]]
    assert plain(forked(Stream(7), 2)) == [[0, 2], [1, 3], [4, 6], [5]]
    assert plain(forked(Stream(7), 2, drop_last=True)) == [[0, 2], [1, 3], [4, 6]]
    assert plain(forked(Stream(7), 2, num_workers=3)) == [[0, 3], [1, 4], [2, 5], [6]]
    loader = forked(Stream(3), None, persistent_workers=True)
    assert [list(loader) for _ in range(2)] == [[0, 1, 2]] * 2


def test_what_a_worker_knows_of_itself():
    loader = forked(Told(), 1, worker_init_fn=sets.tell)
    expected = [[[i % 2], [2], [10 * (i % 2)]] for i in range(6)]
    assert plain(loader) == expected
    assert tx.data.get_worker_info() is None
    with pytest.raises(OSError, match="no file for worker 0"):
        list(forked(Told(), 1, worker_init_fn=sets.fail_to_begin))


@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
def test_against_pytorch():
    """The same batches in the same order from the same objects, streams of uneven shares too."""
    data = pytest.importorskip("torch.utils.data")
    import torch

    class Theirs(data.IterableDataset):
        def __iter__(self):
            info = data.get_worker_info()
            return iter(range(info.id, 11, info.num_workers))

    for drop in (False, True):
        theirs = data.DataLoader(Theirs(), 2, num_workers=2, drop_last=drop)
        expected = [batch.tolist() for batch in theirs]
        assert plain(forked(Stream(11), 2, num_workers=2, drop_last=drop)) == expected
    for n, workers, size in ((11, 0, 3), (11, 2, 3), (10, 3, 2), (3, 3, 2)):
        kept, last = [], []
        for drop in (False, True):
            mine = forked(range(n), size, drop_last=drop, num_workers=workers)
            theirs = data.DataLoader(range(n), size, drop_last=drop, num_workers=0)
            assert len(mine) == len(theirs)
            kept.append(plain(mine))
            last.append([batch.tolist() for batch in theirs])
        assert kept == last
    sampler = [3, 1, 2]
    for options in (
        {"sampler": sampler},
        {"sampler": sampler, "batch_size": 2},
        {"batch_sampler": [[0, 1], [2], [1, 1, 1]]},
        {"batch_size": None},
        {"batch_size": None, "sampler": sampler},
    ):
        samples = [np.asarray([i, 2.0]) for i in range(5)]
        mine, theirs = DataLoader(samples, **options), data.DataLoader(samples, **options)
        assert len(mine) == len(theirs)
        assert plain(mine) == [batch.tolist() for batch in theirs]
    for sample in (
        {"a": 1, "b": [2.0, "c"]},
        (np.float32(1), {"x": np.ones(2)}),
        [b"x", True],
        sets.Scaled(1),
        None,
        {1, 2},
    ):
        try:
            theirs = next(iter(data.DataLoader([sample, sample], 2)))
        except Exception as error:
            kind = next(kind for kind in (TypeError, ValueError) if isinstance(error, kind))
            with pytest.raises(kind):
                next(iter(DataLoader([sample, sample], 2)))
        else:
            mine = next(iter(DataLoader([sample, sample], 2)))
            _alike(mine, theirs, torch)


def _alike(mine, theirs, torch):
    if isinstance(theirs, torch.Tensor):
        assert mine.tolist() == theirs.tolist()
    elif isinstance(theirs, dict):
        assert mine.keys() == theirs.keys()
        for key in theirs:
            _alike(mine[key], theirs[key], torch)
    elif isinstance(theirs, (list, tuple)) and not isinstance(theirs[0], (str, bytes)):
        for a, b in zip(mine, theirs, strict=True):
            _alike(a, b, torch)
    else:
        assert list(mine) == list(theirs)


@pytest.mark.parametrize(
    "options",
    [
        {"shuffle": True, "sampler": [0]},
        {"batch_sampler": [[0]], "batch_size": 2},
        {"batch_sampler": [[0]], "shuffle": True},
        {"batch_sampler": [[0]], "sampler": [0]},
        {"batch_sampler": [[0]], "drop_last": True},
        {"batch_size": None, "drop_last": True},
        {"batch_size": 0},
        {"num_workers": -1},
        {"timeout": -1, "num_workers": 1},
        {"prefetch_factor": 2},
        {"persistent_workers": True},
        {"multiprocessing_context": "fork"},
        {"multiprocessing_context": "thread", "num_workers": 1},
    ],
    ids=str,
)
def test_options_that_pytorch_refuses(options):
    with pytest.raises(ArgumentError) as found:
        DataLoader([1], **options)
    assert any(name in str(found.value) for name in options)
    data = pytest.importorskip("torch.utils.data")
    with pytest.raises(ValueError):
        data.DataLoader([1], **options)


def test_other_options():
    for options in ({"shuffle": True}, {"sampler": [1]}, {"batch_sampler": [[1]]}):
        with pytest.raises(ArgumentError, match="an iterable dataset sets its own order"):
            DataLoader(Stream(3), **options)
    for name in ("batch_size", "sampler", "batch_sampler", "drop_last", "persistent_workers"):
        with pytest.raises(ArgumentError, match=f"the {name} of a DataLoader cannot change"):
            setattr(DataLoader([1]), name, 2)
    with pytest.raises(ArgumentError, match="prefetch_factor expects an integer from 1 up"):
        DataLoader([1], prefetch_factor=0, num_workers=1)
    for wrong in ({"sampler": 3}, {"collate_fn": 3}, {"generator": 3}, {"dataset": 3}):
        with pytest.raises(TypeError) as found:
            DataLoader(**{"dataset": [1]} | wrong)
        assert isinstance(found.value, TinyError)
    with pytest.raises(TypeError, match="has no len"):
        len(DataLoader(Stream(3)))
    loader = DataLoader(range(5), 2, pin_memory=True, in_order=True)
    assert (len(loader.sampler), list(loader.batch_sampler)) == (5, [[0, 1], [2, 3], [4]])


# -- what goes wrong ------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, 2])
@pytest.mark.parametrize(
    ("kind", "expected"),
    [("zero", ZeroDivisionError), ("key", KeyError), ("odd", sets.OddError), ("stop", DataError)],
)
def test_what_a_dataset_raises(kind, expected, n):
    """Its own type, and where it was raised; the batches after it come."""
    batches = iter(forked(Raising(kind), 3, num_workers=n))
    next(batches)
    with pytest.raises(expected) as caught:
        next(batches)
    text = "".join(traceback.format_exception(caught.value))
    assert "in __getitem__" in text
    assert type(caught.value) is expected
    assert plain(batches) == [[6, 7, 8], [9, 10]]


def test_what_cannot_be_raised_here():
    with pytest.raises(DataError, match=r"(?s)in __getitem__.*Exit: 4"):
        list(forked(Raising("exit"), 3))

    class LocalError(Exception):
        pass

    def collate(samples):
        raise LocalError("told")

    with pytest.raises(DataError, match=r"(?s)in collate.*LocalError: told"):
        list(forked([1], collate_fn=collate))
    with pytest.raises((TypeError, AttributeError), match="pickle"):
        list(forked([1], collate_fn=lambda _: lambda: 3))


@pytest.mark.parametrize(("way", "said"), [("exit", "exit code 3"), ("kill", "SIGKILL ended it")])
@pytest.mark.parametrize("persistent", [False, True])
def test_a_worker_that_dies_is_told(way, said, persistent):
    start = time.monotonic()
    loader = forked(Dying(way), 3, persistent_workers=persistent)
    for _ in range(2):
        batches = iter(loader)
        assert next(batches).tolist() == [0, 1, 2]
        with pytest.raises(WorkerError, match=f"worker 1 of 2 of the DataLoader died: .*{said}"):
            next(batches)
        assert list(batches) == []
    assert time.monotonic() - start < 20


def test_a_worker_that_hangs_is_given_up(tmp_path):
    """And the next pass has another."""
    loader = forked(Hanging(tmp_path / "hung"), 6, num_workers=1, timeout=0.5)
    with pytest.raises(RuntimeError, match=r"made no batch in 0\.5 s"):
        list(loader)
    loader.timeout = 0
    assert plain(loader) == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10]]


@pytest.mark.parametrize("used", ["torch", "torch's backend", "numpy"])
def test_a_fork_does_not_wait_for_threads_that_it_lacks(used, monkeypatch):
    """Those of a library that multiplied in the parent, and multiplies in the worker."""
    large, before = np.ones((600, 600), dtype=np.float32), 0
    if used != "numpy":
        torch = pytest.importorskip("torch")
        large, before = torch.from_numpy(large), torch.get_num_threads()
        torch.set_num_threads(2)
    if used == "torch":  # by the program, and not as a backend
        monkeypatch.setattr(tx.backends, "loaded", list)

    class Multiplied(Dataset):
        def __len__(self):
            return 2

        def __getitem__(self, i):
            return float((large @ large).sum())

    try:
        with tx.backend("torch") if used == "torch's backend" else contextlib.nullcontext():
            assert Multiplied()[0] == 600**3
            assert list(forked(Multiplied(), None, timeout=20)) == [600**3] * 2
    finally:
        if before:
            torch.set_num_threads(before)


def test_a_fork_is_not_the_writer_of_a_run(tmp_path):
    """Else a run whose process was killed could not go on before its workers have ended."""

    class Held(Dataset):
        def __len__(self):
            return 1

        def __getitem__(self, i):
            files = [os.readlink(f.path) for f in os.scandir("/proc/self/fd") if f.is_symlink()]
            with only_writer(tmp_path / "other"):
                return any("writer.pid" in file for file in files)

    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("there is no /proc to look in")
    (tmp_path / "other").mkdir()
    with only_writer(tmp_path):
        assert list(forked(Held(), None)) == [False]
        assert (tmp_path / "writer.pid").exists()
    assert not (tmp_path / "writer.pid").exists()


def test_ctrl_c_is_left_to_the_parent():
    """The terminal sends it to all processes; the parent may want to end its step."""
    iterator = iter(forked(Squares(), 1, num_workers=1))
    (pid,) = next(iterator)["who"].tolist()
    os.kill(pid, signal.SIGINT)
    assert [batch["who"].tolist() for batch in iterator] == [[pid]] * 10


def test_passes_that_are_left_leave_nothing():
    """No process, no file descriptor, no shared memory."""

    def held():
        children = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(os.getpid())], capture_output=True, text=True
        ).stdout.split()
        shared = len(os.listdir("/dev/shm")) if os.path.isdir("/dev/shm") else 0
        return len(children), len(os.listdir("/proc/self/fd")), shared

    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("there is no /proc to count in")
    before = held()
    for n in (1, 2):
        for _ in range(15):
            for _ in forked(Scaled(1), 1, num_workers=n):
                break
    assert held() == before


SCRIPT = """
from tinyxp.data import DataLoader
class Mine:
    def __len__(self): return 2
    def __getitem__(self, i): return i
for batch in DataLoader(Mine(), num_workers=2{start}): print(batch)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the default is a fork on Linux")
@pytest.mark.parametrize("way", ["a file", "standard input"])
def test_a_script_without_a_guard(tmp_path, way):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(start=""))
    command = [sys.executable, *([script] if way == "a file" else ["-"])]
    done = subprocess.run(
        command, input=script.read_text(), capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("tensor([0])\ntensor([1])\n", "")


def test_a_script_without_the_guard_that_spawn_needs_is_told(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(start=", multiprocessing_context='spawn'"))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "WorkerError: a worker process cannot start others while it imports" in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert "if __name__ == '__main__':" in last
    assert "WorkerError: worker 0 of 2 of the DataLoader died" in last


def test_ctrl_c_ends_all(tmp_path):
    """Pressed in a loop over batches: the program ends, and its workers with it."""
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""
        import os, signal, time
        from tinyxp.data import DataLoader, Dataset
        class Slow(Dataset):
            def __len__(self): return 9
            def __getitem__(self, i):
                time.sleep(0.2 if i < 2 else 30)
                return os.getpid()
        for batch in DataLoader(Slow(), num_workers=2, multiprocessing_context="fork"):
            print(batch.item(), flush=True)
        """)
    )
    program = subprocess.Popen(
        [sys.executable, script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    workers = [int(program.stdout.readline()) for _ in range(2)]
    start = time.monotonic()
    os.killpg(program.pid, signal.SIGINT)
    _, errors = program.communicate(timeout=30)
    assert time.monotonic() - start < 10
    assert errors.strip().endswith("KeyboardInterrupt")
    assert errors.count("Traceback") == 1
    for pid in workers:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
