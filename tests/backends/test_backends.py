"""Choosing a backend, and moving between backends and devices."""

import contextvars
import importlib.metadata
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import tinyxp as tx
from tests.conftest import reason_missing
from tinyxp import backends
from tinyxp.errors import (
    BackendError,
    GradientError,
)


@pytest.fixture
def fresh(monkeypatch):
    """No backend chosen and none loaded, as in a new process."""
    monkeypatch.setattr(backends, "_loaded", {})
    monkeypatch.setattr(backends, "_by_type", {})
    backends._plugins.cache_clear()
    token = backends._current.set(None)
    yield monkeypatch
    backends._current.reset(token)
    backends._plugins.cache_clear()


def needs(name):
    why = reason_missing(name)
    if why:
        pytest.skip(why)


# -- choosing ---------------------------------------------------------------------------------


def test_numpy_is_the_default(fresh):
    assert backends.current().name == "numpy"
    assert tx.ones(2).backend.name == "numpy"


def test_the_environment_gives_another_default(fresh):
    needs("strict")
    fresh.setenv("TINY_BACKEND", "strict")
    assert tx.ones(2).backend.name == "strict"
    assert tx.asarray([1.0]).backend.name == "strict"
    fresh.setenv("TINY_BACKEND", "cuda")
    assert tx.ones(2).backend.name == "strict"  # it was read when the first tensor was made
    backends.default.cache_clear()
    with pytest.raises(BackendError, match="unknown backend 'cuda'"):
        tx.ones(2)


def test_use_backend_and_its_scope(fresh):
    needs("strict")
    fresh.setenv("TINY_BACKEND", "strict")
    tx.use_backend("numpy")  # wins over the environment
    assert tx.ones(2).backend.name == "numpy"
    with tx.backend("strict") as chosen:
        assert chosen.name == "strict"
        assert tx.ones(2).backend.name == "strict"
        with tx.backend("numpy"):
            assert tx.ones(2).backend.name == "numpy"
        assert tx.ones(2).backend.name == "strict"
        with pytest.raises(RuntimeError, match="stop"), tx.backend("numpy"):
            raise RuntimeError("stop")
        assert tx.ones(2).backend.name == "strict"
    assert tx.ones(2).backend.name == "numpy"


def test_each_thread_and_context_chooses_for_itself(fresh):
    needs("strict")
    seen, ready, go = {}, threading.Barrier(2), threading.Barrier(2)

    def work(name):
        with tx.backend(name):
            ready.wait(10)  # both have chosen by now
            seen[name] = (tx.ones(2) * 2).sum().backend.name
            go.wait(10)

    threads = [threading.Thread(target=work, args=(name,)) for name in ("numpy", "strict")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {"numpy": "numpy", "strict": "strict"}

    context = contextvars.copy_context()
    context.run(tx.use_backend, "strict")
    assert tx.ones(2).backend.name == "numpy"
    assert context.run(tx.ones, 2).backend.name == "strict"


def test_results_stay_on_their_operands_backend():
    needs("strict")
    x = tx.asarray([1.0, 2.0])
    with tx.backend("strict"):
        for y in (
            tx.sin(x),
            x[::-1],
            tx.mean(x),
            tx.ones_like(x),
            x[[1, 0]],
            tx.sort(x),
            tx.std(x),
        ):
            assert y.backend.name == "numpy"


def test_numpys_arrays_move_to_the_backend_in_use(backend):
    for y in (
        tx.sin(np.asarray([1.0, 2.0])),
        tx.add(np.asarray([1.0]), 2.0),
        tx.exp(np.ones((2, 2))),
    ):
        assert y.backend.name == backend
    assert tx.add(np.asarray([1.0]), 2.0).tolist() == [3]


# -- errors of choice -------------------------------------------------------------------------


def test_an_unknown_backend_names_the_choices(fresh):
    fresh.setattr(importlib.metadata, "entry_points", lambda **_: ())
    text = "unknown backend 'cuda'; choose one of 'cupy', 'numpy', 'strict', 'torch'"
    for choose in (backends.get, tx.use_backend, lambda name: tx.backend(name).__enter__()):
        with pytest.raises(BackendError) as caught:
            choose("cuda")
        assert str(caught.value) == text


@pytest.mark.parametrize(
    ("name", "library", "text"),
    [
        ("torch", "torch", "the library PyTorch is not installed; pip install torch (on Linux"),
        (
            "strict",
            "array_api_strict",
            "the library array-api-strict is not installed; pip install array-api-strict",
        ),
        (
            "cupy",
            "cupy",
            "the library CuPy is not installed; pip install 'cupy-cuda12x[ctk]' "
            "or pip install 'cupy-cuda13x[ctk]'",
        ),
    ],
)
def test_a_missing_library_comes_with_the_command_that_installs_it(fresh, name, library, text):
    fresh.setitem(sys.modules, library, None)
    fresh.delitem(sys.modules, f"tinyxp.backends.{name}.backend", raising=False)
    with pytest.raises(BackendError) as caught:
        backends.get(name)
    assert str(caught.value).startswith(text)
    assert backends.current().name == "numpy"  # no silent change


def test_cupy_without_a_gpu_says_so(fresh):
    """A CuPy that imports but finds no driver, or no device."""

    class CUDARuntimeError(RuntimeError):
        pass

    def count():
        if broken:
            raise CUDARuntimeError("cudaErrorNoDevice")
        return 0

    cupy = type(sys)("cupy")
    cupy.cuda = type(sys)("cuda")
    cupy.cuda.runtime = type(sys)("runtime")
    cupy.cuda.runtime.CUDARuntimeError = CUDARuntimeError
    cupy.cuda.runtime.getDeviceCount = count
    import array_api_compat

    compat = type(sys)("array_api_compat.cupy")
    for name, module in {
        "cupy": cupy,
        "cupyx": type(sys)("cupyx"),
        "array_api_compat.cupy": compat,
    }.items():
        fresh.setitem(sys.modules, name, module)
    fresh.setattr(array_api_compat, "cupy", compat, raising=False)
    for broken, text in (  # noqa: B007, count() reads it
        (True, "CuPy is installed but finds no NVIDIA driver: cudaErrorNoDevice"),
        (False, "CuPy is installed but this machine has no CUDA device"),
    ):
        fresh.delitem(sys.modules, "tinyxp.backends.cupy.backend", raising=False)
        with pytest.raises(BackendError) as caught:
            backends.get("cupy")
        assert str(caught.value) == text


def test_a_plugin_adds_a_backend(fresh):
    numpy = backends.get("numpy")

    class Mine(np.ndarray):
        pass

    def load():
        return backends.Backend(
            name="mine",
            xp=numpy.xp,
            array_types=(Mine,),
            to_numpy=np.asarray,
            from_numpy=lambda array, device=None: array.view(Mine),
            device_of=lambda array: "here",
            to_device=lambda array, device: array,
            devices=lambda: ["here"],
        )

    class EntryPoint:
        name = "mine"

        def load(self):
            return load

    fresh.setattr(
        importlib.metadata,
        "entry_points",
        lambda *, group: {"tinyxp.backends": [EntryPoint()]}[group],
    )
    backends._plugins.cache_clear()
    assert backends.names() == ["cupy", "mine", "numpy", "strict", "torch"]
    x = tx.asarray([1.0, 2.0], requires_grad=True).to("mine")
    assert (x.backend.name, x.device) == ("mine", "here")
    (x * x).sum().backward()
    with tx.backend("mine"):
        y = tx.asarray([3.0, 4.0], requires_grad=True)
        (y * y).sum().backward()
    assert (y.backend.name, y.grad.tolist()) == ("mine", [6, 8])
    with pytest.raises(
        BackendError, match="unknown backend 'cuda'; choose one of 'cupy', 'mine', 'numpy'"
    ):
        backends.get("cuda")


# -- moving -----------------------------------------------------------------------------------


def test_moving_to_another_backend_is_differentiable(backend):
    with tx.backend("numpy"):
        x = tx.asarray([1.0, 2.0, 3.0], dtype=tx.float64, requires_grad=True)
    y = (x * x).to(backend)
    assert y.backend.name == backend
    z = (y * y).to("numpy").sum()
    (g,) = tx.autograd.grad(z, x, create_graph=True)
    (h,) = tx.autograd.grad(g.sum(), x)
    assert g.backend.name == h.backend.name == "numpy"
    assert (g.tolist(), h.tolist()) == ([4, 32, 108], [12, 48, 108])
    z = (x * x).to(backend).sum()
    z.backward()
    assert (x.grad.backend.name, x.grad.tolist()) == ("numpy", [2, 4, 6])


def test_moving_to_another_device_is_differentiable():
    needs("strict")
    with tx.backend("strict"):
        x = tx.asarray([1.0, 2.0], dtype=tx.float64, requires_grad=True)
        y = (x * 3).to("device1")
        assert (x.device, y.device) == ("cpu", "device1")
        z = (y * y).sum()
        (g,) = tx.autograd.grad(z, x, create_graph=True)
        (h,) = tx.autograd.grad(g.sum(), x)
        assert (g.device, g.tolist(), h.device, h.tolist()) == ("cpu", [18, 36], "cpu", [18, 18])

        x = tx.asarray([1.0, 2.0, 3.0, 4.0], device="device1", requires_grad=True)
        ((x[::-1][[0, 0, 1]] * tx.pad(x, 1)[1:4]).sum() + tx.prod(x) + tx.max(x)).backward()
        assert x.grad.device == "device1"  # 4a + 4b + 3c and abcd and d
        assert x.grad.tolist() == [4 + 24, 4 + 12, 3 + 3 + 8, 1 + 2 + 6 + 1]
        x = tx.asarray([1.5]).to("device1", dtype=tx.float64)
        assert (x.device, x.dtype, x.to("device1") is x) == ("device1", tx.float64, True)


def test_devices_do_not_mix():
    needs("strict")
    with tx.backend("strict"):
        a, b = tx.ones(2), tx.ones(2, device="device1")
        for op in (
            lambda: a + b,
            lambda: a @ b,
            lambda: tx.concat([a, b]),
            lambda: tx.where(a > 0, b, b),
        ):
            with pytest.raises(
                BackendError, match=r"they lie on the devices \['cpu', 'device1'\]; move one: x\.to"
            ):
                op()
        with pytest.raises(BackendError, match="has the devices 'cpu' and 'device1', got 'cuda:0'"):
            a.to("cuda:0")
    with pytest.raises(BackendError, match=r"'cpu' only, got 'cuda:0'; .* x\.to\('cupy'\)"):
        tx.ones(2).to("cuda:0")
    with pytest.raises(BackendError, match="'cpu' only, got 'cuda:0'"):
        tx.ones(2, device="cuda:0")


def test_backends_do_not_mix():
    needs("strict")
    a = tx.asarray([1.0, 2.0])
    b = a.to("strict")
    text = (
        r"operands on the backends 'numpy' and 'strict'; "
        r"move one: x\.to\('numpy'\) or x\.to\('strict'\)"
    )
    for op in (
        lambda: a + b,
        lambda: tx.where(a > 0, a, b),
        lambda: tx.concat([a, b]),
        lambda: a[tx.asarray([0])] @ b[:1],
        lambda: np.asarray([1.0, 2.0]) * b,
        lambda: tx.einsum("i,i->", a, b),
    ):
        with pytest.raises(BackendError, match=text):
            op()
    with pytest.raises(BackendError, match="backends 'strict' and 'numpy'"):
        b * np.asarray([1.0, 2.0])
    with pytest.raises(BackendError, match=text):
        a[b > 1]


def test_pytorchs_own_graph_is_not_taken_over():
    torch = pytest.importorskip("torch")
    needs("torch")
    with pytest.raises(GradientError, match=r"requires grad in PyTorch; pass x\.detach\(\)"):
        tx.asarray(torch.ones(2, requires_grad=True))
    a = torch.tensor([1.0, 2.0], requires_grad=True).detach()
    x = tx.asarray(a)
    a[0] = 100
    assert (x.backend.name, x.tolist()) == ("torch", [1, 2])


def test_hints_name_the_libraries_of_the_extras():
    import tomllib

    from tinyxp.backends.common.extras import LIBRARIES, advice

    path = Path(__file__).parents[2] / "pyproject.toml"
    extras = tomllib.loads(path.read_text("utf-8"))["project"]["optional-dependencies"]
    for extra, library in LIBRARIES.items():
        assert any(line.startswith(f"{library}>") for line in extras[extra]), extra
    assert "for CPUs alone" in advice("torch")
