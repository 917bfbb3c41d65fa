"""Worker processes that make the batches of a DataLoader ahead of time."""

import random
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
from tinyxp.backends.errors import DataError
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
    the same for any number of workers.
    """

    def __init__(self, n: int, load: Load) -> None:
        self.n = n
        self.pool = ProcessPoolExecutor(n, get_context("spawn"), _begin, (load,))

    def batches(
        self, jobs: Iterator[tuple[Array, int]], ahead: int, timeout: float
    ) -> Iterator[Any]:
        """The batches of (indices, seed), in that order, ``ahead`` of them for each worker being
        made in advance.

        What a worker raises is raised here, with its traceback. Raises DataError if one dies, or
        needs longer than ``timeout`` seconds (0: no limit).
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
        except BrokenProcessPool as error:
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
        processes = list((self.pool._processes or {}).values())
        self.pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.terminate()


def _begin(load: Load) -> None:
    global _load
    backends.use_backend("numpy")  # a GPU's memory is the parent's business
    _load = load


def _make(indices: Array, seed: int) -> Any:
    assert _load is not None
    manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)
    return _load(indices)


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
