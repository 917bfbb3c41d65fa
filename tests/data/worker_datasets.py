"""Datasets for tests of worker processes, which import them from here."""

import os
import random
import signal
import time

import numpy as np

import tinyxp as tx
from tinyxp.data import Dataset, IterableDataset, get_worker_info


class Squares(Dataset):
    def __len__(self):
        return 11

    def __getitem__(self, i):
        return {"x": tx.asarray([float(i)]), "y": i * i, "who": os.getpid()}


class Scaled(Dataset):
    """What a program changes between passes."""

    def __init__(self, factor):
        self.factor = factor

    def __len__(self):
        return 4

    def __getitem__(self, i):
        return i * self.factor


class Noisy(Squares):
    """What augmentation draws."""

    def __getitem__(self, i):
        return random.random(), float(np.random.rand()), float(tx.rand(1)[0])


class OddError(Exception):
    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")
        self.first = first


class Raising(Squares):
    """What a constructor of its own makes hard to send, what would end a loop, or a program."""

    def __init__(self, kind):
        self.kind = kind

    def __getitem__(self, i):
        errors = {"odd": OddError(1, 2), "stop": StopIteration("3"), "exit": SystemExit(4)}
        errors |= {"zero": ZeroDivisionError("by zero"), "key": KeyError("name")}
        if i == 5:
            raise errors[self.kind]
        return i


class Dying(Squares):
    def __init__(self, way):
        self.way = way

    def __getitem__(self, i):
        if i == 5:
            if self.way == "exit":
                os._exit(3)
            os.kill(os.getpid(), signal.SIGKILL)
        return i


class Hanging(Squares):
    """Once: then a file says that it did."""

    def __init__(self, path):
        self.path = path

    def __getitem__(self, i):
        if i == 5 and not self.path.exists():
            self.path.touch()
            time.sleep(60)
        return i


class Stream(IterableDataset):
    """0 … n - 1, each worker its share."""

    def __init__(self, n):
        self.n = n

    def __iter__(self):
        info = get_worker_info()
        return iter(range(self.n) if info is None else range(info.id, self.n, info.num_workers))


class Told(Dataset):
    """Which worker it is in, and what ``worker_init_fn`` told it."""

    told = -1

    def __len__(self):
        return 6

    def __getitem__(self, i):
        info = get_worker_info()
        assert info.dataset is self
        return info.id, info.num_workers, self.told


def tell(worker):
    get_worker_info().dataset.told = 10 * worker


def fail_to_begin(worker):
    raise OSError(f"no file for worker {worker}")
