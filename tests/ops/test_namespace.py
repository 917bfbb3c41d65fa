"""tinyxp as a namespace of the Array API: names, signatures, inspection, interchange, sets."""

import builtins
import importlib
import inspect
import operator
import pkgutil

import numpy as np
import pytest

import tinyxp as tx
from tests.helpers import each, leaf
from tinyxp import backends
from tinyxp.core.operation import OPS
from tinyxp.errors import (
    ArgumentError,
    AxisError,
    BackendError,
    DTypeError,
    GradientError,
    IndexingError,
    ShapeError,
)
from tinyxp.ops.methods import add_methods

NAMES = [
    "__array_namespace_info__", "abs", "acos", "acosh", "add", "all", "any", "arange", "argmax",
    "argmin", "argsort", "asarray", "asin", "asinh", "astype", "atan", "atan2", "atanh",
    "bitwise_and", "bitwise_invert", "bitwise_left_shift", "bitwise_or", "bitwise_right_shift",
    "bitwise_xor", "bool", "broadcast_arrays", "broadcast_shapes", "broadcast_to", "can_cast",
    "ceil", "clip", "complex128", "complex64", "concat", "conj", "copysign", "cos", "cosh",
    "count_nonzero", "cumulative_prod", "cumulative_sum", "diff", "divide", "e", "empty",
    "empty_like", "equal", "exp", "expand_dims", "expm1", "eye", "finfo", "flip", "float32",
    "float64", "floor", "floor_divide", "from_dlpack", "full", "full_like", "greater",
    "greater_equal", "hypot", "iinfo", "imag", "inf", "int16", "int32", "int64", "int8",
    "isdtype", "isfinite", "isin", "isinf", "isnan", "less", "less_equal", "linspace", "log",
    "log10", "log1p", "log2", "logaddexp", "logical_and", "logical_not", "logical_or",
    "logical_xor", "matmul", "matrix_transpose", "max", "maximum", "mean", "meshgrid", "min",
    "minimum", "moveaxis", "multiply", "nan", "negative", "newaxis", "nextafter", "nonzero",
    "not_equal", "ones", "ones_like", "permute_dims", "pi", "positive", "pow", "prod", "real",
    "reciprocal", "remainder", "repeat", "reshape", "result_type", "roll", "round",
    "searchsorted", "sign", "signbit", "sin", "sinh", "sort", "sqrt", "square", "squeeze",
    "stack", "std", "subtract", "sum", "take", "take_along_axis", "tan", "tanh", "tensordot",
    "tile", "tril", "triu", "trunc", "uint16", "uint32", "uint64", "uint8", "unique_all",
    "unique_counts", "unique_inverse", "unique_values", "unstack", "var", "vecdot", "where",
    "zeros", "zeros_like",
]  # fmt: skip
OURS = [  # what the standard does not have
    "DType", "Tensor", "amax", "amin", "amp", "autocast", "autograd", "backend", "backends",
    "bfloat16", "bmm", "capture", "cat", "chunk", "clamp", "clone", "cuda", "cumprod", "cumsum",
    "data", "debug", "detect_anomaly", "doctor", "einsum", "enable_grad", "erf", "errors",
    "fft", "flatten", "float16", "get_float32_matmul_precision", "get_num_threads", "grad",
    "gradcheck", "graph", "hessian", "hvp", "index_add", "inference_mode", "is_grad_enabled",
    "jacobian", "jvp", "keep_memory", "linalg", "load", "logsumexp", "manual_seed",
    "masked_fill", "mm", "nn", "no_grad", "optim", "outer", "pad", "plots", "promote", "rand",
    "randint", "randn", "random", "randperm", "recompute", "relu", "save",
    "set_float32_matmul_precision", "set_grad_enabled", "set_num_threads", "setitem", "sigmoid",
    "softmax", "split", "tensor", "topk", "transpose", "unsqueeze",
    "use_backend", "value_and_grad", "vjp",
]  # fmt: skip
FFT = [
    "fft", "fftfreq", "fftn", "fftshift", "hfft", "ifft", "ifftn", "ifftshift", "ihfft", "irfft",
    "irfftn", "rfft", "rfftfreq", "rfftn",
]  # fmt: skip
SIGNATURES = {  # parameters as the standard writes them
    "asarray": "(obj, /, *, dtype=None, device=None, copy=None, requires_grad=False)",
    "astype": "(x, dtype, /, *, copy=True, device=None)",
    "diff": "(x, /, n=1, axis=-1, prepend=None, append=None)",  # by position as in PyTorch
    "from_dlpack": "(x, /, *, device=None, copy=None)",
    "isin": "(x1, x2, /, *, invert=False)",
    "meshgrid": "(*arrays, indexing='xy')",
    "repeat": "(x, repeats, /, *, axis=None)",
    "searchsorted": "(x1, x2, /, *, side='left', sorter=None)",
    "fft.fft": "(x, /, *, n=None, axis=-1, norm='backward')",
    "fft.irfftn": "(x, /, *, s=None, axes=None, norm='backward')",
    "fft.fftfreq": "(n, /, *, d=1.0, dtype=None, device=None)",
    "fft.fftshift": "(x, /, *, axes=None)",
    "Tensor.__dlpack__": "(self, /, *, stream=None, max_version=None, dl_device=None, copy=None)",
}


def plain(signature):
    """A signature without annotations."""
    parameters = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
    return str(inspect.Signature(parameters))


HOMES = {"tinyxp.ops": "", "tinyxp.linalg": "linalg.", "tinyxp.fft": "fft."}
HOMES |= {"tinyxp.nn": "nn.functional.", "tinyxp.interop": ""}


def home(module):
    """The namespace that the names of a module belong to, "" for tinyxp itself, or None."""
    return HOMES.get(".".join(module.split(".")[:2]))


def reach(path):
    """What ``path`` names in tinyxp, or None."""
    return operator.attrgetter(path)(tx) if path else None


def modules_of(*packages):
    for package in packages:
        for info in pkgutil.iter_modules(importlib.import_module(package).__path__):
            yield importlib.import_module(f"{package}.{info.name}")


def test_no_operation_is_forgotten():
    """Every operation without an underscore is in its namespace, and is the one found there."""
    forgotten = []
    for op in OPS.values():
        name, prefix = op.fn.__name__, home(op.fn.__module__)
        if prefix is not None and not name.startswith("_"):
            found = getattr(reach(prefix[:-1]) or tx, name, None)
            if getattr(found, "op", None) is not op:
                forgotten.append(prefix + name)
    assert forgotten == []


def test_every_exported_name_is_reachable():
    for module in modules_of("tinyxp.ops", "tinyxp.linalg", "tinyxp.fft", "tinyxp.interop"):
        namespace = reach(home(module.__name__)[:-1]) or tx
        for name in getattr(module, "__all__", ()):
            assert getattr(namespace, name) is getattr(module, name), name
            assert name in namespace.__all__, name


def test_no_name_depends_on_the_order_of_imports():
    names = [
        name
        for module in (*modules_of("tinyxp.ops", "tinyxp.interop"), tx.core.dtypes)
        for name in getattr(module, "__all__", ())
    ]
    assert len(names) == len(set(names))
    assert len(tx.__all__) == len(set(tx.__all__))
    with pytest.raises(ArgumentError, match="Tensor has 'squeeze' already"):
        add_methods({"squeeze": tx.squeeze})


def test_public_names_stay():
    """``from tinyxp import *`` gives these; to take one away is a break."""
    assert {*NAMES, *OURS} <= set(tx.__all__)
    # these would hide builtins, or are other names of a dtype
    names = ("int", "float", "half", "double", "long")
    assert not set(names) & set(tx.__all__)
    assert [tx.int, tx.float, tx.half] == [tx.int32, tx.float32, tx.float16]
    assert [tx.double, tx.long] == [tx.float64, tx.int64]


def test_a_builtin_does_not_stand_for_an_operation():
    shadowed = {name for name in vars(builtins).keys() & vars(tx).keys() if name[0] != "_"}
    assert {"abs", "all", "any", "bool", "max", "min", "pow", "round", "sum"} <= shadowed
    for name in shadowed:
        assert getattr(tx, name) is not getattr(builtins, name), name


def test_every_name_of_the_standard():
    assert [name for name in NAMES if not hasattr(tx, name)] == []
    assert sorted(FFT) == sorted(tx.fft.__all__)
    assert set(NAMES) <= set(tx.__all__) | {"e", "__array_namespace_info__"}
    assert tx.__array_api_version__ == "2025.12"


@pytest.mark.parametrize("name", SIGNATURES)
def test_signatures(name):
    found = tx
    for part in name.split("."):
        found = getattr(found, part)
    assert plain(inspect.signature(found)) == SIGNATURES[name]


def test_the_namespace_of_a_tensor():
    x = tx.ones(2)
    assert x.__array_namespace__() is tx
    assert x.__array_namespace__(api_version="2023.12") is tx
    with pytest.raises(ArgumentError, match=r"unknown version.*'2019\.01'.*'2025\.12'"):
        x.__array_namespace__(api_version="2019.01")


# -- inspection -----------------------------------------------------------------------------------


def test_info_is_about_the_backend_in_use(backend):
    info = tx.__array_namespace_info__()
    devices = info.devices()
    assert devices == list(backends.current().devices()) == [*devices]
    assert isinstance(devices, list) and isinstance(devices, tuple)  # by version of the standard
    assert ([*devices, None] == devices + [None]) and devices + (None,) == (*devices, None)
    assert hash(devices) == hash(tuple(devices))
    assert info.default_device() == tx.ones(1).device
    for device in info.devices():
        assert tx.ones(1, device=device).device == device
    assert info.default_dtypes() == {
        "real floating": tx.ones(1).dtype,
        "complex floating": tx.asarray(1j).dtype,
        "integral": tx.asarray(1).dtype,
        "indexing": tx.argmax(tx.ones(1)).dtype,
    }
    assert info.capabilities()["boolean indexing"] is True
    assert info.capabilities()["data-dependent shapes"] is True
    with pytest.raises(BackendError, match="no device 'abacus'"):
        info.dtypes(device="abacus")


def test_dtypes_by_kind():
    info = tx.__array_namespace_info__()
    assert len(info.dtypes()) == 13
    assert info.dtypes(kind="signed integer") == {
        "int8": tx.int8,
        "int16": tx.int16,
        "int32": tx.int32,
        "int64": tx.int64,
    }
    assert set(info.dtypes(kind=("bool", "complex floating"))) == {
        "bool",
        "complex64",
        "complex128",
    }
    assert info.dtypes(kind="numeric").keys() | {"bool"} == info.dtypes().keys()
    assert info.dtypes(device="cpu") == info.dtypes()
    with pytest.raises(DTypeError, match="unknown kind"):
        info.dtypes(kind="strings")


def test_limits_of_dtypes():
    for dtype in (tx.float32, tx.float64):
        expected = np.finfo(dtype.name)
        found = tx.finfo(dtype)
        for name in ("bits", "eps", "max", "min", "smallest_normal"):
            value = getattr(found, name)
            assert value == getattr(expected, name) and type(value) in (int, float)
    assert tx.finfo(tx.complex128).dtype is tx.float64
    assert tx.finfo(tx.ones(1)).dtype is tx.float32
    assert tx.iinfo(tx.asarray([1], dtype=tx.uint8)).max == 255


# -- interchange ----------------------------------------------------------------------------------


def pointer(x):
    return np.from_dlpack(x).__array_interface__["data"][0]


def test_numpy_shares_memory_both_ways():
    a = np.arange(6.0).reshape(2, 3)
    x = tx.from_dlpack(a)
    assert np.shares_memory(x.array, a)
    b = np.from_dlpack(x)
    assert np.shares_memory(a, b) and b.shape == (2, 3)
    assert not np.shares_memory(tx.from_dlpack(a, copy=True).array, a)
    assert np.shares_memory(tx.from_dlpack(a, copy=False).array, a)


def test_torch_shares_memory_both_ways():
    torch = pytest.importorskip("torch")
    t = torch.arange(4.0)
    x = tx.from_dlpack(t)
    assert pointer(x) == t.data_ptr()
    assert torch.from_dlpack(x).data_ptr() == t.data_ptr()
    with tx.backend("torch"):
        y = tx.from_dlpack(np.ones(3))
        assert y.backend.name == "torch"
        assert torch.from_dlpack(y).data_ptr() == y.array.data_ptr()
    a = np.arange(3)
    assert torch.from_dlpack(tx.from_dlpack(a)).data_ptr() == a.__array_interface__["data"][0]


@each("dtype", [d for d in tx.__array_namespace_info__().dtypes() if d != "bool"])
def test_every_dtype_travels(dtype, backend):
    x = tx.asarray([0, 1, 1], dtype=dtype)
    y = tx.from_dlpack(x)
    assert y.dtype is x.dtype and y.tolist() == x.tolist()
    if x.device == "cpu":
        assert pointer(x) == pointer(y)
        assert pointer(x.__class__(x.array)) != pointer(x)
        assert np.from_dlpack(x).dtype == dtype


def test_a_number_and_a_broadcast_tensor_travel():
    assert np.from_dlpack(tx.asarray(3.0)).item() == 3
    wide = tx.broadcast_to(tx.asarray([1.0, 2.0]), (2, 2))
    assert np.from_dlpack(wide).tolist() == [[1, 2], [1, 2]]


def test_copies_asked_for_or_forbidden(backend):
    x = tx.asarray([1.0, 2.0])
    assert tx.asarray(x) is x
    assert tx.asarray(x, copy=False) is x and tx.asarray(x, dtype=tx.float32) is x
    copied = tx.asarray(x, copy=True)
    assert copied is not x
    x[0] = 5.0
    assert copied[0].item() == 1
    with pytest.raises(ArgumentError, match="copy=False. would have to copy from tinyxp.float32"):
        tx.asarray(x, dtype=tx.float64, copy=False)
    with pytest.raises(ArgumentError, match="copy=False. would have to copy from int64"):
        tx.asarray(np.arange(3), dtype=tx.float64, copy=False)
    assert tx.asarray([1, 2], copy=False).tolist() == [1, 2]  # no array, no memory to share


def test_what_cannot_travel():
    with pytest.raises(GradientError, match="cut the graph"):
        np.from_dlpack(leaf([1.0]))
    with pytest.raises(GradientError, match="cut the graph"):
        tx.from_dlpack(leaf([1.0]))
    with pytest.raises(DTypeError, match="from_dlpack cannot take"):
        tx.from_dlpack([1.0])
    with pytest.raises(BackendError, match="'cpu' only"):
        tx.from_dlpack(np.ones(2), device="abacus")


def test_astype_to_a_device():
    with tx.backend("strict"):
        x = leaf([1.0, 2.0])
        y = tx.astype(x, tx.float32, device="device1")
        assert (y.device, y.dtype) == ("device1", tx.float32)
        y.sum().backward()
        assert (x.grad.device, x.grad.dtype) == ("cpu", tx.float64)
        assert x.to_device("device1").device == "device1"
    with pytest.raises(ArgumentError, match="no stream"):
        tx.ones(1).to_device("cpu", stream=1)


def test_truth_of_complex_numbers(backend):
    x = tx.asarray([0j, 1j, 1 + 0j])
    assert tx.astype(x, tx.bool).tolist() == [False, True, True]
    with pytest.raises(DTypeError, match="imaginary part"):
        tx.astype(x, tx.float32)


def test_linspace_of_complex_numbers(backend):
    x = tx.linspace(0, 1 + 2j, 3)
    assert x.dtype is tx.complex64 and x.tolist() == [0, 0.5 + 1j, 1 + 2j]


# -- repetition -----------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [None, 0, -1])
def test_repeat(axis, backend):
    a = np.arange(6).reshape(2, 3)
    x = tx.asarray(a)
    for times in (0, 1, 3):
        expected = np.repeat(a, times, axis=axis)
        assert tx.repeat(x, times, axis=axis).tolist() == expected.tolist()
        several = tx.asarray([times])
        assert tx.repeat(x, several, axis=axis).tolist() == expected.tolist()
    counts = np.arange(6 if axis is None else a.shape[axis])
    y = tx.repeat(x, tx.asarray(counts), axis=axis)
    assert y.tolist() == np.repeat(a, counts, axis=axis).tolist() and y.dtype is tx.int64


def test_repeat_of_nothing(backend):
    empty = tx.zeros((0, 2))
    assert tx.repeat(empty, 3, axis=0).shape == (0, 2)
    assert tx.repeat(empty, tx.zeros(0, dtype=tx.int64), axis=0).shape == (0, 2)
    assert tx.repeat(tx.asarray(5), 2).tolist() == [5, 5]


@pytest.mark.parametrize(
    ("repeats", "kind", "text"),
    [
        (-1, ShapeError, "repeat cannot take"),
        ([1, -1, 1], ShapeError, "repeat cannot take"),
        ([1, 2], ShapeError, "repeat cannot take"),
        ([[1, 2, 3]], ShapeError, "repeat cannot take"),
        ([1.0, 2.0, 3.0], DTypeError, "repeats are integers"),
        (1.5, DTypeError, "repeat"),
    ],
)
def test_repeats_that_are_refused(repeats, kind, text, backend):
    given = tx.asarray(repeats) if isinstance(repeats, list) else repeats
    with pytest.raises(kind, match=text):
        tx.repeat(tx.ones(3), given)


def test_meshgrid(backend):
    arrays = [np.arange(2), np.arange(3), np.arange(4)]
    for n in range(4):
        for indexing in ("xy", "ij"):
            ours = tx.meshgrid(*map(tx.asarray, arrays[:n]), indexing=indexing)
            theirs = np.meshgrid(*arrays[:n], indexing=indexing)
            assert type(ours) is tuple
            assert [y.tolist() for y in ours] == [z.tolist() for z in theirs]
    with pytest.raises(ShapeError, match="one axis"):
        tx.meshgrid(tx.ones((2, 2)))
    with pytest.raises(ArgumentError, match="'xy' or 'ij'"):
        tx.meshgrid(tx.ones(2), indexing="yx")


def test_broadcast_arrays_gives_a_tuple():
    assert type(tx.broadcast_arrays(tx.ones(2), tx.ones((3, 1)))) is tuple


def test_diff_of_joined_tensors(backend):
    a, before, after = np.arange(6.0).reshape(2, 3) ** 2, np.ones((2, 1)), np.ones((2, 2))
    joined = np.concatenate([before, a, after], axis=1)
    for n in range(4):
        y = tx.diff(tx.asarray(a), n=n, prepend=tx.asarray(before), append=tx.asarray(after))
        assert y.tolist() == np.diff(joined, n=n).tolist()
    x, p = leaf(a), leaf(before)
    weights = tx.asarray(np.arange(6.0).reshape(2, 3) + 1)
    tx.sum(weights * tx.diff(x, prepend=p)).backward()
    assert p.grad.tolist() == [[-1], [-4]]
    assert x.grad.tolist() == [[-1, -1, 3], [-1, -1, 6]]
    with pytest.raises(ArgumentError, match="n of 0 or more"):
        tx.diff(x, n=-1)


# -- single booleans, and empty masks, as keys -----------------------------------------------------


@pytest.mark.parametrize("truth", [True, False])
@pytest.mark.parametrize("shape", [(), (2,), (2, 3)])
def test_a_truth_value_is_a_key(shape, truth, backend):
    a = np.arange(np.prod(shape, dtype=int)).astype(float).reshape(shape)
    keys = [(truth, truth), (tx.asarray(truth), truth), (np.asarray(truth), truth)]
    if shape:
        keys += [((slice(None), truth),) * 2, ((0, truth),) * 2, ((..., truth),) * 2]
    for key, plain_key in keys:
        x = tx.asarray(a)
        assert x[key].shape == a[plain_key].shape
        assert x[key].tolist() == a[plain_key].tolist()
        x[key] = 7.5
        expected = a.copy()
        expected[plain_key] = 7.5
        assert x.tolist() == expected.tolist()


def test_a_mask_without_elements_picks_none(backend):
    x = tx.ones((3, 2))
    none = tx.zeros((0,), dtype=tx.bool)
    assert x[none].shape == (0, 2)
    assert x[tx.zeros((3, 0), dtype=tx.bool)].shape == (0,)
    with pytest.raises(IndexingError, match="does not fit"):
        x[tx.ones((1,), dtype=tx.bool)]


def test_numbers_are_put_in_with_all_their_digits(backend):
    x = tx.zeros(3, dtype=tx.float64)
    x[0] = 0.1
    x[tx.asarray([False, True, False])] = 0.2
    x[2:] = [0.3]
    assert x.tolist() == [0.1, 0.2, 0.3]
    with pytest.raises(DTypeError, match="cannot put"):
        tx.setitem(tx.zeros(2, dtype=tx.int64), 0, 0.5)


def test_an_axis_that_does_not_exist_is_an_index_error(backend):
    x = tx.ones((2, 3))
    for call in (
        lambda: tx.expand_dims(x, axis=3),
        lambda: tx.squeeze(x, axis=2),
        lambda: tx.repeat(x, 2, axis=-3),
        lambda: tx.fft.fft(x, axis=2),
        lambda: tx.sum(x, axis=2),
    ):
        with pytest.raises(AxisError) as caught:
            call()
        assert isinstance(caught.value, IndexError) and isinstance(caught.value, ShapeError)
