"""Worker processes that make the batches of a DataLoader ahead of time."""

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

GRACE = 2.0  # seconds that a worker has to end by itself
_ours: WeakSet[Any] = WeakSet()  # our ends of all pipes: a forked worker must not hold them open
_starting = threading.Lock()
if hasattr(os, "register_at_fork"):  # the child of a fork would find it locked for ever
    os.register_at_fork(after_in_child=lambda: globals().update(_starting=threading.Lock()))


@dataclass
class WorkerInfo:
    """Which worker process this is: its number ``id`` of ``num_workers``, the ``seed`` that it
    began with, and its copy of the dataset."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


_info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """Within a worker process of a DataLoader, which one it is; None elsewhere.

    An iterable dataset gives each worker its share by it:

    >>> tx.data.get_worker_info() is None
    True
    """
    return _info


# -- in the process of the DataLoader -------------------------------------------------------------


class Workers:
    """``n`` processes that hold a copy of ``load``, which makes batches of keys.

    Each has one pipe, and no more. ``init`` is the loader's ``worker_init_fn``. Raises
    ArgumentError if ``load`` cannot be sent to them, WorkerError if they cannot be started.
    """

    def __init__(
        self,
        n: int,
        load: Load,
        init: Callable[[int], Any] | None,
        seed: int,
        context: Any,
    ) -> None:
        self.load = load
        self.turn = 0  # the pass that they work for
        self.busy = self.closed = False
        self.workers: list[_Worker] = []
        self.owner = os.getpid()
        backends.get("numpy")  # loaded once, and not by each fork
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
        """Whether they all live, are n, and hold copies of these very objects."""
        same = all(getattr(load, name, None) is value for name, value in vars(self.load).items())
        alive = not self.closed and all(w.process.is_alive() for w in self.workers)
        return type(load) is type(self.load) and same and alive and len(self.workers) == n

    def close(self, grace: float = GRACE) -> None:
        """End the processes; those that hang, after ``grace`` seconds."""
        if self.closed:
            return
        self.closed = True
        for worker in self.workers:
            worker.pipe.close()
        if self.owner != os.getpid():
            return  # in a fork of ours, where they are no children
        end = time.monotonic() + grace
        for worker in self.workers:
            worker.process.join(max(end - time.monotonic(), 0))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.process.close()


class _Worker:
    """One process, and our end of its pipe."""

    def __init__(self, context: Any, work: tuple[Any, ...]) -> None:
        self.name = f"worker {work[0].id} of {work[0].num_workers} of the DataLoader"
        self.pipe, theirs = context.Pipe()
        _ours.add(self.pipe)
        try:
            self.process = context.Process(target=_serve, args=(theirs, *work), daemon=True)
            with warnings.catch_warnings():
                # Python 3.12 and later: other threads may hold locks. _serve waits for none of ours
                warnings.filterwarnings("ignore", ".*multi-threaded.*fork", DeprecationWarning)
                self.process.start()
        except BaseException:
            self.pipe.close()
            raise
        finally:
            theirs.close()

    def ask(self, job: tuple[Any, ...]) -> None:
        with contextlib.suppress(OSError):  # it has died: what it has sent before comes first
            self.pipe.send(job)

    def answer(self, turn: int, timeout: float) -> tuple[Any, ...]:
        """What it made next, for the pass ``turn``: what is left of earlier ones is not for us."""
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
            self.process.join(5 * GRACE)  # what it held is closed, and it ends in a moment
            raise WorkerError(f"{self.name} died: {_cause(self.process.exitcode)}")


def _cause(code: int | None) -> str:
    if code is not None and code < 0:
        with contextlib.suppress(ValueError):
            name = signal.Signals(-code).name
            memory = ", perhaps for its memory" if name == "SIGKILL" else ""
            return f"{name} ended it{memory}; num_workers=0 loads here"
    return (
        f"it ended with exit code {code}, and may have said why above. If it could not start: a "
        "script needs if __name__ == '__main__': around what it does, and a notebook's own classes "
        "need multiprocessing_context='fork' or a module; num_workers=0 loads here"
    )


def _start_error(error: Exception) -> Exception:
    if getattr(processes.current_process(), "_inheriting", False):
        return WorkerError(
            "a worker process cannot start others while it imports the script that started it: put "
            "what the script does under if __name__ == '__main__':, or take num_workers=0"
        )
    if isinstance(error, OSError) or processes.current_process().daemon:
        return WorkerError(f"no worker process can be started here: {error}; num_workers=0 loads")
    return ArgumentError(
        f"worker processes need a copy of the dataset and its collate_fn, but {error}; define "
        "functions and classes at the top of a module, or take multiprocessing_context='fork' or "
        "num_workers=0"
    )


@contextlib.contextmanager
def _interrupts_later() -> Iterator[None]:
    """Ctrl-C reaches all processes of a terminal: none may see it before it is ready for it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Batches:
    """The batches of the jobs (number, keys), in their order; ``ahead`` of them for each worker are
    made in advance.

    What a worker raises is raised here, with its traceback; as a DataError, if it cannot be sent.
    Raises WorkerError if one dies, or needs longer than ``timeout`` seconds (0: no limit). At the
    end the workers end, but for those that a loader has ``kept`` for its next pass.
    """

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
        self.kept = kept  # which would end them if we did not hold it
        self.due: deque[_Worker | Exception] = deque()  # in the order in which batches come
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
            except BaseException:  # also Ctrl-C: half a message may have been read
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
        except Exception as error:  # the sampler's own: it comes after the batches before it
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
    """What a worker process does, until its DataLoader closes the pipe."""
    global _info
    for other in list(_ours):
        other.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business, as is
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    backends.use_backend("numpy")  # a GPU's memory
    for backend in backends.loaded():  # the cores are shared among the workers; and a fork has
        backend.set_threads(1)  # none of the threads that a library would wait for
    torch: Any = sys.modules.get("torch")  # which the program may use beside tinyxp
    if hasattr(torch, "set_num_threads"):
        torch.set_num_threads(1)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    _info = info
    # sent by a thread of its own, so that the next batch is made while this one waits in the pipe
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
    """(None, f(x)); or what went wrong, and None."""
    try:
        return None, f(x)
    except Exhausted:
        return Exhausted, None
    except BaseException as error:
        return Failure(error), None
