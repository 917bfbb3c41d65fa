"""Lazy modules beside PyTorch's: what they become, and how they are loaded, moved and refused."""

import copy

import numpy as np
import pytest

import tinyxp as tx
from tests.helpers import each
from tests.nn.test_nn_torch import compare_modules
from tinyxp import nn
from tinyxp.errors import ArgumentError, ShapeError
from tinyxp.random import Generator

torch = pytest.importorskip("torch", reason="PyTorch is the reference: pip install torch")
pytestmark = pytest.mark.filterwarnings("ignore:Lazy modules are a new feature")

CASES = {
    "LazyLinear": ((3,), {"bias": False}, (5, 2)),
    "LazyConv1d": ((4, 3), {"padding": 1, "groups": 2}, (2, 2, 6)),
    "LazyConv2d": ((4, 3), {"stride": 2}, (2, 3, 6, 7)),
    "LazyConv3d": ((2, 2), {"bias": False}, (3, 4, 4, 4)),  # without a batch
    "LazyConvTranspose1d": ((4, 3), {"groups": 2}, (2, 2, 6)),
    "LazyConvTranspose2d": ((4, 3), {"output_padding": 1, "stride": 2}, (2, 3, 4, 4)),
    "LazyConvTranspose3d": ((2, 2), {}, (1, 3, 3, 3, 3)),
    "LazyBatchNorm1d": ((), {"momentum": 0.3}, (4, 3)),
    "LazyBatchNorm2d": ((1e-3,), {}, (4, 3, 2, 2)),
    "LazyBatchNorm3d": ((), {"affine": False}, (4, 3, 2, 2, 2)),
    "LazyInstanceNorm1d": ((), {"affine": True}, (4, 3, 5)),
    "LazyInstanceNorm2d": ((), {}, (4, 3, 2, 2)),
    "LazyInstanceNorm3d": ((), {"affine": False}, (4, 3, 2, 2, 2)),
}


@each("loaded", ["before the first call", "after it"])
@each("name", CASES)
def test_values_and_gradients(name, loaded, backend, rng):
    args, kwargs, shape = CASES[name]
    x = rng.normal(size=shape)
    theirs = getattr(torch.nn, name)(*args, **kwargs)
    theirs(torch.tensor(x, dtype=torch.float32))
    theirs = theirs.double()
    ours = getattr(nn, name)(*args, **kwargs).to(dtype=tx.float64)
    if loaded == "after it":
        ours(tx.asarray(x))
    ours.load_state_dict(theirs.state_dict())
    assert type(ours) is getattr(nn, name.removeprefix("Lazy"))
    assert repr(ours).partition("  #")[0] == repr(theirs)
    compare_modules(ours, theirs, x)
    assert all(p.dtype is tx.float64 and p.backend.name == backend for p in ours.parameters())


def test_a_model_learns_only_after_its_first_call():
    model = nn.Sequential(nn.LazyConv2d(4, 3), nn.Tanh(), nn.Flatten(), nn.LazyLinear(2))
    with pytest.raises(ArgumentError, match="call the model once first"):
        tx.optim.SGD(model.parameters())
    model(tx.zeros((1, 3, 6, 6)))
    before = [p.detach() for p in model.parameters()]
    optimizer = tx.optim.SGD(model.parameters(), lr=0.1)
    (model(tx.ones((2, 3, 6, 6))) ** 2).sum().backward()
    optimizer.step()
    assert len(before) == 4
    for p, old in zip(model.parameters(), before, strict=True):
        assert bool(tx.any(p != old))


def test_what_was_set_before_the_first_call_stays():
    seen = []
    layer = nn.LazyLinear(3, generator=Generator(0)).eval()
    layer.register_forward_hook(lambda module, args, y: seen.append(y.shape))
    twin = copy.deepcopy(layer)
    assert repr(layer) == "LazyLinear(out_features=3, generator=Generator(seed=0))" or "3" in repr(
        layer
    )
    layer(tx.zeros((5, 2)))
    assert not layer.training
    assert seen == [(5, 3)]
    twin(tx.zeros((1, 2)))
    eager = nn.Linear(2, 3, generator=Generator(0))
    for module in (layer, twin):
        np.testing.assert_array_equal(module.weight.detach().numpy(), eager.weight.detach().numpy())


def test_moved_before_the_first_call():
    layer = nn.LazyConv1d(2, 1).to("strict", dtype=tx.float64)
    with tx.backend("strict"):
        layer(tx.zeros((1, 3, 4), dtype=tx.float64))
    assert (layer.weight.backend.name, layer.weight.dtype) == ("strict", tx.float64)


def test_errors():
    with pytest.raises(TypeError):
        nn.LazyLinear()
    with pytest.raises(TypeError):
        nn.LazyLinear(3, nonsense=1)
    with pytest.raises(ShapeError, match="LazyBatchNorm1d expects 2 axes or more"):
        nn.LazyBatchNorm1d()(tx.zeros(3))
    with pytest.raises(ShapeError):
        nn.LazyConv2d(2, 1)(tx.zeros((2, 2)))
    with pytest.raises(ArgumentError, match="misshapen: weight"):
        nn.LazyLinear(3).load_state_dict({"weight": tx.zeros(3), "bias": tx.zeros(3)}, strict=False)


def test_a_subclass_is_lazy_as_its_base_is():
    class Mine(nn.LazyLinear):
        pass

    class Norm(nn.LazyBatchNorm1d):
        pass

    assert Mine(3)(tx.ones((1, 2))).shape == (1, 3)
    assert Norm()(tx.ones((4, 2))).shape == (4, 2)
