"""Data: datasets and their batches, and text for language models."""

from tinyxp.data.bpe import BPETokenizer
from tinyxp.data.corpus import Corpus, load_corpus
from tinyxp.data.loader import (
    DataLoader,
    Dataset,
    Subset,
    TensorDataset,
    collate,
    random_split,
)
from tinyxp.data.text import CharTokenizer, split

__all__ = [
    "BPETokenizer",
    "CharTokenizer",
    "Corpus",
    "DataLoader",
    "Dataset",
    "Subset",
    "TensorDataset",
    "collate",
    "load_corpus",
    "random_split",
    "split",
]
