"""A watch sees every value of a forward pass, changes nothing, and leaves nothing behind."""

import sys
import threading
import types

import numpy as np
import pytest

import tinyxp as tx
from tests.helpers import here
from tinyxp import nn
from tinyxp.core.composite import Composite
from tinyxp.core.primitive import Primitive
from tinyxp.core.tensor import Tensor
from tinyxp.debug.observers import WRAPPED
from tinyxp.debug.origins import ArrayWithOrigins, origins
from tinyxp.nn import functional as F


def net():
    tx.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.GELU(), nn.Linear(4, 1))


def test_off_nothing_is_left_of_it():
    before = {(owner, name): owner.__dict__[name] for owner, name, _ in WRAPPED}
    assert before[Primitive, "call"].__qualname__ == "Primitive.call"
    add = tx.add(tx.ones(2), 1.0)
    with tx.doctor.watch(), tx.doctor.watch():
        assert Primitive.__dict__["call"] is not before[Primitive, "call"]
        assert Composite.__dict__["pull"] is not before[Composite, "pull"]
        tx.add(add, 1.0)
    with pytest.raises(tx.errors.ShapeError), tx.doctor.watch():
        tx.ones(2) + tx.ones(3)
    assert {(owner, name): owner.__dict__[name] for owner, name, _ in WRAPPED} == before
    assert type(tx.ones(2).array) is np.ndarray


def test_every_way_in_is_watched():
    """Whatever module imports the function that makes arrays of the user's objects by name."""
    holders = {
        name
        for name, found in sys.modules.items()
        if name.partition(".")[0] == "tinyxp" and hasattr(found, "to_array")
    }
    assert {home.__name__ for home, name, _ in WRAPPED if name == "to_array"} == holders


def test_values_and_gradients_are_the_same_bits(backend):
    x = tx.asarray(np.random.default_rng(0).normal(size=(5, 3)).astype("float32"))
    found = []
    for watched in (False, True):
        model = net().to(backend)
        if watched:
            with tx.doctor.watch():
                loss = (model(x) ** 2).mean()
        else:
            loss = (model(x) ** 2).mean()
        loss.backward()
        found.append([loss.item(), *(p.grad.tolist() for p in model.parameters())])
    assert found[0] == found[1]


def test_other_threads_are_not_seen():
    inside, outside = threading.Event(), threading.Event()
    seen = []

    def work():
        inside.wait()
        x = tx.asarray([1.0], requires_grad=True)
        seen.append(type(x.array))
        (x * 2).sum().backward()
        seen.append(x.grad.item())
        outside.set()

    thread = threading.Thread(target=work)
    thread.start()
    with tx.doctor.watch() as watch:
        inside.set()
        outside.wait()
    thread.join()
    assert seen == [np.ndarray, 2.0]
    assert not watch.records


def test_lines_and_modules_of_operations():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(2, 2)

        def forward(self, x):
            h = self.fc(x)  # LINE
            return tx.tanh(h)

    model = nn.Sequential(Block())
    with tx.doctor.watch() as watch:
        y = model(tx.ones((1, 2)))
    tanh, linear = watch.records[id(y._node)], watch.records[id(y._node.parents[0])]
    assert (tanh.name, linear.name) == ("tanh", "linear")
    assert str(linear.site).endswith(f"test_watch.py:{here(__file__, '# LINE')}")
    assert linear.site.code == "h = self.fc(x)  # LINE"
    assert linear.site.modules == (model, model[0], model[0].fc)
    assert tanh.site.modules == (model, model[0])
    assert [link.operand for link in linear.links] == [0, 1, 2]


# -- raw arrays that remember -------------------------------------------------------------------

ORIGIN = frozenset(["here"])


def raw():
    array = np.arange(1.0, 7.0).reshape(2, 3).view(ArrayWithOrigins)
    array.origins = ORIGIN
    return array


KEEPING = {
    "ufunc": lambda a: np.exp(a) + 1,
    "operator": lambda a: 2.0 * a - a.mean(axis=-1, keepdims=True),
    "whole mean": lambda a: a.mean(),
    "std": lambda a: a.std(axis=0),
    "slice": lambda a: a[:, 1:],
    "one element": lambda a: a[0, 1],
    "fancy index": lambda a: a[np.asarray([1, 0, 1])],
    "reshape": lambda a: a.reshape(3, 2).T,
    "copy": lambda a: a.copy().astype("float32"),
    "matmul": lambda a: np.ones((4, 2)) @ a,
    "dot": lambda a: np.dot(a, np.ones(3)),
    "einsum": lambda a: np.einsum("ij->j", a),
    "a field of a named tuple": lambda a: np.linalg.svd(a).S,
    "stack": lambda a: np.stack([np.zeros((2, 3)), a]),
    "concatenate": lambda a: np.concatenate([a, np.zeros((2, 3))]),
    "where": lambda a: np.where(a > 2, a, 0.0),
    "split": lambda a: np.split(a, 3, axis=1)[2],
    "clip": lambda a: np.clip(a, 2, 3),
    "linalg": lambda a: np.linalg.norm(a, axis=1),
    "filled": lambda a: fill(np.zeros((2, 3)).view(ArrayWithOrigins), a),
    "out": lambda a: np.add(a, 1, out=np.zeros((2, 3)).view(ArrayWithOrigins)),
    "list": list,
}  # fmt: skip


def fill(target, a):
    target[...] = a
    return target


@pytest.mark.parametrize("name", KEEPING)
def test_raw_arrays_keep_their_origin_and_their_values(name):
    function, array = KEEPING[name], raw()
    result = function(array)
    assert origins(result) == ORIGIN
    expected = function(np.asarray(array).copy())
    np.testing.assert_array_equal(np.asarray(result), np.asarray(expected))
    assert origins(expected) == frozenset()


def test_what_is_no_value_of_it_has_no_origin():
    array = raw()
    assert not origins(array > 2)
    assert not origins(array.argmax(axis=0))
    assert not origins(np.zeros(3))
    assert array.shape == (2, 3) and not origins(array.shape)


def test_a_raw_array_beside_a_tensor():
    x = tx.asarray([1.0, 2.0], requires_grad=True)
    with tx.doctor.watch() as watch:
        half = x.detach().numpy() * np.float32(0.5)
        y = (half * x).sum()
    assert isinstance(y, Tensor)
    np.testing.assert_allclose(y.item(), 2.5)
    assert any(link.why for record in watch.records.values() for link in record.links)


def test_training_by_raw_arrays_goes_on_inside_a_watch():
    w = nn.Parameter([2.0])
    with tx.doctor.watch():
        (w * w).sum().backward()
        w.array = w.array - 0.25 * w.grad.array
        w.array -= 0.5
    assert type(w.array) is np.ndarray
    assert w.item() == 0.5


def test_the_cut_edges_are_where_a_value_goes_on_alone():
    w, v = nn.Parameter([2.0]), nn.Parameter([3.0])
    with tx.doctor.watch() as watch:
        a = w * 2
        b = F.relu(a.detach() + 1)
        y = (b * v).sum()
    (edge,) = watch.cut_edges()
    assert edge.source is a._node
    assert edge.target is y._node.parents[0]
    assert (edge.index, edge.why) == (0, "detach()")


def test_a_cell_of_a_notebook_is_named_by_its_number(monkeypatch):
    """And not by the temporary file that IPython runs it from."""
    compiler = types.SimpleNamespace(_filename_map={"/tmp/ipykernel_7/123.py": 3})
    shell = types.SimpleNamespace(compile=compiler)
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    code = "w = nn.Parameter([2.0])\nwith tx.doctor.watch() as watch:\n    y = (w * w).sum()\n"
    names = {"nn": nn, "tx": tx}
    exec(compile(code, "/tmp/ipykernel_7/123.py", "exec"), names)
    assert str(names["watch"].records[id(names["y"]._node)].site) == "In[3]:3"
