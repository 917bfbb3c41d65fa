"""The whole GPT: every gradient against PyTorch and across backends, and proof that it learns."""

import dataclasses
import io
import math

import numpy as np
import pytest

import tinyxp as tx
from tests.compare import close
from tinyxp.data import RandomWindows, all_windows
from tinyxp.errors import ArgumentError
from tinyxp.models.transformer import GPT, Config
from tinyxp.nn.generation import generate
from tinyxp.optim import AdamW
from tinyxp.random import Generator
from tinyxp.train import Trainer, mean_loss, unmoved

CONFIG = Config(n_layer=2, n_head=2, n_embd=16, block_size=12, batch_size=3, bias=True)
VOCABULARY = 11


def batch():
    return np.random.default_rng(0).integers(0, VOCABULARY, (2, 3, 12))


def gpt(dtype=tx.float64):
    """A GPT whose weights are large enough that every gradient matters."""
    model = GPT(CONFIG, VOCABULARY, Generator(0)).to(dtype=dtype)
    rng = np.random.default_rng(1)
    state = {name: x.numpy() for name, x in model.state_dict().items()}
    state = {name: x + 0.3 * rng.normal(size=x.shape) for name, x in state.items()}
    state["head.weight"] = state["token.weight"]
    model.load_state_dict(state)
    return model


def loss_and_gradients(model):
    ids, targets = map(tx.asarray, batch())
    loss = model.loss((ids, targets))
    loss.backward()
    return loss.item(), {name: p.grad.numpy() for name, p in model.named_parameters()}


@pytest.mark.parametrize(("dtype", "tolerance"), [(tx.float64, 1e-9), (tx.float32, 1e-4)])
def test_every_gradient_equals_pytorchs(backend, dtype, tolerance):
    torch = pytest.importorskip("torch", reason="PyTorch is the reference: run.py test --reference")
    from tinyxp.bench.torch_models import GPT as Reference

    model = gpt(dtype)
    reference = Reference(CONFIG, VOCABULARY).to(getattr(torch, dtype.name))
    state = {name: torch.from_numpy(x.numpy()) for name, x in model.state_dict().items()}
    reference.load_state_dict(state)
    ids, targets = map(torch.from_numpy, batch())
    expected = torch.nn.functional.cross_entropy(reference(ids).flatten(0, 1), targets.flatten())
    expected.backward()

    loss, grads = loss_and_gradients(model)
    assert loss == pytest.approx(expected.item(), rel=tolerance)
    references = {name: p.grad.numpy() for name, p in reference.named_parameters()}
    assert grads.keys() == references.keys()
    for name, g in grads.items():
        close(g, references[name], tolerance, f"{name} on {backend}", floor=0)


def test_a_step_is_the_same_on_every_backend(backend):
    with tx.backend("numpy"):
        expected_loss, expected = loss_and_gradients(gpt())
    loss, grads = loss_and_gradients(gpt())
    assert loss == pytest.approx(expected_loss, rel=1e-12)
    for name, g in grads.items():
        close(g, expected[name], 1e-11, name, floor=0)


def test_a_second_derivative_goes_through_the_whole_model(backend):
    """The Hessian times a vector against a difference of gradients: kernels are replayed."""
    model = gpt()
    ids, targets = map(tx.asarray, batch())
    weight = model.blocks[0].linear1.weight
    rng = np.random.default_rng(2)
    v = tx.asarray(rng.normal(size=weight.shape))
    (g,) = tx.autograd.grad(model.loss((ids, targets)), weight, create_graph=True)
    (hv,) = tx.autograd.grad((g * v).sum(), weight)
    sides = []
    for eps in (1e-5, -1e-5):
        moved = gpt()
        with tx.no_grad():
            moved.blocks[0].linear1.weight += eps * v
        found = tx.autograd.grad(moved.loss((ids, targets)), moved.blocks[0].linear1.weight)
        sides.append(found[0].numpy())
    close(hv, (sides[0] - sides[1]) / 2e-5, 1e-6, floor=0)


def short_run(frozen):
    """A small GPT after 150 steps on a text with structure; the validation loss, and what moved."""
    config = dataclasses.replace(
        CONFIG, n_embd=32, block_size=16, batch_size=8, learning_rate=1e-2, bias=False
    )
    words = ["alpha ", "beta ", "gamma ", "delta ", "omega "]
    choice = np.random.default_rng(0).integers(0, 5, 2000)
    text = "".join(words[i] for i in choice)
    symbols = sorted(set(text))
    ids = np.asarray([symbols.index(c) for c in text])
    model = GPT(config, len(symbols), Generator(0))
    if frozen:
        model.requires_grad_(False)
        model.head.weight.requires_grad_()
    before = {name: p.detach() for name, p in model.named_parameters()}
    optimizer = AdamW([p for p in model.parameters() if p.requires_grad], lr=config.learning_rate)
    trainer = Trainer(model, optimizer, grad_clip=1.0, stream=io.StringIO())
    trainer.fit(RandomWindows(ids[:9000], 16, 8, Generator(1)), model.loss, 150)
    loss = mean_loss(model, all_windows(ids[9000:], 16, 32))
    return loss, len(symbols), unmoved(before, model), model


def test_the_transformer_learns_and_beats_a_frozen_one():
    loss, symbols, still, _ = short_run(frozen=False)
    control, _, control_still, frozen_model = short_run(frozen=True)
    assert still == []  # every trainable parameter moved
    assert control_still == []
    assert sum(p.requires_grad for p in frozen_model.parameters()) == 1
    assert loss < 0.5 * math.log(symbols)  # far below guessing
    assert loss < 0.8 * control  # and below what a head on frozen features learns


def test_no_position_sees_a_later_one(backend):
    model = gpt()
    ids = batch()[0]
    changed = ids.copy()
    changed[:, 7:] = (changed[:, 7:] + 1) % VOCABULARY
    with tx.no_grad():
        a, b = model(tx.asarray(ids)).numpy(), model(tx.asarray(changed)).numpy()
    np.testing.assert_array_equal(a[:, :7], b[:, :7])
    assert np.abs(a[:, 7:] - b[:, 7:]).max() > 1e-3


def test_generation_repeats_with_its_seed_and_takes_the_likeliest_at_temperature_0():
    model = gpt()
    a = generate(model, [1, 2], 20, generator=Generator(5))
    assert a == generate(model, [1, 2], 20, generator=Generator(5))
    assert a != generate(model, [1, 2], 20, generator=Generator(6))
    greedy = generate(model, [1, 2], 5, temperature=0)
    assert greedy == generate(model, [1, 2], 5, top_k=1, generator=Generator(0))
    for n in range(2, 7):
        with tx.no_grad():
            logits = model(tx.asarray([greedy[:n]])).numpy()[0, -1]
        assert greedy[n] == logits.argmax()


def test_bad_configurations_are_named():
    with pytest.raises(ArgumentError, match="n_embd 130 must be a multiple of n_head 4"):
        Config(n_embd=130)
    with pytest.raises(ArgumentError, match="n_layer must be at least 1, got 0"):
        Config(n_layer=0)
    with pytest.raises(ArgumentError, match="reads 12 symbols at once, got 13"):
        gpt()(tx.zeros((1, 13), dtype=tx.int64))
