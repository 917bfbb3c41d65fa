"""Kernels that numba compiles, for float32; each passes on to NumPy's what it does not know."""

from tinyxp.backends.numpy.compiled import convolution, dense, optimizer, random, softmax
from tinyxp.backends.numpy.compiled.attention import Attention

KERNELS = dense.KERNELS | softmax.KERNELS | random.KERNELS | convolution.KERNELS
FUNCTIONS = optimizer.FUNCTIONS | random.FUNCTIONS
__all__ = ["FUNCTIONS", "KERNELS", "Attention"]
