"""Linear algebra: the linalg extension of the Array API, of matrices and of stacks of them.

A stack (..., m, n) is taken matrix by matrix. Integers become float32 first where the result is not
one. A gradient that does not exist is an error that says why, where it can be seen.
"""

from tinyxp.linalg.determinants import det, slogdet
from tinyxp.linalg.factors import cholesky, qr
from tinyxp.linalg.norms import matrix_norm, vector_norm
from tinyxp.linalg.products import cross, diagonal, trace
from tinyxp.linalg.solving import inv, matrix_power, matrix_rank, pinv, solve
from tinyxp.linalg.spectra import eig, eigh, eigvals, eigvalsh, svd, svdvals
from tinyxp.ops.linear import matmul, outer, tensordot, vecdot
from tinyxp.ops.shaping import matrix_transpose

__all__ = [
    "cholesky", "cross", "det", "diagonal", "eig", "eigh", "eigvals", "eigvalsh", "inv", "matmul",
    "matrix_norm", "matrix_power", "matrix_rank", "matrix_transpose", "outer", "pinv", "qr",
    "slogdet", "solve", "svd", "svdvals", "tensordot", "trace", "vecdot", "vector_norm",
]  # fmt: skip
