"""RNN, LSTM, GRU, their cells and packed sequences: against PyTorch, and by finite differences."""

from types import SimpleNamespace

import numpy as np
import pytest

import tinyxp as tx
from tests.compare import close
from tests.helpers import each
from tests.nn.pytorch import Case, Translator, problem
from tests.nn.torch_samples import module_case, modules
from tinyxp import nn
from tinyxp.errors import ArgumentError, DTypeError, ShapeError
from tinyxp.nn import functional as F
from tinyxp.random import Generator

torch = pytest.importorskip("torch", reason="PyTorch is the reference: pip install torch")
OURS, THEIRS = nn.utils.rnn, torch.nn.utils.rnn

KINDS = {
    "RNN": ("RNN", {}),
    "RNN relu": ("RNN", {"nonlinearity": "relu"}),
    "LSTM": ("LSTM", {}),
    "LSTM projected": ("LSTM", {"proj_size": 2}),
    "GRU": ("GRU", {}),
}
CELLS = {
    "RNNCell": ("RNNCell", {}),
    "RNNCell relu": ("RNNCell", {"nonlinearity": "relu"}),
    "LSTMCell": ("LSTMCell", {}),
    "GRUCell": ("GRUCell", {}),
}


def leaf(seed, *shape):
    """A leaf of PyTorch that requires grad."""
    values = np.random.default_rng(seed).normal(size=shape)
    return torch.tensor(values, requires_grad=True)


def state(name, options, rows, *batch, width=3):
    """A hidden state to start from: (rows, *batch, width), a pair of them for LSTM."""
    out = options.get("proj_size") or width
    rows = () if rows is None else (rows,)
    h, c = leaf(1, *rows, *batch, out), leaf(2, *rows, *batch, width)
    return (h, c) if name.startswith("LSTM") else h


def wrong(name, options, *inputs, sizes=(2, 3)):
    """How our module differs from PyTorch's on these inputs, or None."""
    sample = SimpleNamespace(
        constructor_input=SimpleNamespace(args=sizes, kwargs=options),
        forward_input=SimpleNamespace(args=inputs, kwargs={}),
    )
    case = module_case(name, modules()[name], sample, "float64", True, name)
    return problem(case, "float64")


# -- layers -----------------------------------------------------------------------------------


@each("kind", KINDS)
@each("layers", [1, 2])
@each("bidirectional", [False, True])
@each("batch_first", [False, True])
def test_layers(kind, layers, bidirectional, batch_first, backend):
    if backend != "numpy" and not (layers == 2) == bidirectional == batch_first:
        return  # the formulas are one for all backends: there every option once, not all products
    name, options = KINDS[kind]
    options = options | {"num_layers": layers, "bidirectional": bidirectional}
    options |= {"batch_first": batch_first, "bias": not batch_first}
    rows = layers * (1 + bidirectional)
    x = leaf(0, *((3, 4) if batch_first else (4, 3)), 2)
    assert wrong(name, options, x) is None
    assert wrong(name, options, x, state(name, options, rows, 3)) is None
    assert wrong(name, options, x[0].detach().requires_grad_(), state(name, options, rows)) is None


@each("kind", KINDS)
@each("lengths", [(4, 2, 1), (2, 4, 1, 4, 3), (1, 1)])
@each("bidirectional", [False, True])
def test_packed_sequences(kind, lengths, bidirectional, backend):
    if backend != "numpy" and bidirectional != (lengths == (4, 2, 1)):
        return  # as above
    name, options = KINDS[kind]
    options = options | {"num_layers": 2, "bidirectional": bidirectional}
    padded = leaf(0, max(lengths), len(lengths), 2).detach()
    packed = THEIRS.pack_padded_sequence(padded, lengths, enforce_sorted=lengths == (4, 2, 1))
    packed.data.requires_grad_()
    assert wrong(name, options, packed) is None
    start = state(name, options, 2 * (1 + bidirectional), len(lengths))
    assert wrong(name, options, packed, start) is None


@pytest.mark.parametrize("kind", KINDS)
def test_empty_batches(kind, backend):
    name, options = KINDS[kind]
    options = options | {"num_layers": 2, "bidirectional": True}
    assert wrong(name, options, leaf(0, 3, 0, 2)) is None
    assert wrong(name, options, leaf(0, 3, 0, 2), state(name, options, 4, 0)) is None


@each("kind", KINDS)
@each("bidirectional", [False, True])
def test_axes_of_length_one(kind, bidirectional, backend):
    name, options = KINDS[kind]
    width = 3 if "proj_size" in options else 1  # a projection is narrower than the hidden state
    options = options | {"bidirectional": bidirectional}
    start = state(name, options, 1 + bidirectional, 1, width=width)
    assert wrong(name, options, leaf(0, 1, 1, 1), start, sizes=(1, width)) is None
    assert wrong(name, options, leaf(0, 5, 1, 1), sizes=(1, width)) is None
    assert wrong(name, options, leaf(0, 1, 4, 1), sizes=(1, width)) is None


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_inputs_that_are_not_contiguous(name, backend):
    theirs = getattr(torch.nn, name)(2, 3, bidirectional=True, dtype=torch.float64)
    ours = getattr(nn, name)(2, 3, bidirectional=True, dtype=tx.float64)
    ours.load_state_dict(theirs.state_dict())
    t, s = leaf(0, 2, 6, 4), leaf(1, 4, 6, 2)
    translate = Translator()
    x, h = translate(t), translate(s)

    def run(module, x, h):  # every second sequence, every axis at another place
        h = h[1:, ::2].permute(2, 1, 0)
        return module(x[:, ::2].permute(2, 1, 0), (h, h) if name == "LSTM" else h)

    case = Case(
        name,
        lambda: (run(ours, x, h), [x, h, *ours.parameters()]),
        lambda: (run(theirs, t, s), [t, s, *theirs.parameters()]),
    )
    assert problem(case, "float64") is None


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_a_state_from_pytorch_and_back(name, backend):
    options = {"num_layers": 2, "bidirectional": True}
    options |= {"proj_size": 2} if name == "LSTM" else {}
    theirs, ours = getattr(torch.nn, name)(2, 3, **options), getattr(nn, name)(2, 3, **options)
    assert [(k, v.shape) for k, v in ours.state_dict().items()] == [
        (k, tuple(v.shape)) for k, v in theirs.state_dict().items()
    ]
    assert repr(theirs) in repr(ours)  # ours counts the parameters too
    theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()})
    again = getattr(nn, name)(2, 3, **options)
    again.load_state_dict(theirs.state_dict())
    for mine, other, p in zip(ours.all_weights, again.all_weights, theirs.all_weights, strict=True):
        for a, b, c in zip(mine, other, p, strict=True):
            assert (a.detach().numpy() == b.detach().numpy()).all()
            assert (a.detach().numpy() == c.detach().numpy()).all()


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell"])
def test_first_values(name, backend):
    module = getattr(nn, name)(40, 64, generator=Generator(0))
    values = np.concatenate([p.detach().numpy().ravel() for p in module.parameters()])
    bound = 1 / 8
    assert abs(values).max() <= bound
    assert abs(values).max() > 0.999 * bound
    n = len(values)
    assert abs(values.mean()) < 5 * bound / np.sqrt(3 * n)
    # the variance of x², x from U(-b, b), is 4 b⁴ / 45
    assert abs((values**2).mean() - bound**2 / 3) < 5 * bound**2 * np.sqrt(4 / 45 / n)
    with tx.backend("numpy"):
        again = getattr(nn, name)(40, 64, generator=Generator(0))
    for p, q in zip(module.parameters(), again.parameters(), strict=True):
        assert (p.detach().numpy() == q.detach().numpy()).all()


# -- dropout between layers -------------------------------------------------------------------


@pytest.mark.parametrize("packed", [False, True])
def test_dropout_acts_between_layers_while_training(packed, backend):
    model = nn.GRU(2, 3, num_layers=2, dropout=0.5, dtype=tx.float64, generator=Generator(0))
    layers = nn.GRU(2, 3, dtype=tx.float64), nn.GRU(3, 3, dtype=tx.float64)
    for k, layer in enumerate(layers):
        for name, p in layer.named_parameters():
            nn.init.zeros_(p)
            p.data = getattr(model, name.replace("l0", f"l{k}")).data
    x = tx.asarray(np.random.default_rng(0).normal(size=(4, 5, 2)))
    x = OURS.pack_padded_sequence(x, [4, 4, 3, 2, 1]) if packed else x
    model.generator = Generator(3)
    y, h = model(x)
    middle, first = layers[0](x)
    values = F.dropout(middle.data if packed else middle, 0.5, generator=Generator(3))
    expected, second = layers[1](OURS.PackedSequence(values, *x[1:]) if packed else values)
    close(y.data if packed else y, expected.data if packed else expected)
    close(h, tx.concat([first, second]))
    y, _ = model.eval()(x)
    expected, _ = layers[1](middle)
    close(y.data if packed else y, expected.data if packed else expected)


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
def test_dropout_of_one_layer_warns(kind):
    with pytest.warns(UserWarning, match="applies between layers, but there is only one") as caught:
        kind(2, 3, dropout=0.5)
    assert caught[0].filename == __file__


# -- cells ------------------------------------------------------------------------------------


@each("kind", CELLS)
@each("batch", [(), (3,), (1,), (0,)])
@each("bias", [False, True])
def test_cells(kind, batch, bias, backend):
    name, options = CELLS[kind]
    options = options | {"bias": bias}
    assert wrong(name, options, leaf(0, *batch, 2)) is None
    assert wrong(name, options, leaf(0, *batch, 2), state(name, {}, None, *batch)) is None
    start = state(name, {}, None, *batch, width=1)
    assert wrong(name, options, leaf(0, *batch, 1), start, sizes=(1, 1)) is None


@each("name", ["rnn_tanh_cell", "rnn_relu_cell", "lstm_cell", "gru_cell"])
@each("bias", [False, True])
def test_cells_as_functions(name, bias, backend):
    gates = {"lstm_cell": 4, "gru_cell": 3}.get(name, 1) * 3
    x, h, c = leaf(0, 4, 2), leaf(1, 4, 3), leaf(2, 4, 3)
    weights = [leaf(3, gates, 2), leaf(4, gates, 3)]
    weights += [leaf(5, gates), leaf(6, gates)] if bias else [None, None]
    hx = (h, c) if name == "lstm_cell" else h
    translate = Translator()
    mine = translate([x, hx, *weights])
    case = Case(
        name,
        lambda: (getattr(F, name)(*mine), [x for _, x in translate.tracked()]),
        lambda: (getattr(torch, name)(x, hx, *weights), [t for t, _ in translate.tracked()]),
    )
    assert problem(case, "float64") is None


# -- differences and cost ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("packed", [False, True])
def test_gradients_by_differences(kind, packed):
    """Orders 1 and 2, by inputs, first states and all weights; of packed sequences in both
    directions. On NumPy: the other backends' gradients are compared with PyTorch's above."""
    name, options = KINDS[kind]
    options = options | {"bidirectional": packed, "bias": not packed, "dtype": tx.float64}
    options |= {"proj_size": 1} if "proj_size" in options else {}
    model = getattr(nn, name)(1, 2, **options)
    names = [name for name, _ in model.named_parameters()]
    rng = np.random.default_rng(2)
    weights = [tx.asarray(rng.normal(size=p.shape)) for p in model.parameters()]
    rows = 1 + packed
    shapes = [(rows, 2, model.proj_size or 2), (rows, 2, 2)][: 2 if name == "LSTM" else 1]
    start = [tx.asarray(rng.normal(size=shape)) for shape in shapes]
    for parameter in names:
        delattr(model, parameter)

    def run(x, *rest):
        for parameter, value in zip(names, rest[len(start) :], strict=True):
            setattr(model, parameter, value)
        x = OURS.pack_padded_sequence(x, [1, 2], enforce_sorted=False) if packed else x
        y, h = model(x, rest[: len(start)] if name == "LSTM" else rest[0])
        ends = h if isinstance(h, tuple) else (h,)
        return (y[0] if packed else y), *ends

    tx.gradcheck(run, tx.asarray(rng.normal(size=(2, 2, 1))), *start, *weights, order=2, name=kind)


@pytest.mark.parametrize("packed", [False, True])
def test_backward_costs_the_same_at_every_step(packed, pulls):
    """The gradient of no step is written into zeros of the whole sequence's length."""
    model, counts = nn.LSTM(2, 3, bidirectional=True), []
    for time in (8, 16):
        x = tx.zeros((time, time, 2))
        x = OURS.pack_padded_sequence(x, list(range(time, 0, -1))) if packed else x
        del pulls[:]
        y, _ = model(x)
        y[0].sum().backward() if packed else y.sum().backward()
        assert "slice" not in pulls
        counts.append(len(pulls))
    assert counts[1] < 2.1 * counts[0]


# -- refusals ---------------------------------------------------------------------------------


def zeros(*shape, dtype=None):
    return tx.zeros(shape, dtype=dtype)


BAD = {
    "mode": (lambda: nn.RNNBase("CNN", 2, 3), ArgumentError, "mode is one of"),
    "nonlinearity": (lambda: nn.RNN(2, 3, 1, "sin"), ArgumentError, "'tanh' or 'relu', got 'sin'"),
    "of a cell": (lambda: nn.RNNCell(2, 3, True, "sin"), ArgumentError, "'tanh' or 'relu'"),
    "hidden_size": (lambda: nn.GRU(2, 0), ArgumentError, "hidden_size to be 1 or more, got 0"),
    "input_size": (lambda: nn.GRU(2.0, 3), DTypeError, "input_size to be an integer, got float"),
    "bias": (lambda: nn.GRU(2, 3, bias=1), DTypeError, "bias to be a bool, got int"),
    "dropout": (lambda: nn.GRU(2, 3, 2, dropout=1.5), ArgumentError, r"lies in \[0, 1\], got 1.5"),
    "proj_size": (lambda: nn.LSTM(2, 3, proj_size=3), ArgumentError, "hidden_size - 1; got 3"),
    "proj_size of GRU": (lambda: nn.GRU(2, 3, proj_size=1), ArgumentError, "is for LSTM"),
    "axes": (lambda: nn.LSTM(2, 3)(zeros(2)), ShapeError, r"2 axes .* got shape \(2,\)"),
    "width": (lambda: nn.LSTM(2, 3)(zeros(4, 5, 3)), ShapeError, r"input_size=2\), got shape"),
    "no time": (lambda: nn.LSTM(2, 3)(zeros(0, 5, 2)), ShapeError, "1 step or more"),
    "dtype": (
        lambda: nn.LSTM(2, 3)(zeros(4, 5, 2, dtype=tx.float64)),
        DTypeError,
        "float64, weights of tinyxp.float32; convert one",
    ),
    "state": (
        lambda: nn.GRU(2, 3)(zeros(4, 5, 2), zeros(2, 5, 3)),
        ShapeError,
        r"hidden state \(1, 5, 3\) for this input, got \(2, 5, 3\)",
    ),
    "state without a batch": (
        lambda: nn.GRU(2, 3)(zeros(4, 2), zeros(1, 5, 3)),
        ShapeError,
        r"hidden state \(1, 3\)",
    ),
    "one state": (
        lambda: nn.LSTM(2, 3)(zeros(4, 5, 2), zeros(1, 5, 3)),
        DTypeError,
        r"expects the pair \(h, c\), got Tensor",
    ),
    "state of a cell": (
        lambda: nn.LSTMCell(2, 3)(zeros(5, 2), (zeros(5, 3), zeros(5, 4))),
        ShapeError,
        r"hidden state \(5, 3\) for input \(5, 2\), got \(5, 4\)",
    ),
    "input of a cell": (lambda: nn.GRUCell(2, 3)(zeros(5, 1, 2)), ShapeError, r"\(N, 2\) or \(2\)"),
    "weights of a cell": (
        lambda: F.gru_cell(zeros(2), zeros(3), zeros(9, 2), zeros(6, 3)),
        ShapeError,
        r"w_ih \(3 H, I\) and w_hh \(3 H, H\), got \(9, 2\) and \(6, 3\)",
    ),
    "dtype of a cell": (
        lambda: nn.RNNCell(2, 3)(zeros(5, 2, dtype=tx.float64)),
        DTypeError,
        "convert one",
    ),
    "packed scalars": (
        lambda: nn.GRU(1, 3)(OURS.pack_sequence([zeros(4)])),
        ShapeError,
        r"packed sequences \(length, input_size\)",
    ),
}


@each("what", BAD)
def test_refusals(what, backend):
    run, error, message = BAD[what]
    with pytest.raises(error, match=message):
        run()
