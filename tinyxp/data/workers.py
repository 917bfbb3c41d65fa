"""Worker processes that make the batches of a DataLoader ahead of time."""

import pickle
import random
import signal
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures import TimeoutError as Late
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any

import numpy as np

from tinyxp import backends
from tinyxp.backends import Array
from tinyxp.backends.errors import ArgumentError, DataError
from tinyxp.core import Tensor
from tinyxp.ops.creation import move
from tinyxp.random import Generator, manual_seed
from tinyxp.tree import tree_map

Load = Callable[[Array], Any]
_load: Load | None = None  # of a worker process, which serves one loader


class Workers:
    """``n`` processes that hold a copy of ``load``, the function from indices to a batch.

    They are started afresh, not forked: a fork copies locks that other threads hold. Each batch has
    a seed of its own, for tinyxp's, Python's and NumPy's random numbers, so that the batches are
    the same for any number of workers. Raises ArgumentError if ``load`` cannot be sent to them.
    """

    def __init__(self, n: int, load: Load) -> None:
        self.n, self.alive = n, True
        try:
            data = pickle.dumps(load)  # once for all of them
        except Exception as error:  # whatever an object's own way to be pickled raises
            raise ArgumentError(
                f"worker processes need a copy of the dataset and its collate_fn, but {error}; "
                "define functions and classes at the top of a module, or take num_workers=0"
            ) from error
        self.pool = ProcessPoolExecutor(n, get_context("spawn"), _begin, (data,))

    def batches(
        self, jobs: Iterator[tuple[Array, int]], ahead: int, timeout: float
    ) -> Iterator[Any]:
        """The batches of (indices, seed), in that order, ``ahead`` of them for each worker being
        made in advance.

        What a worker raises is raised here, with its traceback; as a DataError, if it cannot be
        sent. Raises DataError if one dies, or needs longer than ``timeout`` seconds (0: no limit).
        """
        waiting: deque[Future[Any]] = deque()
        backend = backends.current()
        try:
            for job in jobs:
                waiting.append(self.pool.submit(_make, *job))
                if len(waiting) > ahead * self.n:
                    yield _moved(self._result(waiting.popleft(), timeout), backend)
            while waiting:
                yield _moved(self._result(waiting.popleft(), timeout), backend)
        except KeyboardInterrupt:
            self.close()  # or the end of the program would wait for them
            raise
        except BrokenProcessPool as error:
            self.alive = False
            raise DataError(
                "a worker process of the DataLoader died: the system killed it, perhaps for its "
                "memory, or it could not start (a script needs if __name__ == '__main__':); "
                "num_workers=0 loads here"
            ) from error
        finally:
            for future in waiting:
                future.cancel()

    def _result(self, future: Future[Any], timeout: float) -> Any:
        try:
            return future.result(timeout or None)
        except Late:
            if future.done():
                raise  # the dataset's own
            self.close()
            raise DataError(
                f"a worker process of the DataLoader made no batch in {timeout:g} s"
            ) from None

    def close(self) -> None:
        """End the processes, also those that hang."""
        self.alive = False
        processes = list((self.pool._processes or {}).values())
        self.pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.terminate()


def _begin(load: bytes) -> None:
    global _load
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business, as is
    backends.use_backend("numpy")  # a GPU's memory
    _load = pickle.loads(load)


def _make(indices: Array, seed: int) -> Any:
    assert _load is not None
    manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)
    try:
        return _load(indices)
    except BaseException as error:
        if _travels(error):
            raise
        raise DataError("".join(traceback.format_exception(error))) from None


def _travels(error: BaseException) -> bool:
    """Whether an error can be raised in the parent: the others end the pool, the loop or the
    program, without a word."""
    try:
        kind = type(pickle.loads(pickle.dumps(error)))
    except Exception:
        return False
    return issubclass(kind, Exception) and not issubclass(kind, StopIteration)


def _moved(batch: Any, backend: Any) -> Any:
    """A batch that was made on NumPy, on the backend in use."""
    if backend.name == "numpy":
        return batch
    return tree_map(lambda x: move(x, backend, None) if isinstance(x, Tensor) else x, batch)


def seeds(generator: Generator, epoch: int) -> Iterator[int]:
    """A seed for each batch of an epoch; nothing is drawn from ``generator`` itself."""
    words = (generator.seed, generator.counter, epoch)
    draw = np.random.SeedSequence([word & (2**64 - 1) for word in words])
    for child in iter(lambda: draw.spawn(1)[0], None):
        yield int(child.generate_state(1, np.uint64)[0])
