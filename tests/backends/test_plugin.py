"""A plug-in backend gets kernels, captured steps and parts of a batch by fields of ``Backend``."""

import importlib.metadata
from collections import Counter
from types import SimpleNamespace

import pytest

import tinyxp as tx
from tinyxp import backends, nn
from tinyxp.backends import Backend, Kernel
from tinyxp.errors import BackendError
from tinyxp.nn import functional as F
from tinyxp.train import Trainer

STEPS = 6


@pytest.fixture
def used(monkeypatch):
    """Makes the plug-in "twin", NumPy under another name, and counts what is used of it."""
    used, numpy = Counter(), backends.get("numpy")

    def counted(name, f):
        def call(*args, **options):
            result = f(*args, **options)
            used[name] += result is not NotImplemented
            return result

        return call

    def load():
        return Backend(
            name="twin",
            xp=numpy.xp,
            array_types=numpy.array_types,
            to_numpy=numpy.to_numpy,
            from_numpy=numpy.from_numpy,
            device_of=numpy.device_of,
            to_device=numpy.to_device,
            devices=numpy.devices,
            kernels={
                name: Kernel(counted(name, kernel.forward), kernel.vjp, kernel.single, kernel.next)
                for name, kernel in numpy.kernels.items()
            },
            functions={name: counted(name, f) for name, f in numpy.functions.items()},
            recorder=counted("recorder", numpy.recorder),
            run_parts=counted("run_parts", numpy.run_parts),
        )

    plugin = SimpleNamespace(name="twin", load=lambda: load)
    found = importlib.metadata.entry_points

    def entry_points(**options):  # numba asks for its own
        return [plugin] if options == {"group": "tinyxp.backends"} else found(**options)

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
    monkeypatch.setattr(backends, "_loaded", {})  # so that NumPy's arrays are the twin's
    monkeypatch.setattr(backends, "_by_type", {})
    backends._plugins.cache_clear()
    backends.get("twin")
    backends._loaded["numpy"] = numpy
    yield used
    backends._plugins.cache_clear()


def learner():
    tx.manual_seed(3)
    net = nn.Sequential(nn.Linear(5, 16), nn.LayerNorm(16), nn.GELU(), nn.Linear(16, 4))
    optimizer = tx.optim.AdamW(net.parameters(), lr=0.01)
    x = tx.randn(STEPS, 8, 5)
    y = tx.randint(0, 4, (STEPS, 8))
    return net, optimizer, [(x[k], y[k]) for k in range(STEPS)]


def weights(net):
    return [p.detach().numpy().tobytes() for p in net.parameters()]


def trained(capture):
    """The losses and the weights of a few steps."""
    net, optimizer, batches = learner()

    def step(x, y):
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        return loss

    take = tx.capture(step) if capture else step
    losses = [take(x, y).item() for x, y in batches]
    assert {p.backend for p in net.parameters()} == {backends.current()}
    return losses, weights(net)


def fitted(capture):
    """The weights after a Trainer that splits its batches."""
    net, optimizer, batches = learner()
    trainer = Trainer(net, optimizer, threads=2, capture=capture)
    trainer.fit(batches, lambda batch: F.cross_entropy(net(batch[0]), batch[1]), STEPS)
    return weights(net)


def test_kernels_and_captured_steps(used):
    with tx.backend("numpy"):
        expected = trained(capture=False)
    assert not used
    with tx.backend("twin"):
        assert trained(capture=False) == expected
        assert used["layer_norm"] == STEPS and used["adamw"] == STEPS and not used["recorder"]
        assert trained(capture=True) == expected
    assert used["recorder"] == 1
    assert used["layer_norm"] < 2 * STEPS + 4  # replays call what the kernels called, not them


def test_parts_of_a_batch(used):
    with tx.backend("numpy"):
        expected = fitted(capture=False)
    assert not used
    with tx.backend("twin"):
        assert fitted(capture=False) == expected
        assert used["run_parts"] >= STEPS and not used["recorder"]
        assert fitted(capture=True) == expected
    assert used["recorder"] == 1


def test_without_these_fields_a_step_cannot_be_captured(used, monkeypatch):
    twin = backends.get("twin")
    for name in ("recorder", "run_parts"):
        monkeypatch.setitem(twin.__dict__, name, None)
    with tx.backend("twin"):
        with pytest.raises(BackendError, match="the backend 'twin' records no steps; call the"):
            tx.capture(lambda x: x)
        assert fitted(capture=False) and not used["run_parts"]
