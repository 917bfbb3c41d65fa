"""Functions of layers without their parameters, under PyTorch's names: ``tx.nn.functional``."""

from tinyxp.nn.activations import gelu, log_softmax, relu, sigmoid, silu, softmax, softplus
from tinyxp.nn.attention import attention_weights, causal_mask, scaled_dot_product_attention
from tinyxp.nn.dropout import dropout
from tinyxp.nn.embedding import embedding, one_hot
from tinyxp.nn.linear import linear
from tinyxp.nn.losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    l1_loss,
    mse_loss,
    nll_loss,
)
from tinyxp.nn.norms import layer_norm
from tinyxp.ops.trigonometric import tanh

__all__ = [
    "gelu",
    "log_softmax",
    "relu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "attention_weights",
    "causal_mask",
    "scaled_dot_product_attention",
    "dropout",
    "embedding",
    "one_hot",
    "linear",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "l1_loss",
    "mse_loss",
    "nll_loss",
    "layer_norm",
    "tanh",
]
