"""An argument given twice is refused: by every operation, every method and every spelling."""

import functools
import inspect
import re

import numpy as np
import pytest

import tinyxp as tx
from tests.helpers import each
from tinyxp.core.binding import SPELLINGS, bind
from tinyxp.core.operation import OPS
from tinyxp.errors import ArgumentError, DTypeError, TinyError
from tinyxp.nn import functional as F

X = np.arange(16.0).reshape(4, 4)
VALUES = {"keepdims": False, "keepdim": False, "copy": None}  # others are 0, whatever they mean


def other_names(parameter):
    """The name of a parameter and all spellings that stand for it."""
    return [parameter, *(name for name, own in SPELLINGS.items() if parameter in own)]


def refused(call, *names):
    """Assert that a call raises DTypeError, which names one of the parameters."""
    with pytest.raises(DTypeError) as error:
        call()
    assert re.search(rf"\b({'|'.join(names)})\b.* twice", str(error.value)), error.value


TWICE = {
    "tx.sum(x, 0, axis=1)": (lambda x: tx.sum(x, 0, axis=1), "axis"),
    "tx.sum(x, axis=0, dim=1)": (lambda x: tx.sum(x, axis=0, dim=1), "axis"),
    "tx.sum(x, 0, dim=1)": (lambda x: tx.sum(x, 0, dim=1), "axis"),
    "tx.sum(x, 0, True, keepdim=False)": (lambda x: tx.sum(x, 0, True, keepdim=False), "keepdims"),
    "tx.sum(x, input=x)": (lambda x: tx.sum(x, input=x), "input"),
    "tx.mean(x, 0, axis=1)": (lambda x: tx.mean(x, 0, axis=1), "axis"),
    "tx.where(x, x, x, other=x)": (lambda x: tx.where(x > 0, x, x, other=x), "other"),
    "tx.vecdot(x, x, other=x)": (lambda x: tx.vecdot(x, x, other=x), "other"),
    "tx.reshape(x, (4, 4), shape=(1, 16))": (
        lambda x: tx.reshape(x, (4, 4), shape=(1, 16)),
        "shape",
    ),
    "x.sum(0, axis=1)": (lambda x: x.sum(0, axis=1), "axis"),
    "x.sum(axis=0, dim=1)": (lambda x: x.sum(axis=0, dim=1), "axis"),
    "x.reshape(4, 4, shape=(2, 8))": (lambda x: x.reshape(4, 4, shape=(2, 8)), "shape"),
    "x.view((4, 4), shape=(2, 8))": (lambda x: x.view((4, 4), shape=(2, 8)), "shape"),
    "x.permute(0, 1, dims=(1, 0))": (lambda x: x.permute(0, 1, dims=(1, 0)), "axes"),
    "x.flip(0, dims=(1,))": (lambda x: x.flip(0, dims=(1,)), "axis"),
    "x.squeeze(0, dim=1)": (lambda x: x.squeeze(0, dim=1), "dim"),
    "x.max(1, dim=0)": (lambda x: x.max(1, dim=0), "dim"),
    "x.std(1, dim=0)": (lambda x: x.std(1, dim=0), "dim"),
    "x.cumsum_(0, dim=1)": (lambda x: x.cumsum_(0, dim=1), "dim"),
    "x.cumsum_(dim=0, axis=1)": (lambda x: x.cumsum_(dim=0, axis=1), "dim"),
    "tx.cat([x], 0, dim=1)": (lambda x: tx.cat([x], 0, dim=1), "dim"),
    "tx.concat([x], 0, dim=1)": (lambda x: tx.concat([x], 0, dim=1), "axis"),
    "tx.take(x, i, axis=0, dim=1)": (lambda x: tx.take(x, x, axis=0, dim=1), "axis"),
    "F.softmax(x, dim=0, axis=1)": (lambda x: F.softmax(x, dim=0, axis=1), "dim"),
    "F.softmax(x, 0, dim=1)": (lambda x: F.softmax(x, 0, dim=1), "dim"),
}


@each("text", TWICE)
def test_a_doubled_argument(text):
    call, name = TWICE[text]
    for requires_grad in (False, True):
        x = tx.asarray(X, requires_grad=requires_grad)
        refused(functools.partial(call, x), name)


@each("name", [name for name, op in sorted(OPS.items()) if op.keywords])
def test_every_operation(name):
    """By position and by name, and under two names."""
    op = OPS[name]
    operands = (tx.asarray(X),) * max(1, len(op.operands))
    for i, parameter in enumerate(op.statics):
        before = [VALUES.get(p, 0) for p in op.statics[: i + 1]]
        for other in other_names(parameter):
            refused(lambda o=other, b=before: op.call((*operands, *b), {o: 1}), parameter)
    for parameter in op.keywords:
        for other in other_names(parameter)[1:]:
            refused(lambda p=parameter, o=other: op.call(operands, {p: 0, o: 1}), parameter)
    for i, operand in enumerate(op.operands):
        for other in {operand, ("input", "other")[min(i, 1)]} if i < 2 else {operand}:
            refused(lambda o=other: op.call(operands, {o: 1}), other)


def methods():
    """The methods of Tensor with parameters that may be given by position and by name."""
    found = {}
    for name in dir(tx.Tensor):
        method = getattr(tx.Tensor, name)
        if name[0] == "_" or not callable(method):
            continue
        parameters = list(inspect.signature(method).parameters.values())[1:]
        places = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        if places:
            found[name] = places
    return found


PLAIN = ("backward", "relu", "requires_grad_")  # Python refuses their arguments
OVERLOADED = ("max", "min", "std", "var")  # PyTorch's and the Array API's parameters do not mix


@each("name", [name for name in methods() if name not in PLAIN + OVERLOADED])
def test_every_method(name):
    places = methods()[name]
    for i, parameter in enumerate(places):
        values = [VALUES.get(p, 0) for p in places[: i + 1]]
        for other in other_names(parameter):
            refused(
                lambda o=other, v=values: getattr(tx.asarray(X), name)(*v, **{o: 1}),
                parameter,
                other,
            )


@each("name", OVERLOADED)
def test_overloaded_methods(name):
    x = tx.asarray(X)
    with pytest.raises(DTypeError, match="dim twice"):
        getattr(x, name)(0, dim=1)
    with pytest.raises(ArgumentError, match="axis"):
        getattr(x, name)(0, axis=1)
    with pytest.raises(ArgumentError, match="axis"):
        getattr(x, name)(dim=0, axis=1)


@each(
    "call",
    [
        lambda x: tx.add(x, x, other=x),
        lambda x: tx.add(x, x, other=None),
        lambda x: tx.multiply(2.0, x, other=x),
        lambda x: tx.matmul(x, x.mT, other=x),
        lambda x: tx.exp(x, input=x),
        lambda x: x.exp(input=x),
        lambda x: x.matmul(x.mT, other=x),
    ],
)
def test_operands_given_twice(call):
    with pytest.raises(DTypeError, match="got (input|other) twice"):
        call(tx.asarray(X))


@each(
    "call",
    [
        lambda x: tx.add(x, x, x2=x),
        lambda x: x.relu(False, inplace=True),
        lambda x: tx.zeros((2,), shape=(3,)),
        lambda x: F.linear(x, x, weight=x),
    ],
)
def test_python_refuses_what_has_no_parameters_of_ours(call):
    """Operations without static parameters leave their arguments to Python, which costs nothing."""
    with pytest.raises(TypeError, match="x2|other|input|inplace|shape|weight"):
        call(tx.asarray(X))


def test_bind():
    assert bind("f", ("a", "axis"), (1,), {"dim": 2}) == {"a": 1, "axis": 2}
    assert bind("f", (), (), {"axis": 2}, keywords=("dim",)) == {"dim": 2}
    for wrong, message in (
        (lambda: bind("f", ("a",), (1, 2), {}), r"f takes 1 positional arguments \(a\), got 2"),
        (lambda: bind("f", ("a",), (), {"b": 1}), "f has no parameter 'b'; it takes a"),
        (
            lambda: bind("f", (), (), {"b": 1}),
            "f has no parameter 'b'; it takes positional arguments alone",
        ),
        (lambda: bind("f", ("dim",), (1,), {"axis": 1}), r"f got dim twice \(as axis\)"),
        (lambda: bind("f", (), (), {"input": 1}, operands=("x",)), "f got input twice"),
    ):
        with pytest.raises(TinyError, match=message):
            wrong()


def test_a_dtype_given_twice():
    with pytest.raises(DTypeError, match="dtype twice"):
        tx.asarray(X).to(tx.float64, dtype=tx.float32)
