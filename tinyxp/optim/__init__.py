"""Optimizers, learning-rate schedules and gradient clipping, with PyTorch's names and formulas."""

from tinyxp.optim import lr_scheduler
from tinyxp.optim.adam import Adam, AdamW
from tinyxp.optim.clip import clip_grad_norm_, clip_grad_value_
from tinyxp.optim.optimizer import Optimizer
from tinyxp.optim.sgd import SGD

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "Optimizer",
    "clip_grad_norm_",
    "clip_grad_value_",
    "lr_scheduler",
]
