"""Utilities for parameters, gradients and sequences."""

from tinyxp.nn.utils import rnn
from tinyxp.nn.utils.clip_grad import (
    clip_grad_norm_,
    clip_grad_value_,
    clip_grads_with_norm_,
    get_total_norm,
)
from tinyxp.nn.utils.vectors import parameters_to_vector, vector_to_parameters
from tinyxp.nn.utils.weight_normalization import remove_weight_norm, weight_norm

__all__ = [
    "clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm",
    "parameters_to_vector", "remove_weight_norm", "rnn", "vector_to_parameters", "weight_norm",
]  # fmt: skip
