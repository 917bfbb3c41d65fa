"""One fixture over every backend that this machine has."""

import gc
import importlib.util
import os

import numpy as np
import pytest
from hypothesis import settings

import tinyxp as tx
from tests.backends import cuda_on_cpu
from tinyxp import backends
from tinyxp.core.primitive import Primitive
from tinyxp.errors import BackendError

os.environ["SCIPY_ARRAY_API"] = "1"  # SciPy reads it when it is imported

if importlib.util.find_spec("torch"):
    import torch

    torch.set_num_threads(1)  # on small matrices its threads only wait for each other
    # its own also seeds devices that are not here, and keeps a traceback of each call for them
    torch.manual_seed = torch.default_generator.manual_seed

# no test is timed, and a failure must come back on the next run
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")

BACKENDS = ("numpy", "strict", "torch", "cupy")


def reason_missing(name):
    """Why the backend ``name`` cannot be used here, or None."""
    try:
        backends.get(name)
    except BackendError as error:
        return str(error)
    return None


MISSING = {name: why for name in BACKENDS if (why := reason_missing(name))}
PRESENT = [name for name in BACKENDS if name not in MISSING]  # tests have parameters for these


def pytest_report_header():
    """The backends that the tests run on, and why not on the others."""
    return [
        f"backends: {', '.join(PRESENT)}",
        *(f"without {name}: {why}" for name, why in MISSING.items()),
    ]


@pytest.fixture(params=PRESENT)
def backend(request):
    """Each backend in turn, in use during the test."""
    with tx.backend(request.param):
        yield request.param


@pytest.fixture(scope="session", autouse=True)
def compiled_sources(tmp_path_factory):
    """The CUDA sources are compiled for the CPU once for all processes of a run."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    cuda_on_cpu.folder = shared / "cuda_on_cpu"


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(autouse=True)
def numpy_by_default(monkeypatch):
    monkeypatch.delenv("TINY_BACKEND", raising=False)
    backends.default.cache_clear()
    backends._current.set(None)  # a command with --backend leaves its choice


@pytest.fixture
def pulls(monkeypatch):
    """The names of the operations whose vjp ran, in order."""
    seen = []
    pull = Primitive.pull

    def counted(self, node, g, recording):
        seen.append(self.name)
        return pull(self, node, g, recording)

    monkeypatch.setattr(Primitive, "pull", counted)
    return seen


def pytest_collection_finish():
    """Thousands of tests, and PyTorch's samples, are no garbage to be looked for: each full
    collection would go through all of them."""
    gc.collect()
    gc.freeze()
