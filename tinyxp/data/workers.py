"""Worker processes that make the batches of a DataLoader in advance."""

import contextlib
import os
import pickle
import queue
import signal
import sys
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import process as processes
from multiprocessing.connection import Connection, wait
from typing import Any
from weakref import WeakSet, finalize

from tinyxp import backends
from tinyxp.data.fetch import Exhausted, Load, Seeds, reseed
from tinyxp.data.worker_errors import Failure
from tinyxp.errors import ArgumentError, WorkerError
from tinyxp.random import manual_seed

GRACE = 2.0  # seconds for a worker to end by itself
_ours: WeakSet[Any] = WeakSet()  # our ends of all pipes; a forked worker must not keep them open
_starting = threading.Lock()
if hasattr(os, "register_at_fork"):  # a fork may happen while another thread holds the lock
    os.register_at_fork(after_in_child=lambda: globals().update(_starting=threading.Lock()))


@dataclass
class WorkerInfo:
    """A worker process: its number ``id`` of ``num_workers``, the ``seed`` with which it started,
    and its copy of the dataset."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


_info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """Describe this worker process of a DataLoader; None in other processes.

    An iterable dataset uses it to select the share of each worker:

    >>> tx.data.get_worker_info() is None
    True
    """
    return _info


# -- in the process of the DataLoader -------------------------------------------------------------


class Workers:
    """``n`` processes with a copy of ``load``, which makes batches from keys.

    Each has one pipe. ``init`` is the loader's ``worker_init_fn``. Raises ArgumentError if ``load``
    cannot be sent to them, WorkerError if they cannot be started.
    """

    def __init__(
        self, n: int, load: Load, init: Callable[[int], Any] | None, seed: int, context: Any
    ) -> None:
        self.load = load
        self.turn = 0  # the number of the present pass
        self.busy = self.closed = False
        self.workers: list[_Worker] = []
        self.owner = os.getpid()
        backends.get("numpy")  # loaded once, not in each fork
        try:
            with _starting, _interrupts_later():
                for i in range(n):
                    info = WorkerInfo(i, n, seed + i, load.dataset)
                    self.workers.append(_Worker(context, (info, load, init)))
        except BaseException as error:
            self.close(grace=0)
            if not isinstance(error, Exception):
                raise
            raise _start_error(error) from error

    def serve(self, load: Load, n: int) -> bool:
        """Whether there are n, all alive, with copies of these very objects."""
        same = all(getattr(load, name, None) is value for name, value in vars(self.load).items())
        alive = not self.closed and all(w.process.is_alive() for w in self.workers)
        return type(load) is type(self.load) and same and alive and len(self.workers) == n

    def close(self, grace: float = GRACE) -> None:
        """End the processes, and kill those that still run after ``grace`` seconds."""
        if self.closed:
            return
        self.closed = True
        for worker in self.workers:
            worker.pipe.close()
        if self.owner != os.getpid():
            return  # they are not children of a forked process
        end = time.monotonic() + grace
        for worker in self.workers:
            worker.process.join(max(end - time.monotonic(), 0))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.process.close()


class _Worker:
    """One process and our end of its pipe."""

    def __init__(self, context: Any, work: tuple[Any, ...]) -> None:
        self.name = f"worker {work[0].id} of {work[0].num_workers} of the DataLoader"
        self.pipe, theirs = context.Pipe()
        _ours.add(self.pipe)
        try:
            self.process = context.Process(target=_serve, args=(theirs, *work), daemon=True)
            with warnings.catch_warnings():
                # Python 3.12 and later warn of locks that other threads hold; _serve needs none
                warnings.filterwarnings("ignore", ".*multi-threaded.*fork", DeprecationWarning)
                self.process.start()
        except BaseException:
            self.pipe.close()
            raise
        finally:
            theirs.close()

    def ask(self, job: tuple[Any, ...]) -> None:
        with contextlib.suppress(OSError):  # it has died; its earlier answers come first
            self.pipe.send(job)

    def answer(self, turn: int, timeout: float) -> tuple[Any, ...]:
        """The next answer for the pass ``turn``; those for earlier passes are dropped."""
        while True:
            ready = wait([self.pipe, self.process.sentinel], timeout or None)
            if not ready:
                raise WorkerError(f"{self.name} made no batch in {timeout:g} s")
            try:
                if self.pipe in ready or self.pipe.poll():
                    answer = pickle.loads(self.pipe.recv_bytes())
                    if answer[0] == turn:
                        return answer[1:]
                    continue
            except (EOFError, ConnectionError):
                pass  # below
            self.process.join(5 * GRACE)  # its pipe is closed, so it ends soon
            raise WorkerError(f"{self.name} died: {_cause(self.process.exitcode)}")


def _cause(code: int | None) -> str:
    if code is not None and code < 0:
        with contextlib.suppress(ValueError):
            name = signal.Signals(-code).name
            memory = ", perhaps because memory ran out" if name == "SIGKILL" else ""
            return f"{name} ended it{memory}; num_workers=0 loads in this process"
    return (
        f"it ended with exit code {code}, perhaps with an error above. If it could not start: a "
        "script needs if __name__ == '__main__': around its code, and a notebook's own classes "
        "need multiprocessing_context='fork' or a module; num_workers=0 loads in this process"
    )


def _start_error(error: Exception) -> Exception:
    if getattr(processes.current_process(), "_inheriting", False):
        return WorkerError(
            "a worker process cannot start others while it imports the script that started it: put "
            "the code of the script under if __name__ == '__main__':, or use num_workers=0"
        )
    if isinstance(error, OSError) or processes.current_process().daemon:
        return WorkerError(
            f"no worker process can be started: {error}; num_workers=0 loads in this process"
        )
    return ArgumentError(
        f"worker processes need a copy of the dataset and its collate_fn, but {error}; define "
        "functions and classes at the top of a module, or use multiprocessing_context='fork' or "
        "num_workers=0"
    )


@contextlib.contextmanager
def _interrupts_later() -> Iterator[None]:
    """Ctrl-C reaches all processes of a terminal; delay it until a new one handles it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Batches:
    """The batches of the jobs (number, keys) in order, made by workers, ``ahead`` per worker in
    advance. The workers end with the pass, unless a loader has ``kept`` them for the next one."""

    def __init__(
        self,
        workers: Workers,
        jobs: Iterator[tuple[int, Any]],
        seeds: Seeds,
        ahead: int,
        timeout: float,
        kept: Any = None,
    ) -> None:
        workers.turn += 1
        workers.busy = True
        self.workers, self.jobs, self.seeds, self.timeout = workers, jobs, seeds, timeout
        self.turn = workers.turn
        self.kept = kept  # a reference to the loader, whose end would end them
        self.due: deque[_Worker | Exception] = deque()  # in the order of the batches
        self.end = finalize(self, _release, workers, kept is not None)
        for _ in range(ahead):
            for worker in workers.workers:
                self._ask(worker)

    def __iter__(self) -> "Batches":
        return self

    def __next__(self) -> Any:
        while self.end.alive and self.due:
            worker = self.due.popleft()
            if isinstance(worker, Exception):
                raise worker
            try:
                failure, batch = worker.answer(self.turn, self.timeout)
            except BaseException:  # also Ctrl-C; a message may be half read
                self.workers.close(grace=0)
                self.end()
                raise
            if failure is Exhausted:
                continue
            self._ask(worker)
            if failure is not None:
                raise failure.error()
            return batch
        self.end()
        raise StopIteration

    def _ask(self, worker: "_Worker") -> None:
        try:
            number, keys = next(self.jobs)
        except StopIteration:
            return
        except Exception as error:  # the sampler's; it is raised after the batches before it
            self.due.append(error)
            return
        worker.ask((self.turn, keys, self.seeds.of(number)))
        self.due.append(worker)


def _release(workers: Workers, kept: bool) -> None:
    workers.busy = False
    if not kept:
        workers.close()


# -- in a worker process --------------------------------------------------------------------------


def _serve(
    pipe: Connection, info: WorkerInfo, load: Load, init: Callable[[int], Any] | None
) -> None:
    """The main function of a worker process, until its DataLoader closes the pipe."""
    global _info
    for other in list(_ours):
        other.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    backends.use_backend("numpy")  # needs no GPU memory
    # workers share the cores, and threads of libraries do not survive a fork
    for backend in backends.loaded():
        backend.set_threads(1)
    torch: Any = sys.modules.get("torch")  # the program may use it, too
    if hasattr(torch, "set_num_threads"):
        torch.set_num_threads(1)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    _info = info
    # a thread sends batches, so that the next one is made while this one waits in the pipe
    done: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    unheard = threading.Event()
    threading.Thread(target=_send, args=(pipe, done, unheard), daemon=True).start()
    _seed(info.seed)
    broken = None if init is None else _attempt(init, info.id)[0]
    now = 0
    while not unheard.is_set():
        try:
            turn, keys, seed = pipe.recv()
        except (EOFError, OSError):
            return
        if turn != now:
            load.restart()
            now = turn
        _seed(seed)
        failure, batch = (broken, None) if broken is not None else _attempt(load, keys)
        try:
            answer = pickle.dumps((turn, failure, batch), pickle.HIGHEST_PROTOCOL)
        except Exception as error:
            answer = pickle.dumps((turn, Failure(error), None))
        done.put(answer)


def _send(pipe: Connection, done: Any, unheard: threading.Event) -> None:
    try:
        while True:
            pipe.send_bytes(done.get())
    except OSError:
        unheard.set()


def _seed(seed: int) -> None:
    manual_seed(seed)
    reseed(seed)


def _attempt(f: Callable[[Any], Any], x: Any) -> tuple[Any, Any]:
    """(None, f(x)), or (the failure, None)."""
    try:
        return None, f(x)
    except Exhausted:
        return Exhausted, None
    except BaseException as error:
        return Failure(error), None
