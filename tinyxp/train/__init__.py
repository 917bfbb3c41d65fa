"""Training: the Trainer, and what a run of it leaves behind."""

from tinyxp.train.run import Run
from tinyxp.train.trainer import Trainer, decay_groups, evaluation, mean_loss, unmoved

__all__ = ["Run", "Trainer", "decay_groups", "evaluation", "mean_loss", "unmoved"]
