"""Data: datasets and their batches, and text for language models."""

from tinyxp.data.bpe import BPETokenizer
from tinyxp.data.corpus import Corpus, load_corpus
from tinyxp.data.digits import load_digits
from tinyxp.data.idx import load_mnist, read_idx
from tinyxp.data.loader import (
    DataLoader,
    Dataset,
    Epochs,
    Subset,
    TensorDataset,
    collate,
    random_split,
)
from tinyxp.data.points import two_clouds, xor_points
from tinyxp.data.text import CharTokenizer, split
from tinyxp.data.windows import RandomWindows, all_windows, windows

__all__ = [
    "BPETokenizer",
    "CharTokenizer",
    "Corpus",
    "DataLoader",
    "Dataset",
    "Epochs",
    "RandomWindows",
    "Subset",
    "TensorDataset",
    "all_windows",
    "collate",
    "load_corpus",
    "load_digits",
    "load_mnist",
    "random_split",
    "read_idx",
    "split",
    "two_clouds",
    "windows",
    "xor_points",
]
