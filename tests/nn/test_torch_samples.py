"""Every function and module of nn against PyTorch, over PyTorch's own samples, on every backend.

The samples are chosen by what they contain. On NumPy every pair of features is there, such as two
options, or an option and a number of axes. The formulas are one for all backends and precisions,
so elsewhere each feature alone is. All samples make the table of docs/nn.md (table.py).
"""

import pytest

import tinyxp as tx
from tests.conftest import PRESENT
from tests.helpers import each
from tests.nn.torch_samples import EXPLAINED, errors_of, functions, modules, samples_of

NAMES = [("functions", name) for name in functions()] + [("modules", name) for name in modules()]
RUNS = [("numpy", "float64", 2), ("numpy", "float32", 1)]
RUNS += [(backend, "float64", 1) for backend in PRESENT if backend != "numpy"]


@pytest.mark.parametrize(("kind", "name"), NAMES)
@each(("backend", "dtype", "cover"), RUNS)
def test_samples(kind, name, backend, dtype, cover):
    with tx.backend(backend):
        found = samples_of(kind, name, dtype, cover)
    assert not found.failed, "\n".join(found.failed[:10])
    assert found.total


@each(("kind", "name"), NAMES)
def test_what_pytorch_refuses(kind, name, backend):
    found = errors_of(kind, name)
    assert not found.failed, "\n".join(found.failed[:10])


def test_nothing_unknown_is_explained():
    known = {"functions": {name.split(" ")[0] for name in functions()}, "modules": set(modules())}
    for kind, names in EXPLAINED.items():
        assert names.keys() <= known[kind]
