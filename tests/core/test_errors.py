"""Errors of the libraries below come out as ours, naming the operation and its operands."""

import re

import numpy as np
import pytest

import tinyxp as tx
from tests.helpers import each
from tinyxp.core.composite import composite
from tinyxp.core.operation import OPS
from tinyxp.core.primitive import primitive
from tinyxp.errors import (
    ArgumentError,
    BackendError,
    DTypeError,
    IndexingError,
    ShapeError,
    TinyError,
)
from tinyxp.nn import functional

F = np.arange(12.0).reshape(3, 4)
A34, A23, A5 = (lambda: tx.asarray(F)), (lambda: tx.ones((2, 3))), (lambda: tx.ones(5))
SHAPES = r"\(3, 4\).*\(5,\)"
BAD = {  # a call, the error, what its message says
    "add": (lambda: A34() + A5(), ShapeError, "add.*" + SHAPES),
    "radd": (lambda: A5() - A34(), ShapeError, r"subtract.*\(5,\).*\(3, 4\)"),
    "where": (lambda: tx.where(A34() > 0, A34(), A5()), ShapeError, "where.*" + SHAPES),
    "maximum": (lambda: tx.maximum(A34(), A5()), ShapeError, "maximum.*" + SHAPES),
    "logaddexp": (
        lambda: tx.logaddexp(A34(), A5()),
        ShapeError,
        "axis -1 is 4 in one and 5 in the other",
    ),
    "matmul": (lambda: A34() @ A23(), ShapeError, r"matmul of \(3, 4\) and \(2, 3\)"),
    "matmul batch": (
        lambda: tx.ones((2, 3, 4)) @ tx.ones((3, 4, 5)),
        ShapeError,
        r"matmul cannot take \(2, 3, 4\) float32, \(3, 4, 5\) float32 .*(?!axis -1)",
    ),
    "matmul number": (lambda: tx.matmul(A34(), 2.0), (DTypeError, ShapeError), "matmul"),
    "matmul scalar": (lambda: A34() @ tx.asarray(2.0), ShapeError, r"matmul.*\(3, 4\) and \(\)"),
    "reshape": (
        lambda: tx.reshape(A34(), (5, 2)),
        ShapeError,
        r"reshape cannot take \(3, 4\) float64, shape=\(5, 2\)",
    ),
    "reshape -1": (lambda: tx.reshape(A34(), (5, -1)), ShapeError, r"shape=\(5, -1\)"),
    "reshape -1 -1": (lambda: A34().reshape(-1, -1), ShapeError, r"shape=\(-1, -1\)"),
    "reshape word": (lambda: tx.reshape(A34(), "ab"), DTypeError, "reshape"),
    "sum axis": (lambda: tx.sum(A34(), axis=2), ShapeError, r"sum.*\(3, 4\)"),
    "sum axis -3": (lambda: tx.sum(A34(), axis=-3), ShapeError, r"sum.*\(3, 4\)"),
    "sum axes": (lambda: tx.sum(A34(), axis=(0, 0)), ShapeError, r"sum.*\(3, 4\)"),
    "sum word": (lambda: tx.sum(A34(), axis="a"), DTypeError, r"sum.*\(3, 4\)"),
    "sum text": (lambda: tx.sum("abc"), DTypeError, "sum expects Tensors, got str; use tx.asarray"),
    "mean axis": (lambda: tx.mean(A34(), axis=2), ShapeError, r"\(3, 4\)"),
    "mean text": (lambda: tx.mean("abc"), DTypeError, "mean expects Tensors, got str"),
    "max axis": (lambda: tx.max(A34(), axis=5), ShapeError, r"max.*\(3, 4\)"),
    "max empty": (lambda: tx.max(tx.zeros(0)), ShapeError, r"max.*\(0,\)"),
    "argmax axis": (lambda: tx.argmax(A34(), axis=5), ShapeError, "argmax"),
    "argsort axis": (lambda: tx.argsort(A34(), axis=5), ShapeError, "argsort"),
    "sort axis": (lambda: tx.sort(A34(), axis=5), ShapeError, r"\(3, 4\)"),
    "flip axis": (lambda: tx.flip(A34(), axis=5), ShapeError, "flip"),
    "roll axis": (lambda: tx.roll(A34(), 1, axis=5), ShapeError, "roll"),
    "cumulative_sum": (lambda: tx.cumulative_sum(A34()), ShapeError, "2 axes needs axis="),
    "squeeze": (
        lambda: tx.squeeze(A34(), 0),
        ShapeError,
        r"squeeze cannot take \(3, 4\) float64, axis=0",
    ),
    "expand_dims": (lambda: tx.expand_dims(A34(), axis=5), ShapeError, "axis 5 does not exist"),
    "permute_dims": (lambda: tx.permute_dims(A34(), (0, 0)), ShapeError, r"axes=\(0, 0\)"),
    "permute word": (
        lambda: tx.permute_dims(A34(), ("a", "b")),
        DTypeError,
        r"axes=\('a', 'b'\)",
    ),
    "moveaxis": (
        lambda: tx.moveaxis(A34(), (0, 1), 0),
        ShapeError,
        r"source=\(0, 1\), destination=0",
    ),
    "broadcast_to": (lambda: tx.broadcast_to(A34(), (2, 4)), ShapeError, r"broadcast_to.*\(3, 4\)"),
    "concat": (lambda: tx.concat([A34(), A23()]), ShapeError, r"concat.*\(3, 4\).*\(2, 3\)"),
    "concat axes": (lambda: tx.concat([A34(), A5()]), ShapeError, "concat.*" + SHAPES),
    "concat nothing": (lambda: tx.concat([]), ArgumentError, "concat expects a list of tensors"),
    "concat numbers": (
        lambda: tx.concat([1.0, 2.0]),
        DTypeError,
        "concat expects at least one Tensor, got float",
    ),
    "stack": (lambda: tx.stack([A34(), A5()]), ShapeError, "stack.*" + SHAPES),
    "stack numbers": (
        lambda: tx.stack([1, 2]),
        DTypeError,
        "stack expects at least one Tensor, got int",
    ),
    "tile": (lambda: tx.tile(A34(), 2), DTypeError, r"tile.*\(3, 4\)"),
    "unstack": (lambda: tx.unstack(A34(), axis=2), ShapeError, "axis 2 does not exist"),
    "pad": (lambda: tx.pad(A34(), ((1, 1),)), ShapeError, "a pair for each of 2 axes"),
    "pad mode": (lambda: tx.pad(A34(), 1, "reflect"), ArgumentError, "'constant', got 'reflect'"),
    "outer": (lambda: tx.outer(A34(), A5()), ShapeError, "outer.*" + SHAPES),
    "tensordot": (lambda: tx.tensordot(A34(), A5(), axes=1), ShapeError, "tensordot.*" + SHAPES),
    "einsum": (lambda: tx.einsum("ij,j->i", A34(), A5()), ShapeError, "'j' is 4 and 5"),
    "einsum letters": (lambda: tx.einsum("ij->k", A34()), ArgumentError, "has an unknown one"),
    "einsum number": (lambda: tx.einsum("i,i->", A5()), ArgumentError, "names 2 operands, got 1"),
    "einsum axes": (
        lambda: tx.einsum("ijk->k", A34()),
        ShapeError,
        r"does not fit the shape \(3, 4\)",
    ),
    "take": (lambda: tx.take(A34(), [0], axis=0), DTypeError, "take expects Tensors, got list"),
    "take axis": (
        lambda: tx.take(A34(), tx.asarray([0]), axis=2),
        ShapeError,
        "axis 2 does not exist",
    ),
    "take place": (
        lambda: tx.take(A5(), tx.asarray([5])),
        IndexingError,
        "index.* out of bounds for axis 0",
    ),
    "topk": (lambda: tx.topk(A5(), 6), ArgumentError, "k from 0 to 5, got 6"),
    "None": (lambda: A34() + None, DTypeError, "add expects Tensors, got NoneType; use tx.asarray"),
    "text": (lambda: A34() * "a", DTypeError, "multiply expects Tensors, got str; use tx.asarray"),
    "list": (
        lambda: A34() * [1, 2, 3, 4],
        DTypeError,
        "multiply expects Tensors, got list; use tx.asarray",
    ),
    "numbers": (lambda: tx.add(1.0, 2.0), DTypeError, "at least one Tensor, got float, float"),
    "float128": (lambda: tx.sin(np.ones(3, np.longdouble)), DTypeError, "unknown dtype"),
    "float & float": (lambda: A34() & A34(), DTypeError, r"bitwise_and.*\(3, 4\) float64"),
    "bool - bool": (lambda: (A34() > 0) - (A34() > 0), TinyError, r"subtract.*\(3, 4\) bool"),
    "-bool": (lambda: -(A34() > 0), TinyError, r"negative.*\(3, 4\) bool"),
    "uint64 + int64": (
        lambda: tx.ones(1, dtype=tx.uint64) + tx.ones(1, dtype=tx.int64),
        DTypeError,
        "no common integer dtype",
    ),
    "dtype": (
        lambda: tx.zeros(2, dtype="float8"),
        DTypeError,
        "unknown dtype 'float8'; choose one of bool",
    ),
    "zeros": (lambda: tx.zeros("a"), DTypeError, "zeros cannot take 'a'"),
    "zeros -1": (lambda: tx.zeros(-1), ShapeError, "zeros cannot take -1"),
    "full": (lambda: tx.full(2, "a"), TinyError, "full cannot take 2, 'a'"),
    "eye": (lambda: tx.eye("a"), DTypeError, "eye cannot take 'a'"),
    "arange": (lambda: tx.arange("a"), TinyError, "arange cannot take"),
    "arange step": (lambda: tx.arange(0, 3, 0), TinyError, "arange cannot take 0, 3, 0"),
    "linspace": (lambda: tx.linspace(0, 1, -1), ShapeError, "linspace cannot take 0, 1, -1"),
    "asarray text": (lambda: tx.asarray("abc"), DTypeError, "expected numbers, nested lists"),
    "asarray None": (lambda: tx.asarray(None), DTypeError, "got NoneType"),
    "asarray ragged": (
        lambda: tx.asarray([[1, 2], [3]]),
        ShapeError,
        "nested lists must all have the same length",
    ),
    "asarray tensors": (lambda: tx.asarray([A5(), A5()]), DTypeError, "join others with tx.stack"),
    "astype": (lambda: tx.astype([1.0], tx.int64), DTypeError, "astype expects Tensors, got list"),
    "T": (lambda: A5().T, ShapeError, r"T expects two axes, got shape \(5,\)"),
    "mT": (lambda: A5().mT, ShapeError, "matrix_transpose expects two axes"),
    "len": (lambda: len(tx.asarray(1.0)), DTypeError, r"a 0-d tensor has no len\(\)"),
    "keyword": (
        lambda: tx.mean(A5(), along=0),
        DTypeError,
        "mean.*no parameter 'along'",
    ),
    "keyword sum": (
        lambda: tx.sum(A5(), along=0),
        DTypeError,
        "sum.*no parameter 'along'",
    ),
    "compare": (lambda: A34() == A5(), ShapeError, "equal.*" + SHAPES),
    "device": (lambda: tx.ones(2).to("nowhere"), BackendError, "got 'nowhere'|no device 'nowhere'"),
}


@each("name", BAD)
def test_errors_of_the_library_come_out_as_ours(name, backend):
    bad, kind, text = BAD[name]
    with pytest.raises(TinyError) as caught:
        bad()
    assert isinstance(caught.value, kind), repr(caught.value)
    assert re.search(text, str(caught.value)), str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_warning_of_the_library_is_not_called_an_error_of_ours():
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        assert tx.log(tx.asarray([0.0])).tolist() == [-np.inf]
    with pytest.raises(RuntimeWarning, match="divide by zero"):
        tx.log(tx.asarray([0.0]))


# -- what the user wrote ---------------------------------------------------------------------------


@pytest.fixture
def own_operation():
    """A primitive of the user's own, and a composite; taken out of the registry again."""

    @primitive
    def users_primitive(xp, x, /, *, what=""):
        if what == "raise":
            raise ValueError("an odd number is wanted")
        if what == "name":
            return unknown_name(x)  # noqa: F821
        if what == "attribute":
            return xp.no_such_function(x)
        if what == "key":
            return {}["key"]
        if what == "library":
            return xp.matmul(x, xp.ones((7, 7), dtype=x.dtype))
        return x * 2

    @users_primitive.vjp
    def _(xp, g):
        return g * another_unknown_name  # noqa: F821

    @composite
    def users_composite(x, /, *, what=""):
        assert what != "assert", "no such thing"
        if what == "raise":
            raise LookupError("nothing found")
        return tx.matmul(x, tx.ones((7, 7)))

    yield users_primitive, users_composite
    for op in ("users_primitive", "users_composite"):
        del OPS[op]


def test_errors_of_the_users_own_operation_come_out_as_they_are(own_operation, backend):
    f, g = own_operation
    x = tx.ones((2, 3)).requires_grad_()
    for what, kind, text in (
        ("raise", ValueError, "an odd number"),
        ("name", NameError, "unknown_name"),
        ("attribute", AttributeError, "no_such_function"),
        ("key", KeyError, "key"),
    ):
        with pytest.raises(kind, match=text) as raised:
            f(x, what=what)
        assert not isinstance(raised.value, TinyError)
        assert raised.value.__cause__ is None
    with pytest.raises(ShapeError, match=r"users_primitive cannot take \(2, 3\)"):
        f(x, what="library")
    with pytest.raises(NameError, match="another_unknown_name"):
        f(x).sum().backward()
    with pytest.raises(AssertionError, match="no such thing"):
        g(x, what="assert")
    with pytest.raises(LookupError, match="nothing found"):
        g(x, what="raise")
    with pytest.raises(ShapeError, match=r"matmul of \(2, 3\) and \(7, 7\)"):
        g(x)
    model = tx.nn.Linear(3, 1)
    model.register_full_backward_hook(lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        model(tx.ones((2, 3)).requires_grad_()).sum().backward()


def test_an_integer_divided_by_zero(backend):
    with pytest.raises(ArgumentError):
        tx.asarray([1, 2]) // 0


ARRAYS = {  # where a number, an axis, a name or a flag belongs
    "sort": lambda x, a: tx.sort(x, axis=a),
    "topk": lambda x, a: tx.topk(x, 1, axis=a),
    "flatten": lambda x, a: tx.flatten(x, a),
    "softmax": lambda x, a: x.softmax(a),
    "cosine_similarity": lambda x, a: functional.cosine_similarity(x, x, a),
    "relu": lambda x, a: functional.relu(x, inplace=a),
    "hardsigmoid": lambda x, a: functional.hardsigmoid(x, inplace=a),
    "mse_loss": lambda x, a: functional.mse_loss(x, x, reduction=a),
    "gumbel_softmax": lambda x, a: functional.gumbel_softmax(x, tau=a),
    "grid_sample": lambda x, a: functional.grid_sample(x, x, mode=a),
    "ctc_loss": lambda x, a: functional.ctc_loss(x, tx.asarray([1]), (2,), (1,), blank=a),
    "interpolate": lambda x, a: functional.interpolate(x[None], a),
    "backend": lambda x, a: tx.backend(a),
    "amax": lambda x, a: tx.amax(x, a),
    "expand": lambda x, a: x.expand(1, a),
    "max_pool2d": lambda x, a: functional.max_pool2d(x[None], 1, padding=a),
    "to_device": lambda x, a: x.to_device(a),
    "div_": lambda x, a: x.div_(2, rounding_mode=a),
    "triplet_margin_with_distance_loss": lambda x, a: functional.triplet_margin_with_distance_loss(
        x, x, x, distance_function=a
    ),
}


@each("wrong", [np.asarray([0, 1]), slice(2), object()])
@each("name", ARRAYS)
def test_an_array_or_an_object_for_a_number(name, wrong):
    with pytest.raises(TinyError):
        ARRAYS[name](tx.ones((2, 3)), wrong)


def test_numbers_beyond_all_sizes():
    assert tx.diff(tx.ones((2, 3)), 2**70).shape == (2, 0)
    x = tx.ones(3).requires_grad_()
    tx.diff(x, 2**70).sum().backward()
    assert x.grad.tolist() == [0.0, 0.0, 0.0]
    with pytest.raises(TinyError):
        functional.interpolate(tx.ones((1, 1, 2)), 2**70)
    for size in (2**70, 2**40):
        with pytest.raises(ArgumentError, match="output_size"):
            functional.adaptive_max_pool1d(tx.ones((1, 1, 2)), size)
    with pytest.raises(ArgumentError, match="int64"):
        functional.one_hot(tx.asarray([0]), 2**70)
