"""Kernels that numba compiles, for float32; each passes on to NumPy's what it does not accept.

The compiled code is cached on disk. It releases the GIL, so that parts of a batch run in parallel,
and starts no threads of its own, as numba's would compete with those of the BLAS. Loops contain
no calls and no branches, so that LLVM can vectorize them.
"""

from tinyxp.backends.numpy.compiled import convolution, dense, optimizer, random, softmax
from tinyxp.backends.numpy.compiled.attention import Attention

KERNELS = dense.KERNELS | softmax.KERNELS | random.KERNELS | convolution.KERNELS
FUNCTIONS = optimizer.FUNCTIONS | random.FUNCTIONS
__all__ = ["FUNCTIONS", "KERNELS", "Attention"]
