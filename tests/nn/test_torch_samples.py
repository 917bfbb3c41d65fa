"""Every function and module of nn against PyTorch, over PyTorch's own samples, on every backend.

Of the few with thousands of samples an even spread is taken, most on NumPy; all of them make the
table of docs/nn.md (tests/nn/table.py).
"""

import pytest

from tests.nn.torch_samples import EXPLAINED, errors_of, functions, modules, samples_of

NAMES = [("functions", name) for name in functions()] + [("modules", name) for name in modules()]


@pytest.mark.parametrize(("kind", "name"), NAMES)
def test_samples(kind, name, backend):
    found = samples_of(kind, name, "float64", most=150 if backend == "numpy" else 16)
    assert not found.failed, "\n".join(found.failed[:10])
    assert found.total


@pytest.mark.parametrize(("kind", "name"), NAMES)
def test_samples_in_float32(kind, name):
    found = samples_of(kind, name, "float32", most=40)
    assert not found.failed, "\n".join(found.failed[:10])


@pytest.mark.parametrize(("kind", "name"), NAMES)
def test_what_pytorch_refuses(kind, name, backend):
    found = errors_of(kind, name)
    assert not found.failed, "\n".join(found.failed[:10])


def test_nothing_unknown_is_explained():
    known = {"functions": {name.split(" ")[0] for name in functions()}, "modules": set(modules())}
    for kind, names in EXPLAINED.items():
        assert names.keys() <= known[kind]
