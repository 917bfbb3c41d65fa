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
    def __getitem__(self, i):
        if i == 5:
            time.sleep(60)
        return i
