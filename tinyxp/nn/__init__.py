"""Neural networks: modules, functions, first values; names and defaults follow torch.nn."""

from tinyxp.nn import functional, init, utils
from tinyxp.nn.containers import ModuleDict, ModuleList, Sequential
from tinyxp.nn.criterions import (
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    L1Loss,
    MSELoss,
    NLLLoss,
)
from tinyxp.nn.layers import (
    GELU,
    Dropout,
    Embedding,
    Flatten,
    Identity,
    LayerNorm,
    Linear,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Tanh,
)
from tinyxp.nn.module import Module, ModuleError
from tinyxp.nn.multihead import MultiheadAttention
from tinyxp.nn.parameter import Parameter
from tinyxp.nn.positional import LearnedPositionalEncoding, SinusoidalPositionalEncoding
from tinyxp.nn.transformer import TransformerEncoder, TransformerEncoderLayer

__all__ = [
    "functional",
    "init",
    "utils",
    "ModuleDict",
    "ModuleList",
    "Sequential",
    "BCELoss",
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "L1Loss",
    "MSELoss",
    "NLLLoss",
    "GELU",
    "Dropout",
    "Embedding",
    "Flatten",
    "Identity",
    "LayerNorm",
    "Linear",
    "ReLU",
    "Sigmoid",
    "SiLU",
    "Softmax",
    "Tanh",
    "Module",
    "ModuleError",
    "Parameter",
    "MultiheadAttention",
    "LearnedPositionalEncoding",
    "SinusoidalPositionalEncoding",
    "TransformerEncoder",
    "TransformerEncoderLayer",
]
