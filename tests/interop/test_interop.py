"""Tensors in other libraries: array-api-compat, NumPy, einops, SciPy, array-api-extra.

Each test uses the real library. Its results on NumPy arrays are the expected values, finite
differences the expected gradients.
"""

import importlib
import operator
import subprocess
import sys

import array_api_compat
import numpy as np
import pytest

import tinyxp as tx
from tests.helpers import each
from tinyxp.errors import BackendError, DTypeError, ExportError, GradientError


def library(name):
    extra = "reference" if name == "torch" else "test"
    reason = f"{name} is not installed: pip install 'tinyxp[{extra}]'"
    return pytest.importorskip(name, reason=reason)


def array(x):
    return x.detach().numpy()


def agrees(f, *arrays, name=None):
    """``f`` on tensors has the values of ``f`` on NumPy arrays, and right gradients."""
    xs = [tx.asarray(a) for a in arrays]
    y = f(*xs)
    assert isinstance(y, tx.Tensor), f"{name}: {type(y)}"
    np.testing.assert_allclose(y.numpy(), np.asarray(f(*arrays)), rtol=1e-12, atol=1e-12)
    tx.gradcheck(f, *xs, order=2, name=name)


# -- array-api-compat --------------------------------------------------------------------------


def test_array_api_compat_finds_the_namespace(backend):
    x = tx.asarray([[1.0, 2.0, 3.0]], requires_grad=True)
    assert array_api_compat.is_array_api_obj(x)
    assert array_api_compat.array_namespace(x, 1.0, None) is tx
    assert array_api_compat.array_namespace(x, api_version="2025.12") is tx
    assert array_api_compat.device(x) == x.device
    assert array_api_compat.to_device(x, x.device).shape == x.shape
    assert array_api_compat.size(x) == 3
    assert not array_api_compat.is_lazy_array(x)
    assert not array_api_compat.is_numpy_array(x)
    with pytest.raises(TypeError, match="Multiple namespaces"):
        array_api_compat.array_namespace(x, np.ones(3))


# -- NumPy -------------------------------------------------------------------------------------

ARITHMETIC = ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul"]
COMPARISONS = ["eq", "ne", "lt", "le", "gt", "ge"]
BITWISE = ["and_", "or_", "xor", "lshift", "rshift"]


@pytest.mark.parametrize("name", ARITHMETIC)
def test_a_numpy_array_on_the_left_gives_a_tensor_with_gradient(name, rng):
    op = getattr(operator, name)
    a, b = rng.uniform(1, 2, (3, 3)), rng.uniform(2.1, 3, (3, 3))
    agrees(lambda x: op(a, x), b, name=name)


@pytest.mark.parametrize("name", ARITHMETIC[:-1])
@pytest.mark.parametrize("number", [np.float64(2.5), np.float32(2.5), np.asarray(2.5)])
def test_a_numpy_number_on_the_left(name, number, rng):
    op = getattr(operator, name)
    agrees(lambda x: op(number, x), rng.uniform(2.6, 3, (3,)), name=name)


def test_a_numpy_number_is_as_weak_as_a_python_number():
    x = tx.asarray([1.0, 2.0])
    assert (np.float64(2) * x).dtype is tx.float32
    assert (x * np.float64(2)).dtype is tx.float32
    assert (np.ones(2) * x).dtype is tx.float64


@pytest.mark.parametrize("name", COMPARISONS + BITWISE)
def test_comparisons_and_bits_with_a_numpy_array_on_the_left(name):
    op = getattr(operator, name)
    a, b = np.asarray([[1, 2, 3]]), np.asarray([[3], [2], [1]])
    y = op(a, tx.asarray(b))
    assert isinstance(y, tx.Tensor)
    np.testing.assert_array_equal(y.numpy(), op(a, b))
    z = op(np.int64(2), tx.asarray(b))
    assert isinstance(z, tx.Tensor)
    np.testing.assert_array_equal(z.numpy(), op(2, b))


def test_ufuncs_of_operators_take_tensors():
    x = tx.asarray([1.0, 2.0], requires_grad=True)
    y = np.multiply(np.asarray([3.0, 4.0]), x)
    y.sum().backward()
    assert x.grad.tolist() == [3, 4]


def test_a_numpy_array_cannot_take_the_result_in_place():
    a = np.ones(2)
    with pytest.raises(DTypeError, match=r"write a = a \+ x for a \+= x"):
        a += tx.asarray([1.0, 2.0])
    assert a.tolist() == [1, 1]
    x = tx.asarray([1.0, 2.0], dtype=tx.float64)
    x += a
    assert isinstance(x, tx.Tensor) and x.tolist() == [2, 3]


def test_a_numpy_array_beside_a_tensor_elsewhere_is_refused():
    library("torch")
    with tx.backend("torch"):
        x = tx.asarray([1.0, 2.0])
    with pytest.raises(BackendError, match="move one"):
        np.ones(2) + x


@pytest.mark.parametrize(
    ("call", "ours"),
    [
        (np.exp, "tx.exp"),
        (np.arcsin, "tx.asin"),
        (np.absolute, "tx.abs"),
        (np.add.reduce, "tx.add"),
        (np.divmod, None),
        (np.spacing, None),
        (np.sum, "tx.sum"),
        (np.cumsum, "tx.cumulative_sum"),
        (np.where, "tx.where"),
        (np.fft.fft, "tx.fft.fft"),
        (np.linalg.inv, "tx.linalg.inv"),
    ],
)
@pytest.mark.parametrize("requires_grad", [False, True])
def test_numpys_functions_name_ours(call, ours, requires_grad):
    x = tx.asarray(np.eye(2), requires_grad=requires_grad)
    fix = r"pass x\.detach\(\)\.numpy\(\)" if ours is None else f"use {ours}, or x.detach"
    with pytest.raises(TypeError, match=rf"^numpy\..* takes NumPy's arrays, got a Tensor; {fix}"):
        call(x, x) if call is np.divmod else call(x)


def test_a_list_of_tensors_is_named_too():
    x = tx.asarray([1.0])
    with pytest.raises(TypeError, match=r"numpy\.concatenate .* use tx\.concat"):
        np.concatenate([x, x])
    with pytest.raises(TypeError, match=r"numpy\.stack .* use tx\.stack"):
        np.stack([x, x])


def test_functions_that_only_numpy_has_see_an_array():
    x = tx.asarray([[1.0, 2.0, 4.0]])
    assert np.shape(x) == (1, 3) and np.ndim(x) == 2
    assert np.array_equal(x, x.numpy()) and np.allclose(x, x)
    assert np.percentile(x, 50) == 2
    assert type(np.broadcast_arrays(x, 1.0)[0]) is np.ndarray  # plt.bar(x, y)
    x.requires_grad_()
    assert np.shape(x) == (1, 3)
    with pytest.raises(GradientError, match="detach"):
        np.percentile(x, 50)


def test_asarray_copies_what_needs_no_gradient(backend):
    x = tx.asarray([[1.0, 2.0]])
    a = np.asarray(x)
    assert type(a) is np.ndarray and a.dtype == "float32" and a.tolist() == [[1, 2]]
    a[0, 0] = 7
    assert x.tolist() == [[1, 2]]
    assert np.asarray(x, dtype="float64").dtype == "float64"
    with pytest.raises(ValueError, match="from_dlpack"):
        np.asarray(x, copy=False)
    with pytest.raises(GradientError, match="cut the graph"):
        np.asarray(tx.asarray([1.0], requires_grad=True))


# -- einops ------------------------------------------------------------------------------------

IMAGES = {"size": (2, 4, 6, 3)}
EINOPS = [
    ("rearrange", "b h w c -> b c h w", {}),
    ("rearrange", "b (h p) (w q) c -> (b h w) (p q c)", {"p": 2, "q": 3}),
    ("rearrange", "b h w c -> (c h) b () w", {}),
    ("rearrange", "b ... c -> c ... b", {}),
    ("reduce", "b h w c -> b c", {"reduction": "mean"}),
    ("reduce", "b (h p) (w q) c -> b h w c", {"reduction": "max", "p": 2, "q": 2}),
    ("reduce", "b h w c -> () h () c", {"reduction": "sum"}),
    ("reduce", "b h w c -> h", {"reduction": "prod"}),
    ("reduce", "b h w c -> h w", {"reduction": "min"}),
    ("repeat", "b h w c -> b (h r) w n c", {"r": 2, "n": 2}),
]


@each(("name", "pattern", "lengths"), EINOPS)
def test_einops(name, pattern, lengths, backend, rng):
    f = getattr(library("einops"), name)
    agrees(lambda x: f(x, pattern, **lengths), rng.normal(**IMAGES) + 2, name=name)


def test_einops_on_a_list(rng):
    f = library("einops").rearrange
    agrees(lambda *xs: f(list(xs), "n a b -> a (n b)"), *rng.normal(size=(3, 2, 4)))


@pytest.mark.parametrize(
    ("pattern", "shapes"),
    [
        ("b i d, b j d -> b i j", [(2, 3, 4), (2, 5, 4)]),
        ("batch heads i j, batch j heads d -> batch i heads d", [(2, 2, 3, 4), (2, 4, 2, 3)]),
        ("a b, b c, c d -> d a", [(2, 3), (3, 4), (4, 2)]),
        ("row col -> col", [(3, 4)]),
        ("n, m ->", [(3,), (4,)]),
    ],
)
def test_einops_einsum(pattern, shapes, backend, rng):
    f = library("einops").einsum
    agrees(lambda *xs: f(*xs, pattern), *(rng.normal(size=shape) for shape in shapes))


def test_einops_pack_and_unpack(backend, rng):
    einops = library("einops")

    def there_and_back(x, y):
        packed, shapes = einops.pack([x, y], "b * c")
        first, second = einops.unpack(packed * packed, shapes, "b * c")
        return einops.reduce(first, "b h w c -> b c", "sum") + second[:, 0, :]

    agrees(there_and_back, rng.normal(size=(2, 3, 2, 4)), rng.normal(size=(2, 5, 4)))


def test_einops_array_api_is_the_same(rng):
    library("einops")
    f = importlib.import_module("einops.array_api").reduce
    agrees(lambda x: f(x, "b (h p) w c -> b h c", reduction="mean", p=2), rng.normal(**IMAGES))


def test_einops_gradients_equal_pytorchs(rng):
    einops, torch = library("einops"), library("torch")
    a, b = rng.normal(size=(2, 4, 6)), rng.normal(size=(6, 5))

    def f(x, y):
        blocks = einops.rearrange(x, "b (h p) w -> b h (p w)", p=2)
        pooled = einops.reduce(blocks * blocks, "b h (p w) -> b w", "mean", p=2)
        return (einops.einsum(pooled, y, "b w, w k -> b k") ** 2).sum()

    ours = [tx.asarray(v, requires_grad=True) for v in (a, b)]
    theirs = [torch.tensor(v, requires_grad=True) for v in (a, b)]
    f(*ours).backward()
    f(*theirs).backward()
    for x, t in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(x.grad.numpy(), t.grad.numpy(), rtol=1e-12)


def test_einops_other_functions_and_errors():
    einops = library("einops")
    x = tx.asarray([[1.0, 2.0, 3.0]], requires_grad=True)
    assert einops.parse_shape(x, "a b") == {"a": 1, "b": 3}
    assert einops.asnumpy(x.detach()).tolist() == [[1, 2, 3]]
    with pytest.raises(GradientError, match="detach"):
        einops.asnumpy(x)
    with pytest.raises(einops.EinopsError, match="Shape mismatch"):
        einops.rearrange(x, "a (b c) -> a b c", b=2)


@pytest.mark.parametrize("order", ["einops, tinyxp", "tinyxp, einops"])
def test_einops_may_be_imported_before_or_after(order):
    library("einops")
    program = f"""
import gc, sys, {order}
gc.collect()  # einops finds backends by weak references to subclasses
x = tinyxp.asarray([[1.0, 2.0]], requires_grad=True)
einops.reduce(x * x, 'a b -> ()', 'sum').sum().backward()
assert x.grad.tolist() == [[2, 4]], x.grad
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_einops_is_not_imported_by_us():
    program = (
        "import sys, tinyxp; assert 'einops' not in sys.modules and 'scipy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


# -- SciPy: functions that ask for x.__array_namespace__() and stay in it ------------------------

SCIPY = {
    # module.function: (keywords, shapes of the operands)
    "special.logsumexp": ({"axis": 0}, [(4, 5)]),
    "special.softmax": ({"axis": 1}, [(4, 5)]),
    "special.log_softmax": ({"axis": 1}, [(4, 5)]),
    "special.xlogy": ({}, [(4, 5), (4, 5)]),
    "stats.zscore": ({"axis": 0}, [(4, 5)]),
    "stats.gmean": ({"axis": 0}, [(4, 5)]),
    "stats.hmean": ({"axis": 0}, [(4, 5)]),
    "stats.pmean": ({"p": 3, "axis": 0}, [(4, 5)]),
    "stats.moment": ({"order": 3, "axis": 0}, [(4, 5)]),
    "stats.skew": ({"axis": 0}, [(4, 5)]),
    "stats.kurtosis": ({"axis": 0}, [(4, 5)]),
    "stats.sem": ({"axis": 0}, [(4, 5)]),
    "stats.circmean": ({"axis": 0}, [(4, 5)]),
    "stats.lmoment": ({}, [(8,)]),
    "stats.differential_entropy": ({}, [(8,)]),
    "integrate.trapezoid": ({"axis": 1}, [(4, 5), (4, 5)]),
    "integrate.cumulative_trapezoid": ({"dx": 0.5, "axis": 1}, [(4, 5)]),
    "signal.fftconvolve": ({}, [(8,), (5,)]),
    "signal.oaconvolve": ({}, [(8,), (5,)]),
    "signal.resample": ({"num": 12}, [(8,)]),
    "cluster.vq.whiten": ({}, [(4, 5)]),
}


@pytest.mark.parametrize("path", SCIPY)
def test_scipy(path, rng):
    library("scipy")
    home, _, name = path.rpartition(".")
    f = getattr(importlib.import_module(f"scipy.{home}"), name)
    keywords, shapes = SCIPY[path]
    operands = [rng.uniform(0.2, 2, shape) for shape in shapes]
    agrees(lambda *xs: f(*xs, **keywords), *operands, name=path)


def test_scipy_fft(rng):
    library("scipy")
    fft = importlib.import_module("scipy.fft")
    agrees(lambda x: fft.irfft(fft.rfft(x) ** 2), rng.normal(size=8))
    agrees(lambda x: fft.fftn(x, norm="ortho"), rng.normal(size=(3, 4)))


def test_scipys_rotation_of_vectors(rng):
    library("scipy")
    rotation = importlib.import_module("scipy.spatial.transform").Rotation
    turned = lambda axis, x: rotation.from_rotvec(axis).apply(x)  # noqa: E731
    agrees(turned, rng.normal(size=(4, 3)), rng.normal(size=(4, 3)))


def test_scipys_root_finder_is_differentiated_through(rng):
    """x³ + x = c, so that dx/dc = 1 / (3 x² + 1)."""
    library("scipy")
    find_root = importlib.import_module("scipy.optimize.elementwise").find_root
    c = tx.asarray(rng.uniform(1, 2, 5), requires_grad=True)
    bracket = (tx.zeros_like(c), tx.ones_like(c) * 3)
    x = find_root(lambda x, c: x**3 + x - c, bracket, args=(c,)).x
    x.sum().backward()
    np.testing.assert_allclose(array(x**3 + x), array(c), rtol=1e-12)
    np.testing.assert_allclose(c.grad.numpy(), 1 / (3 * array(x) ** 2 + 1), rtol=1e-9)


def test_scipys_quadrature_is_differentiated_through():
    """∫ exp(-x²) from a to a + 1: its slope is the difference of the integrand."""
    library("scipy")
    tanhsinh = importlib.import_module("scipy.integrate").tanhsinh
    a = tx.asarray([0.1, 0.5], dtype=tx.float64, requires_grad=True)
    tanhsinh(lambda x: tx.exp(-(x**2)), a, a + 1).integral.sum().backward()
    v = array(a)
    np.testing.assert_allclose(a.grad.numpy(), np.exp(-((v + 1) ** 2)) - np.exp(-(v**2)), rtol=1e-9)


def test_scipys_compiled_functions_do_not_cut_the_graph():
    library("scipy")
    erf = importlib.import_module("scipy.special").erf
    with pytest.raises(GradientError, match="cut the graph"):
        erf(tx.asarray([1.0], requires_grad=True))


# -- array-api-extra ---------------------------------------------------------------------------

EXTRA = {
    "pad": lambda xpx, x, y: xpx.pad(x, 2, constant_values=1.0),
    "cov": lambda xpx, x, y: xpx.cov(x),
    "kron": lambda xpx, x, y: xpx.kron(x, y[:2, :2]),
    "create_diagonal": lambda xpx, x, y: xpx.create_diagonal(x[:, 0]),
    "sinc": lambda xpx, x, y: xpx.sinc(x),
    "atleast_nd": lambda xpx, x, y: xpx.atleast_nd(x, ndim=3),
    "partition": lambda xpx, x, y: xpx.partition(x, 2),
    "nan_to_num": lambda xpx, x, y: xpx.nan_to_num(x),
    "nanmax": lambda xpx, x, y: xpx.nanmax(x, axis=0),
    "nansum": lambda xpx, x, y: xpx.nansum(x, axis=0),
    "apply_where": lambda xpx, x, y: xpx.apply_where(
        x > 1, (x, y), lambda a, b: a * b, lambda a, b: a - b
    ),
    "at_set": lambda xpx, x, y: xpx.at(x)[1:3, :].set(y[1:3, :], copy=True),
    "at_add": lambda xpx, x, y: xpx.at(x)[:, 2].add(y[:, 2], copy=True),
    "at_multiply": lambda xpx, x, y: xpx.at(x)[0, :].multiply(y[0, :], copy=True),
    "at_mask": lambda xpx, x, y: xpx.at(x)[x > 1].set(0.0, copy=True),
    "at_max": lambda xpx, x, y: xpx.at(x)[1:, :].max(y[1:, :], copy=True),
}


@pytest.mark.parametrize("name", EXTRA)
def test_array_api_extra(name, rng):
    xpx = library("array_api_extra")
    x, y = rng.uniform(0.2, 2, (2, 4, 5))
    agrees(lambda x, y: EXTRA[name](xpx, x, y), x, y, name=name)


def test_array_api_extra_without_gradients():
    xpx = library("array_api_extra")
    i = tx.asarray([3, 1, 1, 2])
    assert xpx.one_hot(i, 4).tolist() == np.eye(4)[[3, 1, 1, 2]].tolist()
    assert xpx.nunique(i).item() == 3
    assert xpx.setdiff1d(i, tx.asarray([1])).tolist() == [2, 3]
    assert xpx.union1d(i, tx.asarray([9])).tolist() == [1, 2, 3, 9]
    assert tx.all(xpx.isclose(i + 0.0, i + 1e-9)).item()
    assert array(xpx.unravel_index(i, (2, 2))[0]).tolist() == [1, 0, 0, 1]


def test_array_api_extra_at_refuses_to_lose_a_leaf():
    xpx = library("array_api_extra")
    x = tx.asarray([1.0, 2.0], requires_grad=True)
    with pytest.raises(GradientError, match="leaf"):
        xpx.at(x)[0].set(0.0)


def test_dlpack_shares_or_copies(backend):
    x = tx.arange(6, dtype=tx.float32)
    xp = tx.backends.current().xp  # NumPy cannot read a GPU's memory
    shared, own = xp.from_dlpack(x), xp.from_dlpack(x, copy=True)
    x.array[0] = 7  # behind the tensor's back, as another library could
    assert tx.asarray(shared).tolist() == [7, 1, 2, 3, 4, 5]
    assert tx.asarray(own).tolist() == [0, 1, 2, 3, 4, 5]


def test_dlpack_says_what_cannot_be_exported(backend):
    with pytest.raises(
        ExportError, match=r"cannot export a tensor on '.*' with dl_device=\(99, 0\)"
    ):
        tx.ones(2).__dlpack__(dl_device=(99, 0))
