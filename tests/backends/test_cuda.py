"""``tx.cuda`` and what ``tinyxp info`` says of CUDA, as far as it can be told without a GPU."""

import numpy as np
import pytest

import tinyxp as tx
from tests.backends.cuda_on_cpu import COMPILER, on_cpu
from tests.conftest import reason_missing
from tinyxp import backends
from tinyxp.backends.common.later import checks_later
from tinyxp.backends.common.memory import Memory, shortage
from tinyxp.backends.cupy import setup as cuda_setup
from tinyxp.backends.cupy.checks import Checks
from tinyxp.backends.cupy.setup import Setup, advice
from tinyxp.commands import main
from tinyxp.errors import BackendError, IndexingError, OutOfMemoryError, TinyError
from tinyxp.nn import functional as F

WHEEL = (("cupy-cuda13x", "14.2.0"),)


@pytest.mark.parametrize(
    ("setup", "words"),
    [
        (Setup((13, 0), WHEEL, True), []),
        (Setup((12, 9), (("cupy-cuda12x", "14.2.0"),), True), []),
        (Setup((13, 1), (), True), ["CuPy is not installed: pip install 'cupy-cuda13x[ctk]'"]),
        (Setup(None, (), False), ["no NVIDIA driver is found", "--gpus all"]),
        (
            Setup((12, 4), WHEEL, True),
            ["cupy-cuda13x 14.2.0 is for CUDA 13, and the driver knows CUDA 12.4",
             "pip uninstall -y cupy-cuda13x && pip install 'cupy-cuda12x[ctk]'"],
        ),
        (
            Setup((13, 0), (("cupy-cuda12x", "14.0"), *WHEEL), True),
            ["2 CuPys are installed (cupy-cuda12x 14.0, cupy-cuda13x 14.2.0)",
             "pip uninstall -y cupy-cuda12x cupy-cuda13x && pip install 'cupy-cuda13x[ctk]'"],
        ),
        (Setup((13, 0), WHEEL, False), ["headers are missing", "pip install 'cupy-cuda13x[ctk]'"]),
        (Setup((13, 0), (("cupy", "14.2.0"),), False), ["pip install 'cupy[ctk]'"]),
        (Setup(None, WHEEL, False), ["no NVIDIA driver", "headers are missing"]),
    ],
)  # fmt: skip
def test_each_fault_of_a_setup_comes_with_its_command(setup, words):
    found = "\n".join(advice(setup))
    assert all(word in found for word in words), found
    assert bool(found) == bool(words)


def test_looking_at_this_machine(monkeypatch, capsys):
    class Found:
        def __init__(self, name):
            self.metadata, self.version = {"Name": name}, "1.0"

    names = ["cupy-cuda12x", "cupyx-tools", "nvidia-cuda-runtime-cu12", None, "numpy", "cupy"]
    monkeypatch.setattr(cuda_setup, "distributions", lambda: map(Found, names))
    monkeypatch.setattr(cuda_setup, "_driver", lambda: (12, 4))
    found = cuda_setup.look()
    assert found == Setup((12, 4), (("cupy", "1.0"), ("cupy-cuda12x", "1.0")), True)
    assert main(["info"]) == 0
    assert "CUDA: 2 CuPys are installed" in capsys.readouterr().out


def test_without_a_gpu_each_function_says_so():
    why = reason_missing("cupy")
    if why is None:
        pytest.skip("there is a GPU here")
    assert (tx.cuda.is_available(), tx.cuda.device_count()) == (False, 0)
    for name in sorted(
        set(tx.cuda.__all__) - {"is_available", "device_count", "checks_later", "graph"}
    ):
        with pytest.raises(BackendError) as caught:
            getattr(tx.cuda, name)()
        assert str(caught.value) == why


def test_tensors_are_counted_by_shape_and_arrays_once():
    kept = [tx.zeros((7, 11, 13), dtype=tx.float32) for _ in range(3)]
    again = kept[0].detach()
    kinds, bytes_of = tx.cuda._tensors("numpy")
    assert again.array is kept[0].array
    assert kinds[((7, 11, 13), "float32")] == 3
    assert bytes_of[((7, 11, 13), "float32")] == 4 * 7 * 11 * 13


# -- out of memory ------------------------------------------------------------------------------


def test_what_to_try_depends_on_who_holds_the_memory():
    gib = 1 << 30
    ours = shortage("cuda:0", 2 * gib, Memory(76 * gib, 77 * gib, 77 * gib, gib, 80 * gib))
    assert "asked for 2.0 GiB; of 80.0 GiB, arrays hold 76.0 GiB, 1.0 GiB are kept" in ours
    assert "in too small pieces" in ours and "nvidia-smi" not in ours
    theirs = shortage("cuda:0", 2 * gib, Memory(gib, gib, gib, gib, 80 * gib))
    assert "Try to end the other programs on this GPU" in theirs and "pieces" not in theirs
    assert issubclass(OutOfMemoryError, (TinyError, MemoryError))


def test_cupys_allocator_raises_our_error():
    """On CuPy's own error; no GPU is needed to raise it."""
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed")
    from tinyxp.backends.cupy.device import with_explanation

    def allocate(size):
        if size > 10:
            raise cupy.cuda.memory.OutOfMemoryError(size, 5, 0)
        return size

    malloc = with_explanation(allocate, lambda: Memory(1, 2, 2, 3, 4))
    assert malloc(7) == 7 and with_explanation(malloc) is malloc
    with pytest.raises(OutOfMemoryError, match="asked for 11 B; of 4 B, arrays hold 1 B"):
        malloc(11)


# -- indices that the device checks ---------------------------------------------------------------


@pytest.fixture
def checks(monkeypatch):
    if COMPILER is None:
        pytest.skip("g++ is not installed")
    checks, numpy = Checks(on_cpu()), backends.get("numpy")

    def read(array):
        checks.look()
        return np.asarray(array)

    monkeypatch.setitem(numpy.__dict__, "check_later", checks.check_later)
    monkeypatch.setitem(numpy.__dict__, "to_numpy", read)
    return checks


def test_a_wrong_index_is_told_with_the_next_value_that_is_read(checks):
    table = tx.ones((4, 2))
    with checks_later():
        y = F.embedding(tx.asarray([0, 3, 1]), table).sum()
    assert y.item() == 6
    logits = tx.zeros((3, 4))
    for wrong in (4, -1):
        with checks_later():
            loss = F.cross_entropy(logits, tx.asarray([0, wrong, -100]))
            other = tx.ones(3)
        expected = f"cross_entropy: index {wrong} is out of range for 4 classes; expected 0 to 3"
        with pytest.raises(IndexingError, match=expected):
            other.numpy()
        assert other.numpy().tolist() == [1, 1, 1]  # told once
        assert np.isnan(loss.numpy()) or loss.numpy() > 0


def test_outside_of_it_an_index_is_checked_at_once(checks):
    with pytest.raises(IndexingError, match="index 4 is out of range"):
        F.cross_entropy(tx.zeros((1, 4)), tx.asarray([4]))
    assert not checks.open
    with checks_later():
        F.cross_entropy(tx.zeros((2, 4)), tx.asarray([1, 9]), ignore_index=9)
        assert checks.open
        assert not checks.check_later(np.ones(2, "int32"), 0, 1, None, str)  # not its dtype
    checks.look()
    assert len(checks.numbers) == 1
    for _ in range(3):  # what is remembered does not grow with the steps
        with checks_later():
            F.cross_entropy(tx.zeros((2, 4)), tx.asarray([1, 9]), ignore_index=9)
    assert len(checks.numbers) == 1
