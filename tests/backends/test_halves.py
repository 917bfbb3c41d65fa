"""float16 and bfloat16: the whole registry, sums in float32, files, other libraries."""

import pickle

import numpy as np
import pytest

import tinyxp as tx
from tests.compare import close, value_and_gradients
from tests.conftest import reason_missing
from tests.helpers import each
from tests.registry import call, differentiable, example, is_floating
from tinyxp.core.operation import OPS
from tinyxp.errors import DTypeError
from tinyxp.nn import functional as F

HALVES = [tx.float16, tx.bfloat16]
BACKENDS = [name for name in ("numpy", "torch", "cupy") if reason_missing(name) is None]
# on NumPy float16 shares its ways with bfloat16, and takes the short cuts with float32
CASES = [(name, tx.bfloat16) for name in BACKENDS] + [("numpy", tx.float16)]


@pytest.fixture(params=BACKENDS)
def backend(request):
    """Each backend that has numbers of 16 bits."""
    with tx.backend(request.param):
        yield request.param


# A result of 16 bits may be off by rounding: its own, and that of the steps that lead to a
# gradient, in units of the last place of the largest number.
ULPS = 4


def public(name, static):
    """The operation as users call it, which may take a short cut; else itself."""
    function = getattr(tx, name, None)
    if getattr(function, "op", None) is OPS[name]:
        return lambda *xs: function(*xs, **static)
    return lambda *xs: call(name, xs, static)


NAMES = sorted({name for name, _ in differentiable()} - {"hfft", "imag", "irfft", "whole_dft"})


@each(("place", "dtype"), CASES)
@each("name", NAMES)
def test_registry(name, place, dtype):
    """Value and gradients of rounded inputs, against those in float64 on NumPy."""
    with tx.backend(place):
        agree_with_float64(name, dtype)


def agree_with_float64(name, dtype):
    for i in [i for n, i in differentiable() if n == name]:
        operands, static = example(name, i)
        xs = [
            tx.asarray(x, dtype=dtype if is_floating(x) and x.dtype.kind == "f" else None)
            if isinstance(x, np.ndarray)
            else x
            for x in operands
        ]
        if dtype not in [x.dtype for x in xs if isinstance(x, tx.Tensor)]:
            continue
        found = value_and_gradients(public(name, static), xs)
        with tx.backend("numpy"):
            exact = [
                tx.asarray(x.numpy().astype("float64" if x.dtype is dtype else x.dtype.name))
                if isinstance(x, tx.Tensor)
                else x
                for x in xs
            ]
            expected = value_and_gradients(public(name, static), exact)
        for k, (a, b) in enumerate(zip(found, expected, strict=True)):
            what = f"{name} example {i}, part {k}, {dtype.name}"
            if b.dtype == "float64" and "dtype" not in static:
                assert a.dtype.name == dtype.name, f"{what}: {a.dtype}"
            close(a.astype(b.dtype), b, ULPS * tx.finfo(dtype).eps, what)


# -- sums -----------------------------------------------------------------------------------------


SUMS = {
    "sum": lambda x: tx.sum(x),
    "sum over columns": lambda x: tx.sum(tx.reshape(x, (-1, 1)), axis=0)[0],
    "mean": lambda x: tx.mean(x) * x.size,
    "cumulative_sum": lambda x: tx.cumulative_sum(x)[-1],
    "matmul": lambda x: x @ tx.ones_like(x),
    "vecdot": lambda x: tx.vecdot(x, tx.ones_like(x)),
    "einsum": lambda x: tx.einsum("i,i->", x, tx.ones_like(x)),
    "linear": lambda x: F.linear(x, tx.ones_like(x)[None])[0],
    "index_add": lambda x: tx.index_add(tx.zeros(1, dtype=x.dtype), tx.zeros_like(x).long(), x)[0],
    "vector_norm": lambda x: tx.linalg.vector_norm(x, ord=1),
    "conv1d": lambda x: F.conv1d(x[None, None], tx.ones_like(x)[None, None])[0, 0, 0],
}


@each("dtype", HALVES)
@each("name", SUMS)
def test_sums_are_made_in_float32(name, dtype, backend):
    """3,000 ones, of which 16 bits would lose count: float16 at 2,048, bfloat16 at 256."""
    x = tx.ones(3000, dtype=dtype).requires_grad_()
    y = SUMS[name](x)
    assert y.dtype is dtype and y.item() == tx.asarray(3000.0, dtype=dtype).item()
    y.backward()
    assert x.grad.dtype is dtype and abs(x.grad.sum().item() / 3000 - 1) < 0.01


def test_gradients_are_summed_in_float32(backend):
    """Of a bias, over 3,000 rows, and of a weight that a whole batch shares."""
    bias, weight = (tx.zeros(n, dtype=tx.bfloat16).requires_grad_() for n in (2, (2, 1)))
    y = F.linear(tx.ones((3000, 1), dtype=tx.bfloat16), weight, bias)
    y.backward(tx.ones_like(y))
    ((tx.ones((3000, 2), dtype=tx.bfloat16) * 0 + bias).float()).sum().backward()
    assert bias.grad.tolist() == [6016.0] * 2 and weight.grad.tolist() == [[3008.0]] * 2


@pytest.mark.parametrize("dtype", HALVES, ids=repr)
@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_beside_float32_statistics(dtype, training, backend):
    """16 bits in, 16 bits out, rounded once; the mean of 300 and the gradients are float32's."""
    rng = np.random.default_rng(3)
    x = tx.asarray(rng.normal(300, 2, size=(64, 3, 5)), dtype=dtype)
    weight = rng.normal(size=x.shape)

    def run(x):
        norm = tx.nn.BatchNorm1d(3)
        norm.train(training)
        x = x.detach().requires_grad_()
        y = norm(x)
        y.backward(tx.asarray(weight, dtype=y.dtype))
        return [
            part.detach().float().numpy() for part in (y, x.grad, *norm.state_dict().values())
        ], y.dtype

    (found, kind), (expected, _) = run(x), run(x.float())
    assert kind is dtype
    for k, (a, b) in enumerate(zip(found, expected, strict=True)):
        exact = k > 1  # weights and statistics
        eps = 1e-6 if exact else 2 * float(tx.finfo(dtype).eps)
        np.testing.assert_allclose(a, b, rtol=eps, atol=eps * np.abs(b).max())


# -- dtypes ---------------------------------------------------------------------------------------


def test_promotion_and_limits_are_pytorchs():
    torch = pytest.importorskip("torch")
    names = ["bool", "int8", "int16", "int32", "int64", "uint8"]
    names += ["float16", "bfloat16", "float32", "float64", "complex64", "complex128"]
    for a in ("float16", "bfloat16"):
        ours = getattr(tx, a)
        for b in names:
            expected = torch.promote_types(getattr(torch, a), getattr(torch, b))
            if expected is torch.complex32:
                expected = torch.complex64
            if (a, b) in (("bfloat16", "complex64"), ("bfloat16", "complex128")):
                expected = getattr(torch, b)
            assert f"torch.{tx.result_type(ours, getattr(tx, b)).name}" == str(expected), (a, b)
            assert tx.result_type(getattr(tx, b), ours) is tx.result_type(ours, getattr(tx, b))
        for scalar, kind in ((True, ours), (3, ours), (0.5, ours), (1j, tx.complex64)):
            assert tx.result_type(ours, scalar) is kind
        info, theirs = tx.finfo(ours), torch.finfo(getattr(torch, a))
        for field in ("bits", "eps", "max", "min", "smallest_normal"):
            assert getattr(info, field) == getattr(theirs, field)
        assert tx.can_cast(ours, tx.float32) and not tx.can_cast(tx.float32, ours)
        assert tx.isdtype(ours, "real floating")
    assert not tx.can_cast(tx.float16, tx.bfloat16) and tx.half is tx.float16
    assert not {"float16", "bfloat16"} & tx.__array_namespace_info__().dtypes().keys()


@pytest.mark.parametrize("dtype", HALVES, ids=repr)
def test_made_changed_and_shown(dtype, backend):
    x = tx.asarray([1.0, 2.5, -3.0], dtype=dtype)
    assert x.dtype is dtype and x.tolist() == [1.0, 2.5, -3.0] and x[1].item() == 2.5
    assert type(x[1].item()) is float and float(x[1]) == 2.5
    assert str(x).startswith(f"tensor([ 1. ,  2.5, -3. ], dtype={dtype.name}")
    assert x.numpy().dtype.name == dtype.name
    assert tx.asarray(x.numpy()).dtype is dtype
    assert (x * 0.5).tolist() == [0.5, 1.25, -1.5] and (x * 0.5).dtype is dtype
    assert (x * 2).dtype is (2.0 / x).dtype is (x > 1).to(dtype).dtype is dtype
    assert (x + tx.asarray([1, 2, 3])).dtype is dtype
    assert (x + x.float()).dtype is tx.float32 and (x + x.double()).dtype is tx.float64
    assert (x + x.half() + x.bfloat16()).dtype is tx.float32
    assert (x + tx.asarray(1j)).dtype is tx.complex64
    for made in (tx.zeros(2, dtype=dtype), tx.full(2, 1.5, dtype=dtype), tx.ones_like(x)):
        assert made.dtype is dtype
    long = tx.arange(0, 600, dtype=dtype)
    assert (long == tx.arange(600).to(dtype)).all()  # each rounded once
    assert tx.eye(2, dtype=dtype).tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert tx.linspace(0, 1, 3, dtype=dtype).tolist() == [0.0, 0.5, 1.0]
    beyond = tx.nextafter(x, tx.full_like(x, 100.0))[0].item()
    assert beyond == 1 + tx.finfo(dtype).eps
    assert (x.astype(tx.int64).tolist(), x.astype(tx.bool).tolist()) == ([1, 2, -3], [True] * 3)
    model = tx.nn.Linear(2, 1).to(dtype=dtype)
    assert model.weight.dtype is dtype and model.float().weight.dtype is tx.float32
    assert model.half().bias.dtype is tx.float16 and model.bfloat16().bias.dtype is tx.bfloat16


@pytest.mark.parametrize("dtype", HALVES, ids=repr)
def test_random_numbers_are_float32s_rounded(dtype, backend):
    for draw in ("uniform", "normal"):
        one, two = (
            getattr(tx.random.Generator(3), draw)((50,), dtype=kind) for kind in (dtype, tx.float32)
        )
        assert one.dtype is dtype and bool((one == two.to(dtype)).all())


@pytest.mark.parametrize("dtype", HALVES, ids=repr)
@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-1.0, 1.0), (1000.0, 1001.0)])
def test_no_random_number_is_the_upper_bound(dtype, low, high, backend):
    x = tx.random.Generator(0).uniform(20_000, low, high, dtype=dtype)
    assert low <= x.min().item() <= x.max().item() < high


def test_an_optimizers_state_has_the_parameters_dtype(backend):
    """As PyTorch's, with which a step in bfloat16 is compared."""
    torch = pytest.importorskip("torch")
    w, g = (np.random.default_rng(i).normal(size=(5, 4)) for i in range(2))
    p = tx.asarray(w, dtype=tx.bfloat16, requires_grad=True)
    p.grad = tx.asarray(g, dtype=tx.bfloat16)
    q = torch.tensor(w, dtype=torch.bfloat16, requires_grad=True)
    q.grad = torch.tensor(g, dtype=torch.bfloat16)
    for make, options in (("SGD", {"momentum": 0.9}), ("AdamW", {"weight_decay": 0.1})):
        ours = getattr(tx.optim, make)([p], lr=0.1, **options)
        theirs = getattr(torch.optim, make)([q], lr=0.1, **options)
        for _ in range(2):
            ours.step()
            theirs.step()
        states = (ours.state_dict()["state"][0], theirs.state_dict()["state"][0])
        for name, value in states[0].items():
            assert name == "step" or value.dtype is tx.bfloat16
            assert name == "step" or states[1][name].dtype is torch.bfloat16
        norm = tx.optim.clip_grad_norm_([p], 0.5)
        torch.nn.utils.clip_grad_norm_([q], 0.5)
        assert abs(norm.item() / np.linalg.norm(g) - 1) < 0.01
        np.testing.assert_allclose(p.grad.tolist(), q.grad.tolist(), rtol=0.02)
        tx.optim.clip_grad_value_([p], 0.1)
        assert p.grad.dtype is tx.bfloat16 and abs(p.grad.max().item() - 0.1) < 0.001
        scaler = tx.amp.GradScaler(init_scale=4.0)
        scaler.unscale_(ours)
        assert p.grad.dtype is tx.bfloat16 and abs(p.grad.max().item() - 0.025) < 0.001
        p.grad, q.grad = tx.asarray(g).to(tx.bfloat16), torch.tensor(g, dtype=torch.bfloat16)
        off = np.abs(p.detach().float().numpy() - q.detach().float().numpy()).max()
        assert off <= 4 * tx.finfo(tx.bfloat16).eps


def test_a_backend_without_them_says_so():
    with tx.backend("strict"):
        for make in (
            lambda: tx.asarray([1.0], dtype=tx.bfloat16),
            lambda: tx.zeros(2, dtype=tx.bfloat16),
            lambda: tx.ones(2).bfloat16(),
            lambda: tx.nn.Linear(1, 1).to(dtype=tx.bfloat16),
        ):
            text = r"'strict' has no dtype tinyxp.bfloat16; take tx.float32, or the backend 'numpy'"
            with pytest.raises(DTypeError, match=text):
                make()


# -- files and other libraries --------------------------------------------------------------------


@pytest.mark.parametrize("dtype", HALVES, ids=repr)
def test_files_are_those_of_safetensors(dtype, backend, tmp_path):
    x = tx.asarray([[1.0, -2.5], [0.099, 3.0]], dtype=dtype)
    tx.save({"x": x}, tmp_path / "ours.safetensors")
    again = tx.load(tmp_path / "ours.safetensors")["x"]
    assert again.dtype is dtype and bool((again == x).all())
    torch, library = pytest.importorskip("torch"), pytest.importorskip("safetensors.torch")
    theirs = library.load_file(tmp_path / "ours.safetensors")["x"]
    assert theirs.dtype is getattr(torch, dtype.name) and theirs.tolist() == x.tolist()
    library.save_file({"x": theirs}, tmp_path / "theirs.safetensors")
    found = tx.load(tmp_path / "theirs.safetensors")["x"]
    assert found.dtype is dtype and found.tolist() == x.tolist()
    with tx.backend("strict"):  # where there is no such dtype float32 holds the same numbers
        found = tx.load(tmp_path / "ours.safetensors")["x"]
        assert found.dtype is tx.float32 and found.tolist() == x.tolist()


@pytest.mark.parametrize("dtype", HALVES, ids=repr)
def test_tensors_come_from_other_libraries_and_go_there(dtype):
    torch = pytest.importorskip("torch")
    a = torch.tensor([1.0, 2.5], dtype=getattr(torch, dtype.name))
    x = tx.asarray(a)
    assert (x.backend.name, x.dtype, x.tolist()) == ("torch", dtype, [1.0, 2.5])
    assert torch.from_dlpack(x).dtype is a.dtype
    moved = x.to("numpy")
    assert (moved.backend.name, moved.dtype, moved.tolist()) == ("numpy", dtype, [1.0, 2.5])
    assert moved.to("torch").array.dtype is a.dtype
    if dtype is tx.float16:  # NumPy's DLPack knows no bfloat16
        assert np.from_dlpack(moved).dtype == np.float16
        assert tx.from_dlpack(np.asarray([1.0], np.float16)).dtype is dtype
    y = pickle.loads(pickle.dumps(moved))
    assert y.dtype is dtype and y.tolist() == [1.0, 2.5]
