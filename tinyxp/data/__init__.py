"""Data: datasets and their batches, and text for language models."""

from tinyxp.data.loader import (
    DataLoader,
    Dataset,
    Subset,
    TensorDataset,
    collate,
    random_split,
)
from tinyxp.data.text import CharTokenizer, Corpus, load_corpus, split

__all__ = [
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
