"""tinyxp: deep learning written once against the Python Array API, on NumPy or CuPy.

The package is itself an Array API namespace, so nothing is implemented here: the standard's names,
``bool`` and ``sum`` among them, shadow the builtins in this file.
"""

import math as _math

from tinyxp import (
    amp,
    autograd,
    backends,
    cuda,
    data,
    debug,
    errors,
    fft,
    linalg,
    nn,
    optim,
    plots,
    random,
)
from tinyxp.amp import autocast
from tinyxp.autograd.functions import grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp
from tinyxp.autograd.gradcheck import gradcheck
from tinyxp.autograd.recompute import checkpoint
from tinyxp.backends import backend, use_backend
from tinyxp.backends.common.precision import (
    get_float32_matmul_precision,
    set_float32_matmul_precision,
)
from tinyxp.backends.numpy.memory import keep_memory
from tinyxp.backends.threads import get_num_threads, set_num_threads
from tinyxp.capture.captured import capture
from tinyxp.core import gradients as _gradients  # noqa: F401, what is assigned to x.grad must fit
from tinyxp.core.dtypes import (
    DType,
    bfloat16,
    bool,
    can_cast,
    complex64,
    complex128,
    finfo,
    float16,
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
from tinyxp.core.tape import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from tinyxp.core.tensor import Tensor
from tinyxp.debug import detect_anomaly, doctor, graph
from tinyxp.files.state import load, save
from tinyxp.interop import arrays as _interop  # noqa: F401, NumPy and einops take Tensors
from tinyxp.interop import inplace as _inplace  # noqa: F401, methods of the Tensor
from tinyxp.interop.torch_names import (
    amax,
    amin,
    bmm,
    cat,
    chunk,
    clamp,
    cumprod,
    cumsum,
    masked_fill,
    mm,
    relu,
    sigmoid,
    softmax,
    split,
    transpose,
    unsqueeze,
)
from tinyxp.ops import methods as _methods  # noqa: F401, puts operators on the Tensor
from tinyxp.ops.arithmetic import (
    add,
    atan2,
    copysign,
    divide,
    floor_divide,
    hypot,
    logaddexp,
    multiply,
    pow,
    remainder,
    subtract,
    where,
)
from tinyxp.ops.bounds import clip, maximum, minimum
from tinyxp.ops.complexes import conj, imag, real
from tinyxp.ops.creation import (
    arange,
    asarray,
    astype,
    clone,
    empty,
    empty_like,
    from_dlpack,
    full,
    full_like,
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
    log1p,
    log2,
    log10,
    reciprocal,
    sqrt,
    square,
)
from tinyxp.ops.gathering import (
    index_add,
    take,
    take_along_axis,
)
from tinyxp.ops.indexing import setitem
from tinyxp.ops.info import __array_namespace_info__
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
from tinyxp.ops.orders import flip, roll
from tinyxp.ops.overloads import max, meshgrid, min, nonzero, sort, std, var
from tinyxp.ops.padding import (
    pad,
    tril,
    triu,
)
from tinyxp.ops.parts import unstack
from tinyxp.ops.reductions import (
    all,
    any,
    argmax,
    argmin,
    count_nonzero,
    logsumexp,
    mean,
    prod,
    sum,
)
from tinyxp.ops.regular import eye, linspace
from tinyxp.ops.repetition import (
    repeat,
    tile,
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
    searchsorted,
)
from tinyxp.ops.sets import (
    isin,
    unique_all,
    unique_counts,
    unique_inverse,
    unique_values,
)
from tinyxp.ops.shaping import (
    broadcast_arrays,
    broadcast_shapes,
    broadcast_to,
    concat,
    expand_dims,
    flatten,
    matrix_transpose,
    moveaxis,
    permute_dims,
    reshape,
    squeeze,
    stack,
)
from tinyxp.ops.sorting import (
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
from tinyxp.version import __version__ as __version__

__array_api_version__ = "2025.12"
half, float, double, int, long = float16, float32, float64, int32, int64  # PyTorch's words
e, pi, inf, nan, newaxis = _math.e, _math.pi, _math.inf, _math.nan, None

__all__ = [
    "DType", "Tensor", "__array_namespace_info__", "abs", "acos", "acosh", "add", "all", "amax",
    "amin", "amp", "any", "arange", "argmax", "argmin", "argsort", "asarray", "asin", "asinh",
    "astype", "atan", "atan2", "atanh", "autocast", "autograd", "backend", "backends", "bfloat16",
    "bitwise_and", "bitwise_invert", "bitwise_left_shift", "bitwise_or", "bitwise_right_shift",
    "bitwise_xor", "bmm", "bool", "broadcast_arrays", "broadcast_shapes", "broadcast_to",
    "can_cast", "capture", "cat", "ceil", "checkpoint", "chunk", "clamp", "clip", "clone",
    "complex128", "complex64", "concat", "conj", "copysign", "cos", "cosh", "count_nonzero",
    "cuda", "cumprod", "cumsum", "cumulative_prod", "cumulative_sum", "data", "debug",
    "detect_anomaly", "diff", "divide", "doctor", "e", "einsum", "empty", "empty_like",
    "enable_grad", "equal", "erf", "errors", "exp", "expand_dims", "expm1", "eye", "fft", "finfo",
    "flatten", "flip", "float16", "float32", "float64", "floor", "floor_divide", "from_dlpack",
    "full", "full_like", "get_float32_matmul_precision", "get_num_threads", "grad", "gradcheck",
    "graph", "greater", "greater_equal", "hessian", "hvp", "hypot", "iinfo", "imag", "index_add",
    "inf", "inference_mode", "int16", "int32", "int64", "int8", "is_grad_enabled", "isdtype",
    "isfinite", "isin", "isinf", "isnan", "jacobian", "jvp", "keep_memory", "less", "less_equal",
    "linalg", "linspace", "load", "log", "log10", "log1p", "log2", "logaddexp", "logical_and",
    "logical_not", "logical_or", "logical_xor", "logsumexp", "manual_seed", "masked_fill",
    "matmul", "matrix_transpose", "max", "maximum", "mean", "meshgrid", "min", "minimum", "mm",
    "moveaxis", "multiply", "nan", "negative", "newaxis", "nextafter", "nn", "no_grad", "nonzero",
    "not_equal", "ones", "ones_like", "optim", "outer", "pad", "permute_dims", "pi", "plots",
    "positive", "pow", "prod", "promote", "rand", "randint", "randn", "random", "randperm",
    "real", "reciprocal", "relu", "remainder", "repeat", "reshape", "result_type", "roll",
    "round", "save", "searchsorted", "set_float32_matmul_precision", "set_grad_enabled",
    "set_num_threads", "setitem", "sigmoid", "sign", "signbit", "sin", "sinh", "softmax", "sort",
    "split", "sqrt", "square", "squeeze", "stack", "std", "subtract", "sum", "take",
    "take_along_axis", "tan", "tanh", "tensor", "tensordot", "tile", "topk", "transpose", "tril",
    "triu", "trunc", "uint16", "uint32", "uint64", "uint8", "unique_all", "unique_counts",
    "unique_inverse", "unique_values", "unsqueeze", "unstack", "use_backend", "value_and_grad",
    "var", "vecdot", "vjp", "where", "zeros", "zeros_like",
]  # fmt: skip
