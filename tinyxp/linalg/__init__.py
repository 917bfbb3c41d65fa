"""Linear algebra: the linalg extension of the Array API, of matrices and of stacks of them.

A stack (..., m, n) is taken matrix by matrix. Integers become float32 unless the result is made of
integers. A gradient that does not exist raises GradientError with the reason, where that can be
seen. ``common`` holds what the decompositions share; every other file is a theme.
"""

import inspect as _inspect
import typing as _typing

from tinyxp.linalg.determinants import *
from tinyxp.linalg.factors import *
from tinyxp.linalg.norms import *
from tinyxp.linalg.products import *
from tinyxp.linalg.solving import *
from tinyxp.linalg.spectra import *
from tinyxp.ops.linear import matmul, outer, tensordot, vecdot
from tinyxp.ops.shaping import matrix_transpose

if not _typing.TYPE_CHECKING:  # type checkers read no computed list; star imports suffice for them
    __all__ = [name for name, x in vars().items() if name[0] != "_" and not _inspect.ismodule(x)]
