"""Datasets, samplers and loaders, and text for language models."""

from tinyxp.data.bpe import BPETokenizer
from tinyxp.data.collation import collate
from tinyxp.data.corpus import Corpus, load_corpus
from tinyxp.data.datasets import (
    ConcatDataset,
    Dataset,
    IterableDataset,
    Subset,
    TensorDataset,
    random_split,
)
from tinyxp.data.digits import load_digits
from tinyxp.data.epochs import Epochs
from tinyxp.data.idx import load_mnist, read_idx
from tinyxp.data.loader import DataLoader
from tinyxp.data.points import two_clouds, xor_points
from tinyxp.data.samplers import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from tinyxp.data.text import CharTokenizer, split
from tinyxp.data.windows import RandomWindows, all_windows, windows
from tinyxp.data.workers import WorkerInfo, get_worker_info

__all__ = [
    "BPETokenizer", "BatchSampler", "CharTokenizer", "ConcatDataset", "Corpus", "DataLoader",
    "Dataset", "Epochs", "IterableDataset", "RandomSampler", "RandomWindows", "Sampler",
    "SequentialSampler", "Subset", "SubsetRandomSampler", "TensorDataset", "WeightedRandomSampler",
    "WorkerInfo", "all_windows", "collate", "get_worker_info", "load_corpus", "load_digits",
    "load_mnist", "random_split", "read_idx", "split", "two_clouds", "windows", "xor_points",
]  # fmt: skip
