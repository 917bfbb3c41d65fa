"""Learning-rate schedules: each a function of the step, with PyTorch's names and values.

PyTorch derives a rate from the previous one. Here it follows from the step alone, so a schedule can
be resumed, combined and read at any step. If something else has changed the rate (another schedule,
the user), a schedule continues from the rate that it finds, as PyTorch's do.
"""

from tinyxp.optim.lr_scheduler.base import *
from tinyxp.optim.lr_scheduler.cycles import *
from tinyxp.optim.lr_scheduler.factors import *
from tinyxp.optim.lr_scheduler.functions import *
from tinyxp.optim.lr_scheduler.plateau import *
from tinyxp.optim.lr_scheduler.sequential import *
