"""tinyxp: deep learning written once against the Python Array API, on NumPy or CuPy.

The package is itself an Array API namespace, so nothing is implemented here: the standard's names,
``bool`` and ``sum`` among them, shadow the builtins in this file.
"""

# ruff: noqa: F401, A004
import math as _math

from tinyxp import autograd, backends, data, nn, optim, random
from tinyxp.autograd import grad_of as grad
from tinyxp.backends import backend, errors, use_backend
from tinyxp.core import Tensor
from tinyxp.dtypes import (
    DType,
    bool,
    can_cast,
    complex64,
    complex128,
    finfo,
    float32,
    float64,
    iinfo,
    int8,
    int16,
    int32,
    int64,
    isdtype,
    promote,
    result_type,
    uint8,
    uint16,
    uint32,
    uint64,
)
from tinyxp.gradcheck import gradcheck
from tinyxp.graph import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from tinyxp.io import load, save
from tinyxp.ops import methods as _methods
from tinyxp.ops.arithmetic import (
    add,
    atan2,
    clip,
    copysign,
    divide,
    floor_divide,
    hypot,
    logaddexp,
    maximum,
    minimum,
    multiply,
    pow,
    remainder,
    subtract,
    where,
)
from tinyxp.ops.creation import (
    arange,
    asarray,
    astype,
    clone,
    empty,
    empty_like,
    eye,
    from_dlpack,
    full,
    full_like,
    linspace,
    ones,
    ones_like,
    tensor,
    zeros,
    zeros_like,
)
from tinyxp.ops.exponential import (
    erf,
    exp,
    expm1,
    log,
    log10,
    log1p,
    log2,
    reciprocal,
    sqrt,
    square,
)
from tinyxp.ops.indexing import (
    index_add,
    setitem,
    take,
    take_along_axis,
)
from tinyxp.ops.linear import (
    einsum,
    matmul,
    outer,
    tensordot,
    vecdot,
)
from tinyxp.ops.logic import (
    bitwise_and,
    bitwise_invert,
    bitwise_left_shift,
    bitwise_or,
    bitwise_right_shift,
    bitwise_xor,
    equal,
    greater,
    greater_equal,
    isfinite,
    isinf,
    isnan,
    less,
    less_equal,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    nextafter,
    not_equal,
    signbit,
)
from tinyxp.ops.padding import (
    pad,
    tril,
    triu,
)
from tinyxp.ops.reductions import (
    all,
    any,
    argmax,
    argmin,
    count_nonzero,
    logsumexp,
    max,
    mean,
    min,
    prod,
    std,
    sum,
    var,
)
from tinyxp.ops.rounding import (
    abs,
    ceil,
    floor,
    negative,
    positive,
    round,
    sign,
    trunc,
)
from tinyxp.ops.scans import (
    cumulative_prod,
    cumulative_sum,
    diff,
)
from tinyxp.ops.searching import (
    argsort,
    nonzero,
    searchsorted,
)
from tinyxp.ops.shaping import (
    broadcast_arrays,
    broadcast_shapes,
    broadcast_to,
    concat,
    expand_dims,
    flip,
    matrix_transpose,
    moveaxis,
    permute_dims,
    reshape,
    roll,
    squeeze,
    stack,
    tile,
    unstack,
)
from tinyxp.ops.sorting import (
    sort,
    topk,
)
from tinyxp.ops.trigonometric import (
    acos,
    acosh,
    asin,
    asinh,
    atan,
    atanh,
    cos,
    cosh,
    sin,
    sinh,
    tan,
    tanh,
)
from tinyxp.random import manual_seed, rand, randint, randn, randperm

__version__ = "0.1.0"
__array_api_version__ = "2025.12"
e, pi, inf, nan, newaxis = _math.e, _math.pi, _math.inf, _math.nan, None
