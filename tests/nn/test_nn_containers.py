"""Modules that hold modules and parameters: what is done to ours is done to PyTorch's too."""

from collections import OrderedDict

import numpy as np
import pytest

import tinyxp as tx
from tinyxp import nn
from tinyxp.errors import ArgumentError, DTypeError, IndexingError

torch = pytest.importorskip("torch", reason="PyTorch is the reference: pip install torch")


def shapes(module):
    return [(k, tuple(v.shape)) for k, v in module.state_dict().items()]


def both(build):
    """``build(nn, tensor)`` gives modules with the same state here and in PyTorch."""
    ours = build(nn, lambda *shape: tx.ones(shape))
    theirs = build(torch.nn, lambda *shape: torch.ones(shape))
    if not isinstance(ours, tuple):
        ours, theirs = (ours,), (theirs,)
    for mine, other in zip(ours, theirs, strict=True):
        assert type(mine).__name__ == type(other).__name__
        if isinstance(mine, nn.Module):
            assert shapes(mine) == shapes(other)
        else:
            assert mine == other
    return ours[0]


def row(nn, n=3, kind="Sequential"):
    """Linear(1, 2), Linear(2, 3), … in a container."""
    layers = [nn.Linear(i + 1, i + 2) for i in range(n)]
    return nn.Sequential(*layers) if kind == "Sequential" else nn.ModuleList(layers)


def edited(edit, kind):
    def build(nn, tensor):
        container = row(nn, kind=kind)
        found = edit(container, nn)
        return container if found is None else (container, found)

    return build


EDITS = {
    "append": lambda c, nn: c.append(nn.Linear(4, 9)),
    "extend": lambda c, nn: c.extend([nn.Linear(4, 9), nn.Linear(9, 8)]),
    "insert": lambda c, nn: c.insert(1, nn.Linear(7, 9)) and None,
    "insert at the end": lambda c, nn: c.insert(3, nn.Linear(7, 9)) and None,
    "set": lambda c, nn: c.__setitem__(-1, nn.Linear(7, 9)),
    "delete": lambda c, nn: c.__delitem__(0),
    "delete the last": lambda c, nn: c.__delitem__(-1),
    "delete several": lambda c, nn: c.__delitem__(slice(0, 2)),
    "pop": lambda c, nn: c.pop(1),
    "pop the last": lambda c, nn: c.pop(-1),
    "slice": lambda c, nn: c[1:],
    "steps": lambda c, nn: c[::2],
    "add": lambda c, nn: c + row(nn, 2, type(c).__name__),
    "add in place": lambda c, nn: c.__iadd__(row(nn, 2, type(c).__name__)),
}


@pytest.mark.parametrize("kind", ["Sequential", "ModuleList"])
@pytest.mark.parametrize("name", EDITS)
def test_rows_of_modules(kind, name):
    container = both(edited(EDITS[name], kind))
    assert len(list(container)) == len(container)
    assert not any(name.isdigit() for name in dir(container))


def test_sequential_of_names():
    def build(nn, tensor):
        model = nn.Sequential(OrderedDict(a=nn.Linear(1, 2), b=nn.Linear(2, 3)))
        part = model[1:]
        model.append(nn.Linear(3, 4))
        return model, part

    both(build)


def test_sequential_several_times():
    both(lambda nn, tensor: (row(nn, 1) * 3, 2 * row(nn, 1)))

    def build(nn, tensor):
        model = row(nn, 2)
        model *= 2
        return model

    both(build)
    layer = nn.Linear(2, 2)
    model = nn.Sequential(layer, nn.Tanh()) * 2
    x = tx.asarray(np.ones((1, 2), dtype="float32"))
    expected = tx.tanh(layer(tx.tanh(layer(x))))
    assert model(x).tolist() == expected.tolist()
    assert len(list(model.parameters())) == 2  # the same ones each time


def test_a_row_runs_what_was_put_in():
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    model.insert(1, nn.Tanh())
    x = tx.ones((4, 2))
    assert model(x).tolist() == model[2](tx.tanh(model[0](x))).tolist()
    assert model.pop(1)(x).tolist() == tx.tanh(x).tolist()
    assert model(x).tolist() == model[1](model[0](x)).tolist()


def test_module_dict():
    def build(nn, tensor):
        table = nn.ModuleDict({"b": nn.Linear(1, 2), "a": nn.Linear(2, 3)})
        table.update([("c", nn.Linear(3, 4)), ["d", nn.Linear(4, 5)]])
        table["b"] = nn.Linear(5, 6)
        other = nn.ModuleDict(table)
        popped = table.pop("a")
        del table["c"]
        names = list(table)
        empty = nn.ModuleDict(OrderedDict(x=nn.Linear(1, 1)))
        empty.clear()
        return table, other, popped, names, list(table.keys()), "a" in table, len(empty), empty

    both(build)


def test_parameter_list():
    def build(nn, tensor):
        p = nn.Parameter(tensor(1, 2))
        params = nn.ParameterList([tensor(3), p, "text", None])
        params.append(tensor(4))
        params.extend([tensor(5), tensor(6)])
        params += (tensor(7) for _ in range(2))
        params[0] = tensor(8)
        params[-1] = nn.Parameter(tensor(9))
        assert params[1] is p
        assert all(isinstance(params[i], nn.Parameter) for i in (0, 1, 4, 8))
        assert params[2] == "text"
        return params, len(params), params[1:6:2], params[2:4], nn.ParameterList(), [*params][2]

    params = both(build)
    assert not any(name.isdigit() for name in dir(params))


def test_parameter_dict():
    def build(nn, tensor):
        table = nn.ParameterDict({"b": tensor(1), "a": nn.Parameter(tensor(2)), "text": "x"})
        table["d"] = tensor(3)
        table.update(OrderedDict(z=tensor(4), c=tensor(5)))
        table.update([("y", tensor(6)), ("b", tensor(7))])
        copy, more = table.copy(), table | nn.ParameterDict([("v", tensor(8))])
        assert copy["a"] is table["a"]
        assert isinstance(table["d"], nn.Parameter)
        table |= {"w": tensor(9)}
        names = list(table.keys()), list(reversed(table)), len(table), "text" in table
        found = table.get("nothing", 3), table.setdefault("s", 4), table.setdefault("text", 5)
        last, value = table.popitem()
        popped = table.pop("a")
        assert popped is copy["a"]
        assert [table[name] is value for name, value in table.items()] == [True] * len(table)
        assert len(list(table.values())) == len(table)
        del table["c"]
        same = nn.ParameterDict().fromkeys(["q", "p"], tensor(2))
        empty = table.copy()
        empty.clear()
        return table, copy, more, names, found, last, value, same, empty, len(empty)

    both(build)


def test_learned_parameters_of_containers(backend):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.rows = nn.ParameterList(tx.ones(2) * i for i in range(1, 3))
            self.table = nn.ParameterDict({"scale": tx.asarray([3.0, 4.0])})

        def forward(self, x):
            for row in self.rows:
                x = x * row
            return x * self.table["scale"]

    model = Model()
    model(tx.asarray([1.0, 2.0])).sum().backward()
    assert list(model.state_dict()) == ["rows.0", "rows.1", "table.scale"]
    assert model.rows[0].grad.tolist() == [6.0, 16.0]
    assert model.rows[1].grad.tolist() == [3.0, 8.0]
    assert model.table["scale"].grad.tolist() == [2.0, 4.0]
    before = [p.tolist() for p in model.parameters()]
    other = Model()
    for p in other.parameters():
        nn.init.zeros_(p)
    other.load_state_dict(model.state_dict())
    assert [p.tolist() for p in other.parameters()] == before


BAD = {
    "insert far": (lambda: row(nn).insert(5, nn.Tanh()), IndexingError, "index 5 is out of range"),
    "insert a number": (lambda: row(nn).insert(0, 3), DTypeError, "expects an nn.Module, got int"),
    "extend by one": (lambda: row(nn).extend(3), DTypeError, "a list or another iterable, got"),
    "pop far": (lambda: row(nn).pop(3), IndexingError, "index 3 is out of range for 3 modules"),
    "delete far": (lambda: row(nn).__delitem__(-4), IndexingError, "index -4"),
    "add a list": (lambda: row(nn) + [nn.Tanh()], DTypeError, "to another, got list"),
    "add a list in place": (lambda: row(nn).__iadd__([nn.Tanh()]), DTypeError, "got list"),
    "no times": (lambda: row(nn) * 0, ArgumentError, "by 1 or more, got 0"),
    "half times": (lambda: row(nn) * 0.5, DTypeError, "by an integer, got 0.5"),
    "pop a name": (lambda: nn.ModuleDict().pop("a"), ArgumentError, "no module is called 'a'"),
    "del a name": (lambda: nn.ModuleDict().__delitem__("a"), ArgumentError, "no module is called"),
    "triples": (lambda: nn.ModuleDict([("a", "b", "c")]), ArgumentError, r"pairs .* got 3 at 0"),
    "a number": (lambda: nn.ParameterDict(3), DTypeError, "another iterable"),
    "a tensor": (lambda: nn.ParameterList(tx.ones(2)), DTypeError, "another iterable, got Tensor"),
    "index": (lambda: nn.ParameterList()[0], IndexingError, "out of range for 0 parameters"),
    "name": (lambda: nn.ParameterDict()["a"], ArgumentError, "no parameter is called 'a'"),
    "a name in use": (
        lambda: nn.ParameterDict({"keys": tx.ones(2)}),
        ArgumentError,
        "'keys' is an attribute",
    ),
    "no name": (lambda: nn.ParameterDict([(1, tx.ones(2))]), DTypeError, "must be strings"),
    "pop nothing": (lambda: nn.ParameterDict().popitem(), ArgumentError, "is empty"),
}


@pytest.mark.parametrize("what", BAD)
def test_refusals(what):
    run, error, message = BAD[what]
    with pytest.raises(error, match=message):
        run()


def test_a_refused_edit_changes_nothing():
    model = row(nn)
    before = shapes(model)
    for edit in ("insert far", "insert a number"):
        with pytest.raises((IndexingError, DTypeError)):
            model.insert(*((5, nn.Tanh()) if edit == "insert far" else (0, 3)))
    assert shapes(model) == before
