"""Optimizers, learning-rate schedules, weight averaging and gradient clipping, with PyTorch's names
and formulas."""

from tinyxp.nn.utils.clip_grad import *
from tinyxp.optim import lr_scheduler, swa_utils
from tinyxp.optim.adagrad import *
from tinyxp.optim.adam import *
from tinyxp.optim.adam_variants import *
from tinyxp.optim.muon import *
from tinyxp.optim.optimizer import *
from tinyxp.optim.sgd import *
from tinyxp.optim.sign_based import *
