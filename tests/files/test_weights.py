"""Weights both ways through safetensors files, between modules of PyTorch and of tinyxp."""

import numpy as np
import pytest

import tinyxp as tx
from tinyxp import nn

torch = pytest.importorskip("torch", reason="PyTorch is the reference: pip install torch")
safetensors = pytest.importorskip("safetensors.torch", reason="pip install safetensors torch")


def images(rng):
    return (rng.normal(size=(4, 3, 8, 8)),)


def rows(rng):
    return (rng.normal(size=(2, 5, 8)),)


MODELS = {
    "perceptron": (
        lambda n: n.Sequential(n.Linear(8, 6), n.LayerNorm(6), n.PReLU(), n.Linear(6, 2, False)),
        rows,
    ),
    "convolutions": (
        lambda n: n.Sequential(
            n.Conv2d(3, 4, 3, padding=1, groups=1),
            n.BatchNorm2d(4),
            n.ReLU(),
            n.ConvTranspose2d(4, 6, 2, stride=2),
            n.GroupNorm(3, 6),
            n.InstanceNorm2d(6, affine=True, track_running_stats=True),
            n.AdaptiveAvgPool2d(2),
            n.Flatten(),
            n.Linear(24, 5),
        ),
        images,
    ),
    "lstm": (lambda n: n.LSTM(8, 4, 2, bidirectional=True, proj_size=3), rows),
    "gru": (lambda n: n.GRU(8, 4, batch_first=True), rows),
    "embedding": (
        lambda n: n.Sequential(n.Embedding(7, 4, padding_idx=1), n.RMSNorm(4)),
        lambda rng: (rng.integers(0, 7, size=(2, 3)),),
    ),
    "encoder": (
        lambda n: n.TransformerEncoder(
            n.TransformerEncoderLayer(8, 2, 12, batch_first=True), 2, n.LayerNorm(8)
        ),
        rows,
    ),
    "transformer": (
        lambda n: n.Transformer(8, 2, 1, 1, 12, batch_first=True),
        lambda rng: (rng.normal(size=(2, 5, 8)), rng.normal(size=(2, 3, 8))),
    ),
}


def filled(module, rng):
    """A PyTorch module with values that no initialisation gives, buffers included."""
    state = {
        key: torch.tensor(rng.integers(3, 9))
        if value.dtype == torch.int64
        else torch.from_numpy(rng.uniform(0.1, 1, size=tuple(value.shape))).to(value.dtype)
        for key, value in module.state_dict().items()
    }
    module.load_state_dict(state)
    return module.eval()


def outputs(module, library, arrays, dtype):
    """What a module gives, flattened."""
    floating = getattr(library, dtype)
    xs = [
        library.asarray(x, dtype=floating if x.dtype.kind == "f" else library.int64) for x in arrays
    ]
    y = module(*xs)
    parts = (
        [y] if not isinstance(y, tuple) else [y[0], *(y[1] if isinstance(y[1], tuple) else y[1:])]
    )
    return [np.asarray(part.detach()) for part in parts]


@pytest.mark.filterwarnings("ignore:.*nested_tensor", "ignore:LSTM with projections")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", MODELS)
def test_both_ways(name, dtype, tmp_path, backend, rng):
    make, inputs = MODELS[name]
    arrays = inputs(rng)
    theirs = filled(make(torch.nn).to(getattr(torch, dtype)), rng)
    safetensors.save_file(theirs.state_dict(), tmp_path / "theirs.safetensors")
    ours = make(nn).to(dtype=getattr(tx, dtype)).eval()
    ours.load_state_dict(tx.load(tmp_path / "theirs.safetensors"))
    tolerance = 1e-10 if dtype == "float64" else 1e-5
    expected = outputs(theirs, torch, arrays, dtype)
    for a, b in zip(outputs(ours, tx, arrays, dtype), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(1, abs(b).max()))

    tx.save(ours.state_dict(), tmp_path / "ours.safetensors")
    back = safetensors.load_file(tmp_path / "ours.safetensors")
    assert back.keys() == theirs.state_dict().keys()
    for key, value in theirs.state_dict().items():
        assert back[key].dtype == value.dtype
        assert torch.equal(back[key], value), key
    again = make(torch.nn).to(getattr(torch, dtype)).eval()
    again.load_state_dict(back)
    for a, b in zip(outputs(again, torch, arrays, dtype), expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_tied_and_transposed_weights(tmp_path, rng):
    """A tied weight is saved under both names; a view that is not contiguous as what it shows."""
    ours = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 5, bias=False))
    ours[1].weight = ours[0].weight
    ours[0].weight.array = np.asfortranarray(rng.normal(size=(5, 3)).astype("float32"))
    tx.save(ours.state_dict(), tmp_path / "tied.safetensors")
    theirs = torch.nn.Sequential(torch.nn.Embedding(5, 3), torch.nn.Linear(3, 5, bias=False))
    theirs[1].weight = theirs[0].weight
    theirs.load_state_dict(safetensors.load_file(tmp_path / "tied.safetensors"))
    ids = np.asarray([[0, 4, 2]])
    a, b = ours(tx.asarray(ids)).detach().numpy(), theirs(torch.tensor(ids)).detach().numpy()
    np.testing.assert_allclose(a, b, rtol=1e-6)
    np.testing.assert_array_equal(
        theirs[0].weight.detach().numpy(), ours[0].weight.detach().numpy()
    )
