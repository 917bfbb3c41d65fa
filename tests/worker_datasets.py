"""Datasets for tests of worker processes, which import them from here."""

import os
import random
import time

import numpy as np

import tinyxp as tx
from tinyxp.data import Dataset


class Squares(Dataset):
    def __len__(self):
        return 11

    def __getitem__(self, i):
        return {"x": tx.asarray([float(i)]), "y": i * i, "who": os.getpid()}


class Noisy(Squares):
    """What augmentation draws."""

    def __getitem__(self, i):
        return random.random(), float(np.random.rand()), float(tx.rand(1)[0])


class Failing(Squares):
    def __getitem__(self, i):
        return 1 / (5 - i)


class Dying(Squares):
    def __getitem__(self, i):
        if i == 5:
            os._exit(1)
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


class OddError(Exception):
    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")


class Raising(Squares):
    """What cannot be pickled, what would end a loop, and what would end a program."""

    def __init__(self, kind):
        self.kind = kind

    def __getitem__(self, i):
        raise {"odd": OddError(1, 2), "stop": StopIteration("3"), "exit": SystemExit(4)}[self.kind]
