"""Utilities for parameters, gradients and sequences."""

from tinyxp.nn.utils import rnn
from tinyxp.nn.utils.clip_grad import *
from tinyxp.nn.utils.vectors import *
from tinyxp.nn.utils.weight_normalization import *
