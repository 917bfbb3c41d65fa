"""Modules, layers and first values, by values and by their errors."""

import copy
import math
import pickle

import numpy as np
import pytest

import tinyxp as tx
from tinyxp import nn
from tinyxp.errors import (
    ArgumentError,
    BackendError,
    DTypeError,
    GradientError,
    IndexingError,
    ShapeError,
    TinyError,
)
from tinyxp.random import Generator

F = nn.functional


def array(x):
    return np.asarray(x.detach())


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(2, 3)
        self.scale = nn.Parameter([2.0])
        self.register_buffer("count", tx.asarray(0))
        self.register_buffer("scratch", tx.zeros(2), persistent=False)
        self.blocks = nn.ModuleList([nn.Linear(3, 3), nn.Linear(3, 3, bias=False)])

    def forward(self, x):
        x = self.first(x)
        for block in self.blocks:
            x = block(x)
        return x * self.scale


KEYS = ["scale", "count", "first.weight", "first.bias"]
KEYS += ["blocks.0.weight", "blocks.0.bias", "blocks.1.weight"]


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(5, 3)
        self.head = nn.Linear(3, 5, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, x):
        return self.head(self.embedding(x))


# -- registration and walking -----------------------------------------------------------------


def test_names_in_order_of_insertion():
    net = Net()
    assert list(net.state_dict()) == KEYS
    assert [n for n, _ in net.named_parameters()] == [k for k in KEYS if k != "count"]
    assert [n for n, _ in net.named_buffers()] == ["count", "scratch"]
    assert [n for n, _ in net.named_children()] == ["first", "blocks"]
    assert [n for n, _ in net.named_modules()] == ["", "first", "blocks", "blocks.0", "blocks.1"]
    assert [n for n, _ in net.named_parameters(recurse=False)] == ["scale"]
    assert net.get_submodule("blocks.1") is net.blocks[1]
    assert len(list(net.parameters())) == 6
    assert all(isinstance(p, nn.Parameter) and p.requires_grad for p in net.parameters())


def test_a_name_holds_one_thing():
    net = Net()
    net.first = nn.ReLU()
    assert "first.weight" not in net.state_dict()
    net.scale = None
    assert net.scale is None
    assert "scale" not in net.state_dict()
    net.count = tx.asarray(3)
    assert net.state_dict()["count"].item() == 3
    net.plain = nn.Parameter([1.0])
    net.plain = None
    del net.plain
    net.plain = nn.Linear(1, 1)
    assert [n for n in net.state_dict() if "plain" in n] == ["plain.weight", "plain.bias"]
    del net.plain
    assert not hasattr(net, "plain")
    net.register_buffer("late", None)
    assert net.late is None


class Named(nn.Module):
    choice = None

    def __init__(self):
        super().__init__()
        self.p, self.m, self.number = nn.Parameter([1.0]), nn.ReLU(), 3
        self.register_buffer("b", tx.zeros(1))

    def method(self):
        return self.number


VALUES = {
    "register_parameter": nn.Parameter([2.0]),
    "register_buffer": tx.ones(1),
    "add_module": nn.Tanh(),
    "register_module": nn.Tanh(),
}
OWN = {"register_parameter": "p", "register_buffer": "b", "add_module": "m", "register_module": "m"}


@pytest.mark.parametrize("register", VALUES)
@pytest.mark.parametrize("name", ["p", "b", "m", "number", "choice", "method", "forward"])
def test_what_is_there_is_not_hidden(register, name):
    net = Named()
    if name == OWN[register]:
        getattr(net, register)(name, VALUES[register])
        assert getattr(net, name) is VALUES[register]
        return
    with pytest.raises(ArgumentError, match=f"Named already has an attribute '{name}', which is"):
        getattr(net, register)(name, VALUES[register])
    assert list(net.state_dict()) == ["p", "b"] and list(net._modules) == ["m"]
    assert net.method() == 3
    if name in ("choice", "method", "forward") and register != "register_buffer":
        with pytest.raises(ArgumentError, match="take another name"):
            setattr(net, name, VALUES[register])


def test_names_are_strings_and_modes_booleans():
    with pytest.raises(DTypeError, match="a name must be a string, got 3; take '3'"):
        nn.ModuleDict({3: nn.ReLU()})
    with pytest.raises(ArgumentError, match="ModuleDict already has an attribute 'keys'"):
        nn.ModuleDict({"keys": nn.ReLU()})
    with pytest.raises(DTypeError, match="p is one of its parameters, got ReLU"):
        Named().p = nn.ReLU()
    with pytest.raises(DTypeError, match="train expects True or False, got 'no'"):
        Named().train("no")


def test_assigning_what_is_no_parameter():
    net = Net()
    with pytest.raises(DTypeError, match=r"Net.scale is one of its parameters, got Tensor; assign"):
        net.scale = tx.asarray([1.0])
    with pytest.raises(DTypeError, match=r"Net.first is one of its modules, got int"):
        net.first = 3
    with pytest.raises(DTypeError, match=r"must be an nn\.Parameter or None, got Tensor"):
        net.register_parameter("p", tx.asarray([1.0]))
    with pytest.raises(ArgumentError, match=r"without dots and not empty, got 'a\.b'"):
        net.register_buffer("a.b", tx.zeros(1))


def test_a_missing_attribute_names_those_that_exist():
    with pytest.raises(AttributeError, match=r"Net has no attribute 'frist'; it has .*'first'"):
        Net().frist  # noqa: B018
    with pytest.raises(TinyError, match=r"Net has no submodule 'x' \(in 'x.y'\); it has"):
        Net().get_submodule("x.y")
    assert not hasattr(Net(), "frist")


def test_a_forgotten_init_is_said():
    class Forgetful(nn.Module):
        def __init__(self):
            self.layer = nn.Linear(2, 2)

    with pytest.raises(AttributeError, match=r"call super\(\).__init__\(\) first in __init__"):
        Forgetful()

    class Silent(nn.Module):
        def __init__(self):
            self.size = 3

    with pytest.raises(AttributeError, match=r"did not call super\(\).__init__\(\)"):
        list(Silent().parameters())


def test_a_missing_forward_is_said():
    with pytest.raises(TinyError, match=r"Module does not define forward\(\)"):
        nn.Module()(1)


def test_parameters():
    p = nn.Parameter([1.0, 2.0])
    assert repr(p) == "Parameter(tensor([1., 2.], requires_grad=True))"
    assert isinstance(p, tx.Tensor)
    assert type(p * 2) is tx.Tensor
    assert type(p.detach()) is tx.Tensor
    made = nn.Parameter(tx.asarray([1.0], requires_grad=True) * 2)
    assert made.is_leaf
    assert made.requires_grad
    assert not nn.Parameter([1.0], requires_grad=False).requires_grad
    with pytest.raises(DTypeError, match="only floating tensors have gradients"):
        nn.Parameter([1, 2])
    with tx.no_grad():
        same = p
        p -= 1.0
    assert p is same
    assert type(p) is nn.Parameter
    for twin in (copy.deepcopy(p), pickle.loads(pickle.dumps(p))):
        assert type(twin) is nn.Parameter
        assert twin is not p
        assert twin.requires_grad
        assert twin.tolist() == [0.0, 1.0]
    (3 * p).sum().backward()
    twin = copy.deepcopy(p)
    assert twin.grad is None and p.grad.tolist() == [3.0, 3.0]  # the copy begins anew
    twin.sum().backward()
    assert twin.grad.tolist() == [1.0, 1.0]


# -- containers -------------------------------------------------------------------------------


def test_sequential():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    assert list(model.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert model(tx.ones((4, 2))).shape == (4, 1)
    assert model[-1] is model[2]
    assert list(model[1:].state_dict()) == ["2.weight", "2.bias"]
    assert len(model.append(nn.ReLU())) == 4
    assert list(nn.Sequential({"a": nn.Linear(1, 1)}).state_dict()) == ["a.weight", "a.bias"]
    with pytest.raises(IndexingError, match="index 4 is out of range for 4 modules"):
        model[4]


def test_lists_and_dicts():
    items = nn.ModuleList(nn.Linear(1, 1, bias=False) for _ in range(2))
    items.insert(0, nn.Linear(2, 2, bias=False))
    assert list(items.state_dict()) == ["0.weight", "1.weight", "2.weight"]
    assert [m.in_features for m in items] == [2, 1, 1]
    items[1] = nn.Linear(3, 3, bias=False)
    assert items[1].in_features == 3
    assert [len(items[1:]), *items[1:].state_dict()] == [2, "0.weight", "1.weight"]
    table = nn.ModuleDict({"a": nn.Linear(1, 1, bias=False)})
    table["b"] = nn.ReLU()
    assert "b" in table
    assert list(table.keys()) == ["a", "b"]
    assert list(table.state_dict()) == ["a.weight"]
    with pytest.raises(ArgumentError, match=r"no module is called 'c'; there are \['a', 'b'\]"):
        table["c"]


# -- state ------------------------------------------------------------------------------------


def test_state_dict_round_trip(backend):
    source, target = Net(), Net()
    state = source.state_dict()
    before = {name: id(p) for name, p in target.named_parameters()}
    assert target.load_state_dict(state) == ([], [])
    assert {name: id(p) for name, p in target.named_parameters()} == before
    for name, value in target.state_dict().items():
        assert bool((value == state[name]).all()), name
    x = tx.ones((4, 2))
    assert bool((source(x) == target(x)).all())
    assert not any(value.requires_grad for value in state.values())


def test_a_state_dict_stays_while_a_model_is_trained():
    layer = nn.Linear(2, 2)
    state = layer.state_dict()
    kept = array(state["weight"]).copy()
    layer(tx.ones((1, 2))).sum().backward()
    tx.optim.SGD(layer.parameters(), lr=0.1).step()
    assert (array(state["weight"]) == kept).all()
    layer.load_state_dict({"weight": tx.ones((2, 2)), "bias": tx.ones(2)})
    assert (array(state["weight"]) == kept).all()


def test_a_write_in_place_is_seen_by_a_model_and_its_state():
    layer = nn.Linear(2, 2)
    state = layer.state_dict()
    saved = copy.deepcopy(state)
    kept = array(saved["weight"]).copy()
    nn.init.zeros_(layer.weight)
    assert (array(state["weight"]) == 0).all()
    state["weight"].copy_(tx.ones((2, 2)))
    assert (array(layer.weight) == 1).all()
    assert (array(saved["weight"]) == kept).all()


def test_every_fault_of_a_state_in_one_error():
    net = Net()
    state = net.state_dict()
    before = array(net.first.bias).copy()
    state["first.bias"] = tx.ones(3)
    state["scale"] = tx.zeros((1, 2))
    state["blocks.0.weight"] = np.zeros((3, 4))
    state["alien"] = state.pop("first.weight")
    with pytest.raises(ArgumentError) as caught:
        net.load_state_dict(state)
    assert str(caught.value) == (
        "the state does not fit Net; missing: first.weight; unexpected: alien; misshapen: "
        "scale: expected (1,), got (1, 2), blocks.0.weight: expected (3, 3), got (3, 4)"
    )
    assert (array(net.first.bias) == before).all()  # nothing was changed
    with pytest.raises(ArgumentError, match=r"misshapen: scale"):
        net.load_state_dict(state, strict=False)


def test_not_strict():
    layer = nn.Linear(2, 2)
    found = layer.load_state_dict({"bias": np.array([1.0, 2.0]), "other": 0.0}, strict=False)
    assert found.missing_keys == ["weight"]
    assert found.unexpected_keys == ["other"]
    assert array(layer.bias).tolist() == [1, 2]
    with pytest.raises(ArgumentError, match="strict=False to load what fits"):
        layer.load_state_dict({})


def test_a_state_keeps_dtype_and_backend():
    layer = nn.Linear(2, 2)
    with tx.backend("strict"):
        layer.load_state_dict({"weight": tx.ones((2, 2)), "bias": np.zeros(2)})
    assert {p.backend.name for p in layer.parameters()} == {"numpy"}
    assert {p.dtype for p in layer.parameters()} == {tx.float32}
    values = np.ones(2)
    layer.load_state_dict({"bias": values}, strict=False)
    values[0] = 7
    assert array(layer.bias).tolist() == [1, 1]  # the array of the user was copied


def test_tied_parameters():
    model = Tied()
    assert [n for n, _ in model.named_parameters()] == ["embedding.weight"]
    assert len(list(model.parameters())) == 1
    assert list(model.state_dict()) == ["embedding.weight", "head.weight"]
    model.to(dtype=tx.float64)
    assert model.head.weight is model.embedding.weight
    assert model.head.weight.dtype is tx.float64
    model(tx.asarray([1, 2])).sum().backward()
    both = array(model.embedding.weight.grad)
    plain = Tied().to(dtype=tx.float64)
    plain.load_state_dict(model.state_dict())
    plain.head.weight = nn.Parameter(model.head.weight)
    plain(tx.asarray([1, 2])).sum().backward()
    alone = array(plain.embedding.weight.grad) + array(plain.head.weight.grad)
    np.testing.assert_allclose(both, alone, rtol=1e-12)
    twin = copy.deepcopy(model)
    assert twin.head.weight is twin.embedding.weight
    assert twin.head.weight is not model.head.weight


def test_a_module_used_twice_comes_once():
    layer = nn.Linear(2, 2)
    model = nn.Sequential(layer, layer)
    assert len(list(model.modules())) == 2
    assert [n for n, _ in model.named_parameters()] == ["0.weight", "0.bias"]
    assert list(model.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"]


def test_pickled_and_copied():
    net = Net()
    x = tx.ones((4, 2))
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert bool((twin(x) == net(x)).all())
        assert twin.scale is not net.scale
        assert list(twin.state_dict()) == KEYS


# -- all at once ------------------------------------------------------------------------------


def test_train_and_eval():
    model = nn.Sequential(nn.Dropout(0.5), nn.Sequential(nn.Dropout(0.5)))
    assert model.training
    assert model.eval() is model
    assert [m.training for m in model.modules()] == [False] * 4
    x = tx.ones(10)
    assert bool((model(x) == x).all())
    model.train()
    assert all(m.training for m in model.modules())


def test_gradients_forgotten_and_frozen():
    net = Net()
    net(tx.ones((4, 2))).sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    net.zero_grad(set_to_none=False)
    assert all((array(p.grad) == 0).all() for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    assert not net.requires_grad_(False)(tx.ones((4, 2))).requires_grad


def test_apply_comes_to_children_first():
    seen = []
    model = nn.Sequential(nn.ReLU(), nn.Sequential(nn.Tanh()))
    assert model.apply(lambda m: seen.append(type(m).__name__)) is model
    assert seen == ["ReLU", "Tanh", "Sequential", "Sequential"]


def test_to_another_backend_and_dtype():
    net = Net()
    net(tx.ones((4, 2))).sum().backward()
    held = dict(net.named_parameters())
    values = {name: array(p) for name, p in held.items()}
    assert net.to("strict", tx.float64) is net
    for name, p in net.named_parameters():
        assert p is held[name]
        assert (p.backend.name, p.dtype, p.requires_grad) == ("strict", tx.float64, True)
        assert (p.grad.backend.name, p.grad.dtype) == ("strict", tx.float64)
        assert (array(p) == values[name]).all()
    assert net.count.dtype is tx.int64
    assert net.count.backend.name == "strict"
    with tx.backend("strict"):
        assert net(tx.ones((4, 2), dtype=tx.float64)).shape == (4, 3)
    assert net.to("numpy").to(tx.float32).scale.dtype is tx.float32
    with pytest.raises(DTypeError, match="takes a real floating dtype"):
        net.to(dtype=tx.int64)
    with pytest.raises(BackendError):
        net.to("cuda:9")


def test_float_and_double():
    net = Net()
    assert net.double() is net
    assert {p.dtype for p in net.parameters()} == {tx.float64}
    assert net.count.dtype is tx.int64
    assert {p.dtype for p in net.float().parameters()} == {tx.float32}


def test_device_and_dtype_of_new_layers(backend):
    device = tx.zeros(1).device
    options = {"device": device, "dtype": tx.float64}
    for module in (
        nn.Linear(2, 3, **options),
        nn.Embedding(4, 2, 1, **options),
        nn.LayerNorm(3, **options),
        nn.TransformerEncoderLayer(4, 2, 8, **options),
        nn.LearnedPositionalEncoding(4, 2, **options),
    ):
        for p in module.parameters():
            assert (p.backend.name, p.device, p.dtype) == (backend, device, tx.float64)


def test_repr():
    assert repr(Net()) == (
        "Net(\n"
        "  (first): Linear(in_features=2, out_features=3, bias=True)"
        "  # weight (3, 2), bias (3,): 9 parameters\n"
        "  (blocks): ModuleList(\n"
        "    (0): Linear(in_features=3, out_features=3, bias=True)"
        "  # weight (3, 3), bias (3,): 12 parameters\n"
        "    (1): Linear(in_features=3, out_features=3, bias=False)"
        "  # weight (3, 3): 9 parameters\n"
        "  )  # 21 parameters\n"
        ")  # scale (1,): 31 parameters"
    )
    alike = nn.ModuleList(nn.ReLU() for _ in range(12))
    assert repr(alike) == "ModuleList(\n  (0-11): 12 x ReLU()\n)"
    assert repr(Tied()).endswith(")  # 15 parameters")  # the tied weight counts once


# -- first values -----------------------------------------------------------------------------


def test_linear_starts_as_in_torch():
    layer = nn.Linear(64, 1000, generator=Generator(0))
    bound = 1 / 8
    for p in (layer.weight, layer.bias):
        values = array(p)
        assert np.abs(values).max() <= bound
        assert np.abs(values).max() > 0.99 * bound
        assert abs(values.std() / (bound / math.sqrt(3)) - 1) < 0.05
        assert p.requires_grad
    assert layer.weight.shape == (1000, 64)


def test_attention_starts_as_in_torch():
    attention = nn.MultiheadAttention(64, 4, generator=Generator(0))
    bound = math.sqrt(6 / (64 + 3 * 64))
    values = np.abs(array(attention.in_proj_weight))
    assert 0.99 * bound < values.max() <= bound
    assert (array(attention.in_proj_bias) == 0).all()
    assert (array(attention.out_proj.bias) == 0).all()
    assert 0.99 / 8 < np.abs(array(attention.out_proj.weight)).max() <= 1 / 8


def test_embedding_starts_as_in_torch():
    layer = nn.Embedding(1000, 16, padding_idx=-1, generator=Generator(0))
    values = array(layer.weight)
    assert layer.padding_idx == 999
    assert (values[999] == 0).all()
    assert abs(values[:999].mean()) < 0.03
    assert abs(values[:999].std() - 1) < 0.03


@pytest.mark.parametrize(
    ("fill", "std"),
    [
        (lambda w, g: nn.init.uniform_(w, -1, 3, g), 4 / math.sqrt(12)),
        (lambda w, g: nn.init.normal_(w, 1.0, 0.5, g), 0.5),
        (lambda w, g: nn.init.xavier_uniform_(w, 2.0, g), 2 * math.sqrt(2 / 300)),
        (lambda w, g: nn.init.xavier_normal_(w, 2.0, g), 2 * math.sqrt(2 / 300)),
        (lambda w, g: nn.init.kaiming_uniform_(w, generator=g), math.sqrt(2 / 100)),
        (lambda w, g: nn.init.kaiming_normal_(w, mode="fan_out", generator=g), math.sqrt(2 / 200)),
    ],
)
def test_spread_of_first_values(fill, std, backend):
    w = nn.Parameter(tx.zeros((200, 100)))
    assert fill(w, Generator(1)) is w
    assert abs(array(w).std() / std - 1) < 0.02
    assert w.is_leaf
    assert w.requires_grad
    again = nn.Parameter(tx.zeros((200, 100)))
    fill(again, Generator(1))
    assert bool((w == again).all())


def test_every_backend_starts_alike():
    with tx.backend("strict"):
        other = nn.TransformerEncoderLayer(8, 2, 16, generator=Generator(5))
    here = nn.TransformerEncoderLayer(8, 2, 16, generator=Generator(5))
    for (name, a), (_, b) in zip(here.named_parameters(), other.named_parameters(), strict=True):
        assert (array(a) == array(b)).all(), name


def test_constants_and_errors_of_init():
    w = tx.ones((2, 2), dtype=tx.float64)
    assert array(nn.init.constant_(w, 3.5)).tolist() == [[3.5, 3.5], [3.5, 3.5]]
    assert w.dtype is tx.float64
    assert array(nn.init.ones_(w)).sum() == 4
    assert array(nn.init.zeros_(w)).sum() == 0
    with pytest.raises(ShapeError, match=r"two axes or more, got shape \(3,\)"):
        nn.init.xavier_uniform_(tx.zeros(3))
    with pytest.raises(ArgumentError, match="unknown mode 'fan'; choose one of"):
        nn.init.kaiming_uniform_(w, mode="fan")
    with pytest.raises(ArgumentError, match="unknown nonlinearity 'gelu'"):
        nn.init.calculate_gain("gelu")
    with pytest.raises(GradientError, match="got the result of multiply"):
        nn.init.zeros_(nn.Parameter([1.0]) * 2)


# -- dropout ----------------------------------------------------------------------------------


def test_dropout(backend):
    x = nn.Parameter(tx.full((100, 100), 3.0))
    y = F.dropout(x, 0.2, generator=Generator(0))
    values = array(y)
    kept = values != 0
    assert abs(kept.mean() - 0.8) < 0.015
    np.testing.assert_allclose(values[kept], 3 / 0.8, rtol=1e-6)
    y.sum().backward()
    np.testing.assert_allclose(array(x.grad), kept / 0.8, rtol=1e-6)


def test_dropout_edges():
    x = tx.ones(5)
    assert F.dropout(x, 0.5, training=False) is x
    assert F.dropout(x, 0.0) is x
    assert F.dropout(x, 1.0).tolist() == [0] * 5
    for wrong in (-0.1, 1.5):
        with pytest.raises(ArgumentError, match=r"lies in \[0, 1\]"):
            nn.Dropout(wrong)
        with pytest.raises(ArgumentError, match=r"lies in \[0, 1\]"):
            F.dropout(x, wrong)


def test_dropout_draws_anew_and_from_its_seed():
    layer = nn.Dropout(0.5, generator=Generator(0))
    x = tx.ones(64)
    first, second = layer(x).tolist(), layer(x).tolist()
    assert first != second
    assert nn.Dropout(0.5, generator=Generator(0))(x).tolist() == first


def test_layers_of_an_encoder_drop_different_places():
    generator = Generator(0)
    layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.5, generator=generator)
    encoder = nn.TransformerEncoder(layer, 2)
    assert encoder.layers[0].dropout.generator is generator
    assert encoder.layers[1].dropout.generator is generator
    assert encoder.layers[0].linear1.weight is not encoder.layers[1].linear1.weight


# -- layers by value --------------------------------------------------------------------------


def test_padding_gets_no_gradient():
    layer = nn.Embedding(4, 2, padding_idx=0)
    layer(tx.asarray([[0, 1], [1, 3]])).sum().backward()
    assert array(layer.weight.grad).tolist() == [[0, 0], [2, 2], [0, 0], [1, 1]]


def test_sinusoidal_encoding():
    encoding = nn.SinusoidalPositionalEncoding(5, max_len=7, dtype=tx.float64)
    y = array(encoding(tx.zeros((2, 7, 5), dtype=tx.float64)))
    for t in range(7):
        for i in range(5):
            angle = t / 10000 ** (2 * (i // 2) / 5)
            expected = math.cos(angle) if i % 2 else math.sin(angle)
            assert y[0, t, i] == pytest.approx(expected, rel=1e-12)
    assert list(encoding.state_dict()) == []
    with pytest.raises(ShapeError, match=r"expects \(..., time <= 7, 5\), got \(8, 5\)"):
        encoding(tx.zeros((8, 5)))


def test_learned_encoding():
    encoding = nn.LearnedPositionalEncoding(7, 4)
    y = encoding(tx.zeros((2, 3, 4)))
    assert (array(y)[1] == array(encoding.weight)[:3]).all()
    y.sum().backward()
    assert array(encoding.weight.grad)[:, 0].tolist() == [2, 2, 2, 0, 0, 0, 0]


def test_flatten():
    x = tx.zeros((2, 3, 4, 5))
    assert nn.Flatten()(x).shape == (2, 60)
    assert nn.Flatten(0, -2)(x).shape == (24, 5)
    assert nn.Flatten(2, 2)(x).shape == (2, 3, 4, 5)


def test_activations_far_out(backend):
    x = tx.asarray([-1e4, -50.0, 0.0, 50.0, 1e4], dtype=tx.float64, requires_grad=True)
    small = math.exp(-50)
    for f, expected, slopes in (
        (F.sigmoid, [0, small, 0.5, 1, 1], [0, small, 0.25, small, 0]),
        (F.softplus, [0, small, math.log(2), 50, 1e4], [0, small, 0.5, 1, 1]),
        (F.silu, [0, -50 * small, 0, 50, 1e4], [0, -49 * small, 0.5, 1, 1]),
        (F.gelu, [0, 0, 0, 50, 1e4], [0, 0, 0.5, 1, 1]),
        (F.relu, [0, 0, 0, 50, 1e4], [0, 0, 0, 1, 1]),
    ):
        x.grad = None
        y = f(x)
        np.testing.assert_allclose(array(y), expected, rtol=1e-12, atol=1e-300)
        y.sum().backward()
        np.testing.assert_allclose(array(x.grad), slopes, rtol=1e-9, atol=1e-300)


def test_softmax_far_out(backend):
    x = tx.asarray([[1e4, 0.0], [-1e4, -1e4]], dtype=tx.float64)
    assert array(F.softmax(x, dim=-1)).tolist() == [[1, 0], [0.5, 0.5]]
    expected = [[0, -1e4], [-math.log(2)] * 2]
    np.testing.assert_allclose(array(F.log_softmax(x, dim=-1)), expected, rtol=1e-12)


def test_modules_of_losses():
    x, t = tx.asarray([[0.2, 0.7], [0.5, 0.1]]), tx.asarray([[0.0, 1.0], [1.0, 0.0]])
    classes = tx.asarray([1, -100])
    for module, expected in (
        (
            nn.CrossEntropyLoss(label_smoothing=0.1),
            F.cross_entropy(x, classes, label_smoothing=0.1),
        ),
        (nn.CrossEntropyLoss(reduction="sum"), F.cross_entropy(x, classes, reduction="sum")),
        (nn.NLLLoss(), F.nll_loss(x, classes)),
    ):
        assert module(x, classes).item() == expected.item()
    for module, f in (
        (nn.MSELoss, F.mse_loss),
        (nn.L1Loss, F.l1_loss),
        (nn.BCELoss, F.binary_cross_entropy),
        (nn.BCEWithLogitsLoss, F.binary_cross_entropy_with_logits),
    ):
        assert module(reduction="sum")(x, t).item() == f(x, t, reduction="sum").item()


# -- errors -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["mse_loss", "l1_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits"]
)
def test_losses_do_not_broadcast(name):
    with pytest.raises(ShapeError, match=r"one shape, got \(4, 1\) and \(4,\).*squeeze or reshape"):
        getattr(F, name)(tx.zeros((4, 1)), tx.zeros(4))


def test_errors_of_losses():
    logits = tx.zeros((2, 3))
    for wrong in (3, -1):
        with pytest.raises(IndexingError, match=rf"index {wrong} is out of range for 3 classes"):
            F.cross_entropy(logits, tx.asarray([0, wrong]))
    with pytest.raises(DTypeError, match=r"indices of an integer dtype, got tinyxp\.float32"):
        F.cross_entropy(logits, tx.asarray([0.0, 1.0]))
    with pytest.raises(ShapeError, match=r"got \(2, 3\) and \(2, 1\)"):
        F.cross_entropy(logits, tx.asarray([[0], [1]]))
    with pytest.raises(ShapeError, match=r"got \(2, 3\) and \(3,\)"):
        F.nll_loss(logits, tx.asarray([0, 1, 2]))
    with pytest.raises(DTypeError, match="expects Tensors, got list"):
        F.cross_entropy(logits, [0, 1])
    with pytest.raises(ArgumentError, match="reduction is 'mean', 'sum' or 'none', got 'avg'"):
        F.mse_loss(logits, logits, reduction="avg")
    with pytest.raises(ArgumentError, match=r"label_smoothing must be in \[0, 1\], got 2"):
        F.cross_entropy(logits, tx.asarray([0, 1]), label_smoothing=2)
    for p in (1.5, -0.1, math.nan):
        with pytest.raises(ArgumentError, match="binary_cross_entropy_with_logits"):
            F.binary_cross_entropy(tx.asarray([p]), tx.asarray([1.0]))


def test_targets_of_any_integer_dtype(backend):
    logits = tx.asarray([[0.0, 1.0], [2.0, 0.0]])
    expected = F.cross_entropy(logits, tx.asarray([1, 0])).item()
    for dtype in (tx.uint8, tx.int16, tx.int32):
        assert F.cross_entropy(logits, tx.asarray([1, 0], dtype=dtype)).item() == expected


def test_errors_of_layers():
    with pytest.raises(
        ShapeError, match=r"weight \(\d+, 3\) expects input \(..., 3\), got \(4, 2\)"
    ):
        nn.Linear(3, 5)(tx.zeros((4, 2)))
    with pytest.raises(ShapeError, match=r"weight \(out, in\) and bias \(out\)"):
        F.linear(tx.zeros((4, 2)), tx.zeros((3, 2)), tx.zeros(2))
    with pytest.raises(ShapeError, match=r"layer_norm over \(3,\) .* got \(4, 2\)"):
        nn.LayerNorm(3)(tx.zeros((4, 2)))
    for wrong in (5, -1):
        with pytest.raises(IndexingError, match=rf"index {wrong} is out of range for 5 embeddings"):
            nn.Embedding(5, 2)(tx.asarray([0, wrong]))
    with pytest.raises(DTypeError, match="embedding expects indices of an integer dtype"):
        nn.Embedding(5, 2)(tx.asarray([0.0]))
    with pytest.raises(ArgumentError, match="padding_idx 5 is out of range for 5 embeddings"):
        nn.Embedding(5, 2, padding_idx=5)
    with pytest.raises(ArgumentError, match="approximate is 'none' or 'tanh', got 'sigmoid'"):
        nn.GELU("sigmoid")(tx.ones(2))
    with pytest.raises(ArgumentError, match="embed_dim 6 is not a multiple of num_heads 4"):
        nn.MultiheadAttention(6, 4)
    with pytest.raises(ArgumentError, match="activation is 'relu', 'gelu' or a function"):
        nn.TransformerEncoderLayer(4, 2, activation="swish")
    with pytest.raises(IndexingError, match="index 4 is out of range for 3 classes"):
        F.one_hot(tx.asarray([0, 4]), 3)


# -- place ------------------------------------------------------------------------------------


def test_constants_are_made_beside_their_operands():
    """A model on another backend and device runs, whatever the backend in use."""
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).to("strict").to("device1")
    table = nn.Embedding(5, 8, 0).to("strict").to("device1")
    encoding = nn.SinusoidalPositionalEncoding(8).to("strict").to("device1")
    ids, padding = (
        tx.asarray(x).to("strict").to("device1")
        for x in ([[0, 1, 2], [3, 4, 0]], [[False, False, True]] * 2)
    )
    x = encoding(table(ids))
    y = layer(x, src_key_padding_mask=padding, is_causal=True)
    _, weights = layer.self_attn(x, x, x, padding, is_causal=True)
    logits, hot = F.linear(y, table.weight), F.one_hot(ids, 5).astype(tx.float32)
    losses = [
        F.cross_entropy(logits.reshape(-1, 5), ids.reshape(-1), ignore_index=0),
        F.mse_loss(logits, hot),
        F.l1_loss(logits, hot),
        F.binary_cross_entropy(F.sigmoid(logits), hot),
        F.binary_cross_entropy_with_logits(F.gelu(F.silu(F.softplus(logits))), hot),
        F.nll_loss(F.log_softmax(logits, dim=-1)[0], ids[0]),
        weights.sum(),
    ]
    tx.stack(losses).sum().backward()
    for p in (*layer.parameters(), *table.parameters()):
        assert (p.grad.backend.name, p.grad.device) == ("strict", "device1")
