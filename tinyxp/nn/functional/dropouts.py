"""Dropout: parts of a value left out at random while training."""

from tinyxp.backends.errors import ArgumentError
from tinyxp.ops.arithmetic import where
from tinyxp.random import default_generator

__all__ = ["dropout"]


def dropout(input, p=0.5, training=True, *, generator=None):
    """y = x / (1 - p) with probability 1 - p, else 0: so that the mean stays. (...) -> (...)

    Does nothing unless ``training``. Raises ArgumentError for p outside of [0, 1].
    Source: Srivastava et al. 2014, with the scaling at training time.

    >>> tx.nn.functional.dropout(tx.ones(4), 0.5, generator=tx.random.Generator(0))
    tensor([2., 0., 0., 0.])
    """
    if not 0 <= p <= 1:
        raise ArgumentError(f"a dropout probability lies in [0, 1], got {p}")
    if not training or p == 0:
        return input
    keep = (generator or default_generator()).bernoulli(input, 1 - p)
    return where(keep, input * (1 / (1 - p) if p < 1 else 0.0), 0.0)
