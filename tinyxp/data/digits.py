"""Handwritten digits of 8 x 8 pixels that come with tinyxp, for training without a network."""

from importlib.resources import as_file, files
from typing import Any

from tinyxp.data.datasets import TensorDataset
from tinyxp.data.idx import dataset, read_idx
from tinyxp.random import Generator

TRAIN = 1437  # of 1,797


def load_digits() -> tuple[TensorDataset, TensorDataset]:
    """1,437 digits for training and 360 for tests: images (N, 1, 8, 8), labels (N,) int64.

    Pixels are float32 in [0, 1]: the black part, in sixteenths, of a block of 4 x 4 dots. The
    split is always the same random one, so the same 13 people wrote both parts.

    Source: E. Alpaydin & C. Kaynak 1998, Optical Recognition of Handwritten Digits, UCI Machine
    Learning Repository, doi 10.24432/C50P49, licence CC BY 4.0; its part for tests. See
    DIGITS.txt beside this file.

    >>> train, test = tx.data.load_digits()
    >>> images, labels = test.tensors
    >>> images.shape, labels[:5]
    ((360, 1, 8, 8), tensor([9, 6, 1, 1, 5]))
    """
    images, labels = map(_read, ("digits-images.idx3-ubyte.gz", "digits-labels.idx1-ubyte.gz"))
    order = Generator(0).permutation(len(labels))
    train, test = (
        dataset(images[part], labels[part], 16.0, "digits")
        for part in (order[:TRAIN], order[TRAIN:])
    )
    return train, test


def _read(name: str) -> Any:
    with as_file(files("tinyxp.data") / name) as path:
        return read_idx(path)
