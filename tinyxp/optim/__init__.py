"""Optimizers, learning-rate schedules, averages of weights and clipping of gradients, with
PyTorch's names and formulas."""

from tinyxp.nn.utils.clip_grad import (
    clip_grad_norm_,
    clip_grad_value_,
    clip_grads_with_norm_,
    get_total_norm,
)
from tinyxp.optim import lr_scheduler, swa_utils
from tinyxp.optim.adagrad import Adadelta, Adagrad, RMSprop
from tinyxp.optim.adam import Adam, AdamW
from tinyxp.optim.adam_variants import Adamax, NAdam, RAdam
from tinyxp.optim.muon import Muon
from tinyxp.optim.optimizer import Optimizer
from tinyxp.optim.sgd import ASGD, SGD
from tinyxp.optim.sign_based import Lion, Rprop

__all__ = [
    "ASGD",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Lion",
    "Muon",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "clip_grad_norm_",
    "clip_grad_value_",
    "clip_grads_with_norm_",
    "get_total_norm",
    "lr_scheduler",
    "swa_utils",
]
