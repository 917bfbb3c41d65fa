"""The Array API 2025.12 as tables: dtypes, signatures, special values, in our own shorthand."""

from math import inf, nan, pi

import tinyxp as tx

SIGNED = [tx.int8, tx.int16, tx.int32, tx.int64]
UNSIGNED = [tx.uint8, tx.uint16, tx.uint32, tx.uint64]
REALS = [tx.float32, tx.float64]
COMPLEXES = [tx.complex64, tx.complex128]
INTEGERS = SIGNED + UNSIGNED
FLOATING = REALS + COMPLEXES
DTYPES = [tx.bool, *INTEGERS, *FLOATING]

# functions that have an operator: add is __add__
ARITHMETIC = {"add": "add", "subtract": "sub", "multiply": "mul", "pow": "pow"}
ARITHMETIC |= {"floor_divide": "floordiv", "remainder": "mod", "divide": "truediv"}
BITS = {"bitwise_and": "and", "bitwise_or": "or", "bitwise_xor": "xor"}
BITS |= {"bitwise_left_shift": "lshift", "bitwise_right_shift": "rshift"}
COMPARE = {"equal": "eq", "not_equal": "ne", "less": "lt", "less_equal": "le"}
COMPARE |= {"greater": "gt", "greater_equal": "ge"}

ONE = "x, /"
TWO = "x1, x2, /"
REDUCE = "x, /, *, axis=None, keepdims=False"
TOTAL = "x, /, *, axis=None, dtype=None, keepdims=False"
SPREAD = "x, /, *, axis=None, correction=0.0, keepdims=False"
SCAN = "x, /, *, axis=None, dtype=None, include_initial=False"
ORDER = "x, /, *, axis=-1, descending=False, stable=True"
NEW = "shape, *, dtype=None, device=None"
LIKE = "x, /, *, dtype=None, device=None"
LINE = "x, /, *, n=None, axis=-1, norm='backward'"
GRID = "x, /, *, s=None, axes=None, norm='backward'"
FREQUENCIES = "n, /, *, d=1.0, dtype=None, device=None"
OPERATORS = "add and floordiv lshift matmul mod mul or pow rshift sub truediv xor"
SELF = "self, /"
OTHER = "self, other, /"

# parameters -> the functions that have them
SIGNATURES = {
    ONE: "abs acos acosh asin asinh atan atanh bitwise_invert ceil conj cos cosh exp expm1 floor "
    "imag isfinite isinf isnan log log10 log1p log2 logical_not matrix_transpose negative nonzero "
    "positive real reciprocal round sign signbit sin sinh sqrt square tan tanh trunc unique_all "
    "unique_counts unique_inverse unique_values linalg.det linalg.eig linalg.eigh linalg.eigvals "
    "linalg.eigvalsh linalg.inv linalg.matrix_transpose linalg.slogdet linalg.svdvals",
    TWO: "add atan2 bitwise_and bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor "
    "copysign divide equal floor_divide greater greater_equal hypot less less_equal logaddexp "
    "logical_and logical_or logical_xor matmul maximum minimum multiply nextafter not_equal pow "
    "remainder subtract linalg.matmul linalg.outer linalg.solve",
    REDUCE: "all any argmax argmin count_nonzero max mean min",
    TOTAL: "sum prod",
    SPREAD: "std var",
    SCAN: "cumulative_prod cumulative_sum",
    ORDER: "argsort sort",
    NEW: "empty ones zeros",
    LIKE: "empty_like ones_like zeros_like",
    LINE: "fft.fft fft.hfft fft.ifft fft.ihfft fft.irfft fft.rfft",
    GRID: "fft.fftn fft.ifftn fft.irfftn fft.rfftn",
    FREQUENCIES: "fft.fftfreq fft.rfftfreq",
    "x, /, *, axes=None": "fft.fftshift fft.ifftshift",
    "x, /, *, k=0": "tril triu",
    "x, /, axis": "expand_dims squeeze",
    "x, /, *, axis=None": "flip",
    "x, /, *, axis=0": "unstack",
    "arrays, /, *, axis=0": "concat stack",
    "x1, x2, /, *, axis=-1": "vecdot linalg.cross linalg.vecdot",
    "x1, x2, /, *, axes=2": "tensordot linalg.tensordot",
    "*arrays": "broadcast_arrays",
    "*shapes": "broadcast_shapes",
    "*arrays_and_dtypes": "result_type",
    "type, /": "finfo iinfo",
    "start, /, stop=None, step=1, *, dtype=None, device=None": "arange",
    "obj, /, *, dtype=None, device=None, copy=None": "asarray",
    "n_rows, n_cols=None, /, *, k=0, dtype=None, device=None": "eye",
    "x, /, *, device=None, copy=None": "from_dlpack",
    "shape, fill_value, *, dtype=None, device=None": "full",
    "x, /, fill_value, *, dtype=None, device=None": "full_like",
    "start, stop, /, num, *, dtype=None, device=None, endpoint=True": "linspace",
    "*arrays, indexing='xy'": "meshgrid",
    "x, dtype, /, *, copy=True, device=None": "astype",
    "from_, to, /": "can_cast",
    "dtype, kind": "isdtype",
    "x, /, min=None, max=None": "clip",
    "x, indices, /, *, axis=None": "take",
    "x, indices, /, *, axis=-1": "take_along_axis",
    "x, /, shape": "broadcast_to",
    "x, source, destination, /": "moveaxis",
    "x, /, axes": "permute_dims",
    "x, repeats, /, *, axis=None": "repeat",
    "x, /, shape, *, copy=None": "reshape",
    "x, /, shift, *, axis=None": "roll",
    "x, repetitions, /": "tile",
    "x1, x2, /, *, side='left', sorter=None": "searchsorted",
    "condition, x1, x2, /": "where",
    "x1, x2, /, *, invert=False": "isin",
    "x, /, *, axis=-1, n=1, prepend=None, append=None": "diff",
    "x, /, *, upper=False": "linalg.cholesky",
    "x, /, *, offset=0": "linalg.diagonal",
    "x, /, *, keepdims=False, ord='fro'": "linalg.matrix_norm",
    "x, n, /": "linalg.matrix_power",
    "x, /, *, rtol=None": "linalg.matrix_rank linalg.pinv",
    "x, /, *, mode='reduced'": "linalg.qr",
    "x, /, *, full_matrices=True": "linalg.svd",
    "x, /, *, offset=0, dtype=None": "linalg.trace",
    "x, /, *, axis=None, keepdims=False, ord=2": "linalg.vector_norm",
    "": "__array_namespace_info__",
    SELF: "Tensor.__abs__ Tensor.__bool__ Tensor.__complex__ Tensor.__dlpack_device__ "
    "Tensor.__float__ Tensor.__index__ Tensor.__int__ Tensor.__invert__ Tensor.__neg__ "
    "Tensor.__pos__",
    OTHER: " ".join(
        f"Tensor.__{way}{name}__"
        for name in [
            "add",
            "and",
            "floordiv",
            "lshift",
            "matmul",
            "mod",
            "mul",
            "or",
            "pow",
            "rshift",
            "sub",
            "truediv",
            "xor",
        ]
        for way in ("", "r", "i")
    )
    + " Tensor.__eq__ Tensor.__ne__ Tensor.__lt__ Tensor.__le__ Tensor.__gt__ Tensor.__ge__",
    "self, /, *, api_version=None": "Tensor.__array_namespace__",
    "self, /, *, stream=None, max_version=None, dl_device=None, copy=None": "Tensor.__dlpack__",
    "self, key, /": "Tensor.__getitem__",
    "self, key, value, /": "Tensor.__setitem__",
    "self, device, /, *, stream=None": "Tensor.to_device",
}
ATTRIBUTES = ["T", "device", "dtype", "mT", "ndim", "shape", "size"]
CONSTANTS = {"e": 2.718281828459045, "inf": inf, "nan": nan, "newaxis": None, "pi": pi}

# Special values. A sign ± is left open by the standard; o2 is π/2, o4 is π/4.
# Real: operands -> result
REAL = {
    "abs": "nan>nan -0>0 -inf>inf",
    "acos": "nan>nan 2>nan -2>nan 1>0",
    "acosh": "nan>nan .5>nan 1>0 inf>inf",
    "asin": "nan>nan 2>nan -2>nan 0>0 -0>-0",
    "asinh": "nan>nan 0>0 -0>-0 inf>inf -inf>-inf",
    "atan": "nan>nan 0>0 -0>-0 inf>o2 -inf>-o2",
    "atanh": "nan>nan -2>nan 2>nan -1>-inf 1>inf 0>0 -0>-0",
    "ceil": "nan>nan inf>inf -inf>-inf 0>0 -0>-0 -.5>-0 1.5>2",
    "cos": "nan>nan 0>1 -0>1 inf>nan -inf>nan",
    "cosh": "nan>nan 0>1 -0>1 inf>inf -inf>inf",
    "exp": "nan>nan 0>1 -0>1 inf>inf -inf>0",
    "expm1": "nan>nan 0>0 -0>-0 inf>inf -inf>-1",
    "floor": "nan>nan inf>inf -inf>-inf 0>0 -0>-0 -.5>-1",
    "log": "nan>nan -1>nan 0>-inf -0>-inf 1>0 inf>inf",
    "log10": "nan>nan -1>nan 0>-inf -0>-inf 1>0 inf>inf",
    "log1p": "nan>nan -2>nan -1>-inf 0>0 -0>-0 inf>inf",
    "log2": "nan>nan -1>nan 0>-inf -0>-inf 1>0 inf>inf",
    "reciprocal": "nan>nan 0>inf -0>-inf inf>0 -inf>-0",
    "round": "nan>nan inf>inf -inf>-inf 0>0 -0>-0 .5>0 1.5>2 2.5>2 -.5>-0",
    "sign": "nan>nan 0>0 -0>0 -inf>-1 inf>1",
    "sin": "nan>nan 0>0 -0>-0 inf>nan -inf>nan",
    "sinh": "nan>nan 0>0 -0>-0 inf>inf -inf>-inf",
    "sqrt": "nan>nan -1>nan 0>0 -0>-0 inf>inf",
    "square": "nan>nan -0>0 -inf>inf",
    "tan": "nan>nan 0>0 -0>-0 inf>nan -inf>nan",
    "tanh": "nan>nan 0>0 -0>-0 inf>1 -inf>-1",
    "trunc": "nan>nan inf>inf -inf>-inf 0>0 -0>-0 -.5>-0 .5>0",
    "add": "inf,-inf>nan -0,-0>-0 -0,0>0 0,-0>0 -0,2>2 inf,1>inf 3,-3>0 nan,1>nan",
    "atan2": "nan,1>nan 1,nan>nan 1,0>o2 1,-0>o2 0,1>0 0,0>0 0,-0>2*o2 0,-1>2*o2 -0,1>-0 -0,0>-0 "
    "-0,-0>-2*o2 -0,-1>-2*o2 -1,0>-o2 -1,-0>-o2 1,inf>0 1,-inf>2*o2 -1,inf>-0 -1,-inf>-2*o2 "
    "inf,1>o2 -inf,1>-o2 inf,inf>o4 inf,-inf>3*o4 -inf,inf>-o4 -inf,-inf>-3*o4",
    "copysign": "2,-1>-2 2,-0>-2 -2,0>2 -2,1>2 inf,-0>-inf -0,1>0 nan,1>nan",
    "divide": "nan,1>nan inf,-inf>nan 0,-0>nan 0,1>0 -0,1>-0 0,-1>-0 -0,-1>0 1,0>inf 1,-0>-inf "
    "-1,0>-inf -1,-0>inf inf,1>inf -inf,2>-inf 1,inf>0 1,-inf>-0 -1,inf>-0 -1,-inf>0",
    "floor_divide": "nan,1>nan 1,nan>nan inf,inf>nan -inf,inf>nan 0,0>nan -0,0>nan 0,1>0 -0,1>-0 "
    "0,-1>-0 -0,-1>0 1,0>inf 1,-0>-inf -1,0>-inf -1,-0>inf 1,inf>0 -1,-inf>0 7,2>3 -7,2>-4 7,-2>-4",
    "hypot": "inf,nan>inf nan,-inf>inf -inf,0>inf -0,-3>3 -2,-0>2 nan,1>nan 0,nan>nan",
    "logaddexp": "nan,1>nan 1,nan>nan inf,-inf>inf -inf,inf>inf inf,inf>inf -inf,-inf>-inf "
    "-inf,1>1",
    "maximum": "nan,1>nan 1,nan>nan -inf,1>1 inf,1>inf",
    "minimum": "nan,1>nan 1,nan>nan -inf,1>-inf inf,1>1",
    "multiply": "nan,1>nan inf,0>nan -inf,-0>nan 0,-1>-0 -0,-1>0 inf,-2>-inf",
    "nextafter": "nan,1>nan 1,nan>nan -0,0>0 0,-0>-0 0,1>5e-324 1,0>1-2**-53 "
    "inf,0>2**1023*(2-2**-52)",
    "pow": "2,nan>nan nan,0>1 nan,-0>1 inf,0>1 nan,2>nan 2,inf>inf -2,inf>inf 2,-inf>0 -1,inf>1 "
    "1,-inf>1 1,inf>1 1,7>1 .5,inf>0 -.5,-inf>inf inf,2>inf inf,-2>0 -inf,3>-inf -inf,2>inf "
    "-inf,2.5>inf -inf,-3>-0 -inf,-2>0 0,2>0 0,-2>inf 0,-3>inf -0,3>-0 -0,2>0 -0,2.5>0 -0,-3>-inf "
    "-0,-2>inf -8,.5>nan",
    "remainder": "nan,1>nan 1,nan>nan inf,inf>nan 0,0>nan 0,1>0 -0,1>0 0,-1>-0 -0,-1>-0 1,0>nan "
    "1,-0>nan -1,0>nan inf,1>nan -inf,2>nan 1,inf>1 1,-inf>-inf -1,inf>inf -1,-inf>-1 5,3>2 -5,3>1 "
    "5,-3>-1 6,3>0 -6,3>0 6,-3>-0",
    "subtract": "inf,inf>nan 0,-0>0 -0,0>-0 -0,-0>0 0,0>0 nan,1>nan -inf,inf>-inf",
}
# Complex: re,im > re,im; ± before what may have either sign
COMPLEX = {
    "abs": "inf,nan>inf -inf,2>inf nan,-inf>inf 0,-3>3 -4,0>4 nan,1>nan 1,nan>nan nan,nan>nan",
    "acos": "0,0>o2,-0 -0,0>o2,-0 0,nan>o2,nan 1,inf>o2,-inf 1,nan>nan,nan -inf,1>2*o2,-inf "
    "inf,1>0,-inf -inf,inf>3*o4,-inf inf,inf>o4,-inf inf,nan>nan,±inf -inf,nan>nan,±inf "
    "nan,1>nan,nan nan,inf>nan,-inf nan,nan>nan,nan",
    "acosh": "0,0>0,o2 -0,0>0,o2 1,inf>inf,o2 1,nan>nan,nan 0,nan>nan,±o2 -inf,1>inf,2*o2 "
    "inf,1>inf,0 -inf,inf>inf,3*o4 inf,inf>inf,o4 inf,nan>inf,nan -inf,nan>inf,nan nan,1>nan,nan "
    "nan,inf>inf,nan nan,nan>nan,nan",
    "asinh": "0,0>0,0 1,inf>inf,o2 1,nan>nan,nan inf,1>inf,0 inf,inf>inf,o4 inf,nan>inf,nan "
    "nan,0>nan,0 nan,1>nan,nan nan,inf>±inf,nan nan,nan>nan,nan",
    "atanh": "0,0>0,0 0,nan>0,nan 1,0>inf,0 1,inf>0,o2 1,nan>nan,nan inf,1>0,o2 inf,inf>0,o2 "
    "inf,nan>0,nan nan,1>nan,nan nan,inf>±0,o2 nan,nan>nan,nan",
    "cosh": "0,0>1,0 0,inf>nan,±0 0,nan>nan,±0 1,inf>nan,nan 1,nan>nan,nan inf,0>inf,0 "
    "inf,1>inf,inf inf,2>-inf,inf inf,inf>±inf,nan inf,nan>inf,nan nan,0>nan,±0 nan,1>nan,nan "
    "nan,nan>nan,nan",
    "exp": "0,0>1,0 -0,0>1,0 1,inf>nan,nan 1,nan>nan,nan inf,0>inf,0 -inf,1>0,0 -inf,2>-0,0 "
    "inf,1>inf,inf inf,2>-inf,inf -inf,inf>±0,±0 inf,inf>±inf,nan -inf,nan>±0,±0 inf,nan>±inf,nan "
    "nan,0>nan,0 nan,1>nan,nan nan,nan>nan,nan",
    "expm1": "0,0>0,0 -0,0>±0,0 1,inf>nan,nan 1,nan>nan,nan inf,0>inf,0 -inf,1>-1,0 -inf,4>-1,-0 "
    "inf,1>inf,inf inf,2>-inf,inf -inf,inf>-1,±0 inf,inf>±inf,nan -inf,nan>-1,±0 inf,nan>±inf,nan "
    "nan,0>nan,0 nan,1>nan,nan nan,nan>nan,nan",
    "log": "-0,0>-inf,2*o2 0,0>-inf,0 1,inf>inf,o2 1,nan>nan,nan -inf,1>inf,2*o2 inf,1>inf,0 "
    "-inf,inf>inf,3*o4 inf,inf>inf,o4 inf,nan>inf,nan -inf,nan>inf,nan nan,1>nan,nan "
    "nan,inf>inf,nan nan,nan>nan,nan",
    "log1p": "-1,0>-inf,0 1,inf>inf,o2 1,nan>nan,nan -inf,1>inf,2*o2 inf,1>inf,0 "
    "-inf,inf>inf,3*o4 inf,inf>inf,o4 inf,nan>inf,nan -inf,nan>inf,nan nan,1>nan,nan "
    "nan,inf>inf,nan nan,nan>nan,nan",
    "round": "2.5,-1.5>2,-2 nan,.5>nan,0 -0,inf>-0,inf",
    "sign": "0,0>0,0 -0,0>0,0 nan,1>nan,nan 1,nan>nan,nan 0,-3>0,-1 3,4>.6,.8",
    "sinh": "0,0>0,0 0,inf>±0,nan 0,nan>±0,nan 1,inf>nan,nan 1,nan>nan,nan inf,0>inf,0 "
    "inf,1>inf,inf inf,2>-inf,inf inf,inf>±inf,nan inf,nan>±inf,nan nan,0>nan,0 nan,1>nan,nan "
    "nan,nan>nan,nan",
    "sqrt": "0,0>0,0 -0,0>0,0 1,inf>inf,inf nan,inf>inf,inf -inf,inf>inf,inf 1,nan>nan,nan "
    "-inf,1>0,inf inf,1>inf,0 -inf,nan>nan,±inf inf,nan>inf,nan nan,1>nan,nan nan,nan>nan,nan",
    "tanh": "0,0>0,0 1,inf>nan,nan 1,nan>nan,nan inf,1>1,0 inf,inf>1,±0 inf,nan>1,±0 nan,0>nan,0 "
    "nan,1>nan,nan nan,nan>nan,nan",
}
ODD = ["asinh", "atanh", "sinh", "tanh"]  # f(-z) = -f(z); all of COMPLEX: f(conj z) = conj f(z)


def special(table):
    """(function, operands, result) from a table's shorthand; of a result: (value, open sign)."""
    for name, cases in table.items():
        for case in cases.split():
            given, result = case.split(">")
            yield name, [number(x)[0] for x in given.split(",")], [*map(number, result.split(","))]


def number(text):
    names = {"inf": inf, "nan": nan, "o2": pi / 2, "o4": pi / 4}
    value = eval(text.lstrip("±-"), {}, names)  # our own table
    return (-float(value) if text.startswith("-") else float(value)), text.startswith("±")
