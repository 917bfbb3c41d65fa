"""What several test files use."""

import numpy as np

import tinyxp as tx


def leaf(values, dtype=tx.float64):
    return tx.asarray(values, dtype=dtype, requires_grad=True)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)
