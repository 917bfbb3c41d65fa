"""tinyxp: deep learning written once against the Python Array API, on NumPy or CuPy.

The package is itself an Array API namespace, so nothing is implemented in this file: the standard's
names, ``bool`` and ``sum`` among them, shadow the builtins here. The names of operations stand in
the ``__all__`` of the file that defines them.
"""

import math as _math
import typing as _typing

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
from tinyxp import interop as _interop
from tinyxp import ops as _ops
from tinyxp.amp import autocast
from tinyxp.autograd.functions import grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp
from tinyxp.autograd.gradcheck import gradcheck
from tinyxp.autograd.recompute import recompute
from tinyxp.backends import backend, use_backend
from tinyxp.backends.common.memory import keep_memory
from tinyxp.backends.common.precision import (
    get_float32_matmul_precision,
    set_float32_matmul_precision,
)
from tinyxp.backends.threads import get_num_threads, set_num_threads
from tinyxp.capture.step import capture
from tinyxp.core import dtypes as _dtypes
from tinyxp.core.dtypes import *
from tinyxp.core.tape import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from tinyxp.core.tensor import Tensor
from tinyxp.debug import detect_anomaly, doctor, graph
from tinyxp.files.state import load, save
from tinyxp.interop import *
from tinyxp.ops import *
from tinyxp.ops.info import __array_namespace_info__
from tinyxp.random import manual_seed, rand, randint, randn, randperm
from tinyxp.version import __version__ as __version__

__array_api_version__ = "2025.12"
half, float, double = _dtypes.float16, _dtypes.float32, _dtypes.float64  # PyTorch's names
int, long = _dtypes.int32, _dtypes.int64
e, pi, inf, nan, newaxis = _math.e, _math.pi, _math.inf, _math.nan, None

__all__ = [
    "Tensor", "__array_namespace_info__", "amp", "autocast", "autograd", "backend", "backends",
    "capture", "cuda", "data", "debug", "detect_anomaly", "doctor", "e",
    "enable_grad", "errors", "fft", "get_float32_matmul_precision", "get_num_threads", "grad",
    "gradcheck", "graph", "hessian", "hvp", "inf", "inference_mode", "is_grad_enabled",
    "jacobian", "jvp", "keep_memory", "linalg", "load", "manual_seed", "nan", "newaxis", "nn",
    "no_grad", "optim", "pi", "plots", "rand", "randint", "randn", "random", "randperm",
    "recompute", "save", "set_float32_matmul_precision", "set_grad_enabled", "set_num_threads",
    "use_backend", "value_and_grad", "vjp",
]  # fmt: skip
if not _typing.TYPE_CHECKING:  # type checkers follow the star imports
    __all__ += [*_dtypes.__all__, *_interop.__all__, *_ops.__all__]
