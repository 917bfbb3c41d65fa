"""Optimizers, learning-rate schedules, weight averaging and gradient clipping, with PyTorch's names
and formulas."""

from tinyxp.nn.utils.clip_grad import (
    clip_grad_norm_,
    clip_grad_value_,
    clip_grads_with_norm_,
    get_total_norm,
)
from tinyxp.optim import lr_scheduler, swa_utils
from tinyxp.optim.adagrad import *
from tinyxp.optim.adam import *
from tinyxp.optim.adam_variants import *
from tinyxp.optim.muon import *
from tinyxp.optim.optimizer import *
from tinyxp.optim.sgd import *
from tinyxp.optim.sign_based import *
