"""Learning-rate schedules: each a function of the step, with PyTorch's names and values.

PyTorch's get their rate from the one before; here it follows from the step alone, so that a
schedule can be resumed, joined and read anywhere. Only where something else has changed the rate
(another schedule, the user) does a schedule go on from the rate it finds, as PyTorch's do.
"""

from tinyxp.optim.lr_scheduler.base import LRScheduler
from tinyxp.optim.lr_scheduler.cycles import CosineAnnealingWarmRestarts, CyclicLR, OneCycleLR
from tinyxp.optim.lr_scheduler.factors import (
    ConstantLR,
    CosineAnnealingLR,
    ExponentialLR,
    LinearLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)
from tinyxp.optim.lr_scheduler.functions import LambdaLR, MultiplicativeLR, cosine_with_warmup
from tinyxp.optim.lr_scheduler.plateau import ReduceLROnPlateau
from tinyxp.optim.lr_scheduler.sequential import ChainedScheduler, SequentialLR

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
    "cosine_with_warmup",
]
