"""What nn.utils does to parameters, against PyTorch."""

import numpy as np
import pytest

import tinyxp as tx
from tests.compare import close
from tests.nn.test_nn_torch import compare
from tinyxp import nn
from tinyxp.errors import ArgumentError, DTypeError, ShapeError

torch = pytest.importorskip("torch", reason="PyTorch is the reference: pip install torch")


def test_parameters_as_a_vector(backend):
    theirs, ours = torch.nn.Linear(3, 2), nn.Linear(3, 2)
    ours.load_state_dict(theirs.state_dict())
    vector = nn.utils.parameters_to_vector(ours.parameters())
    expected = torch.nn.utils.parameters_to_vector(theirs.parameters())
    assert vector.tolist() == expected.tolist()
    weights = tx.asarray(np.arange(8.0), dtype=tx.float32)
    (vector * weights).sum().backward()
    assert ours.weight.grad.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert ours.bias.grad.tolist() == [6, 7]
    kept = list(ours.parameters())
    nn.utils.vector_to_parameters(weights * 2, ours.parameters())
    torch.nn.utils.vector_to_parameters(torch.arange(8.0) * 2, theirs.parameters())
    for p, q, t in zip(ours.parameters(), kept, theirs.parameters(), strict=True):
        assert p is q
        assert p.tolist() == t.tolist()
        assert p.is_leaf


NORMED = [
    (lambda nn: nn.Linear(3, 2), "weight", 0, (4, 3)),
    (lambda nn: nn.Linear(3, 2), "weight", 1, (4, 3)),
    (lambda nn: nn.Linear(3, 2), "weight", None, (4, 3)),
    (lambda nn: nn.Conv1d(2, 3, 2), "weight", 2, (4, 2, 5)),
    (lambda nn: nn.Conv1d(2, 3, 2), "weight", -1, (4, 2, 5)),
    (lambda nn: nn.GRU(3, 2), "weight_hh_l0", 0, (4, 2, 3)),
]


@pytest.mark.parametrize(("make", "name", "dim", "shape"), NORMED)
@pytest.mark.filterwarnings("ignore::FutureWarning")  # PyTorch has another way besides
def test_weight_norm(make, name, dim, shape, backend, rng):
    theirs = torch.nn.utils.weight_norm(make(torch.nn).double(), name, dim)
    ours = nn.utils.weight_norm(make(nn).to(dtype=tx.float64), name, dim)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    values = {k: rng.normal(size=tuple(v.shape)) for k, v in theirs.state_dict().items()}
    theirs.load_state_dict({k: torch.from_numpy(v) for k, v in values.items()})
    ours.load_state_dict(values)

    def first(y):
        return y[0] if isinstance(y, tuple) else y

    x = rng.normal(size=shape)
    compare(lambda x: first(ours(x)), lambda x: first(theirs(x)), x)
    expected = dict(theirs.named_parameters())
    for key, p in ours.named_parameters():
        close(p.grad, expected[key].grad, 1e-10, f"gradient of {key}")
    nn.utils.remove_weight_norm(ours, name)
    torch.nn.utils.remove_weight_norm(theirs, name)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    close(getattr(ours, name), getattr(theirs, name), 1e-10, "the weight afterwards")
    compare(lambda x: first(ours(x)), lambda x: first(theirs(x)), x)


def test_weight_norm_keeps_the_weight(backend):
    layer = nn.Linear(3, 2)
    before = layer.weight.detach().numpy()
    nn.utils.weight_norm(layer)
    np.testing.assert_allclose(layer.weight.detach().numpy(), before, rtol=1e-6)
    assert not isinstance(layer.weight, nn.Parameter)


BAD = {
    "vector": (
        lambda: nn.utils.vector_to_parameters(tx.zeros(3), [nn.Parameter(tx.zeros((2, 2)))]),
        ShapeError,
        r"a vector of 4 elements, got \(3,\)",
    ),
    "no vector": (lambda: nn.utils.vector_to_parameters([1.0], []), DTypeError, "expects Tensors"),
    "name": (
        lambda: nn.utils.weight_norm(nn.Linear(3, 2), "w"),
        ArgumentError,
        r"no parameter 'w'; it has \['weight', 'bias'\]",
    ),
    "None": (
        lambda: nn.utils.weight_norm(nn.Linear(3, 2, bias=False), "bias"),
        ArgumentError,
        "no parameter 'bias'",
    ),
    "twice": (
        lambda: nn.utils.weight_norm(nn.utils.weight_norm(nn.Linear(3, 2))),
        ArgumentError,
        "has weight_norm already",
    ),
    "not there": (
        lambda: nn.utils.remove_weight_norm(nn.Linear(3, 2)),
        ArgumentError,
        "no weight_norm to remove",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_refusals(what):
    run, error, message = BAD[what]
    with pytest.raises(error, match=message):
        run()
