"""Calls that make no sense: only errors of ours come out, and no operand is changed.

Every public function and class is called with operands and options drawn without regard to what it
expects; what a class makes, if it is a module, is called too.
"""

import inspect
import operator
import re
import warnings
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tinyxp as tx
from tests.helpers import each
from tinyxp import nn, optim
from tinyxp.errors import BackendError, ShapeError, TinyError
from tinyxp.nn import functional as F

SPACES = {
    "": tx,
    "linalg": tx.linalg,
    "fft": tx.fft,
    "autograd": tx.autograd,
    "random": tx.random,
    "data": tx.data,
    "nn": nn,
    "nn.functional": F,
    "nn.init": nn.init,
    "nn.utils": nn.utils,
    "nn.utils.rnn": nn.utils.rnn,
    "optim": optim,
    "optim.lr_scheduler": optim.lr_scheduler,
    "optim.swa_utils": optim.swa_utils,
}
LEFT_OUT = {  # and why
    **dict.fromkeys(("use_backend", "backend", "keep_memory"), "changes the process"),
    **dict.fromkeys(("manual_seed", "set_num_threads", "set_grad_enabled"), "changes the process"),
    **dict.fromkeys(
        ("no_grad", "enable_grad", "inference_mode", "detect_anomaly"),
        "a context, without operands",
    ),
    **dict.fromkeys(
        ("watch_generators", "rewind_generators", "use_generator", "skip_draws"),
        "a context for the inside",
    ),
    **dict.fromkeys(
        ("doctor", "graph", "nn.summary"), "tests of their own: test_doctor and others"
    ),
    **dict.fromkeys(("save", "load", "data.read_idx"), "files: test_io, test_datasets"),
    **dict.fromkeys(
        ("data.load_mnist", "data.load_corpus"), "files and the network: test_datasets"
    ),
    "from_dlpack": "test_interop, with what other libraries give",
    "data.Dataset": "abstract",
    "data.BPETokenizer": "holds another library's object; test_bpe",
}


def public(space, module):
    """The names of a module that are its own, or that it says are."""
    names = getattr(module, "__all__", None)
    if names is None:
        names = [name for name in dir(module) if owner(module, name).startswith(module.__name__)]
    return {
        f"{space}.{name}".lstrip("."): getattr(module, name) for name in names if name[0] != "_"
    }


def owner(module, name):
    return getattr(getattr(module, name), "__module__", None) or ""


def callables():
    found = {}
    for space, module in SPACES.items():
        for name, thing in public(space, module).items():
            known = any(thing is other for other in found.values())
            if callable(thing) and not inspect.ismodule(thing) and not known:
                found[name] = thing
    return found


ALL = callables()
FUNCTIONS = {
    name: thing
    for name, thing in ALL.items()
    if name not in LEFT_OUT and name.rpartition(".")[2] not in LEFT_OUT
}
CALLS = {True: 7, False: 13}  # of each class, of each function
SIZES = [(), (0,), (1,), (3,), (2, 3), (3, 2), (3, 3), (2, 0), (1, 2, 3), (2, 2, 4, 4)]
DTYPES = ["float32", "float64", "int64", "int8", "uint8", "bool", "complex64"]
ODD = [None, True, -1, 0, 2, 7, 10**20, 0.5, -1.5, float("nan"), 1j, "", "mean", "valid", b"x"]
ODD += [(), (1,), (-7,), (2, 2), (0, 1, 2), ("a",), [1, [2]], {}, object(), slice(2), np.float32(2)]
ODD += [tx.float32, tx.int64, [None], range(3), 1, 3, 4, 0.1, (3,), "sum", "reflect", abs]
LATE = [  # made anew for each call
    lambda: nn.Linear(3, 3),
    lambda: tx.random.Generator(0),
    lambda: optim.SGD(nn.Linear(2, 2).parameters(), lr=0.1),
    lambda: nn.Linear(2, 2).parameters(),
]
# what Python says itself of arguments that a function does not have
BINDING = re.compile(
    r"\(\) (got|missing|takes)|takes no (keyword )?arguments|takes (exactly|at most|from)"
)


def tensor(shape, dtype, seed):
    x = np.random.default_rng(seed).normal(size=shape) * 3
    return tx.asarray(np.asarray(x).astype(dtype))


TENSORS = st.builds(tensor, st.sampled_from(SIZES), st.sampled_from(DTYPES), st.integers(0, 3))
VALUES = TENSORS | TENSORS | st.sampled_from(ODD) | st.lists(TENSORS, max_size=3)
VALUES |= st.sampled_from(LATE).map(lambda make: make())
INPUTS = st.lists(VALUES, min_size=1, max_size=3)


@st.composite
def calls(draw, f):
    """Arguments for f: tensors first, as most functions have them, then anything."""
    try:
        parameters = [
            p
            for p in inspect.signature(f).parameters.values()
            if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) and p.name != "inplace"
        ]
    except ValueError:
        parameters = []
    args, options = [], {}
    for p in parameters:
        required = p.default is p.empty
        if not required and draw(st.integers(0, 3)):
            continue
        value = draw(VALUES if not required else TENSORS | VALUES)
        if (
            p.kind is p.KEYWORD_ONLY
            or options
            or (not required and p.kind is not p.POSITIONAL_ONLY)
        ):
            options[p.name] = value
        elif len(args) == sum(
            q.kind is not q.KEYWORD_ONLY for q in parameters[: parameters.index(p)]
        ):
            args.append(value)
    return args, options


def copies(value):
    if isinstance(value, tx.Tensor):
        return [value.numpy().copy()]
    return (
        [x.numpy().copy() for x in value if isinstance(x, tx.Tensor)]
        if isinstance(value, list)
        else []
    )


def attempt(f, args, options):
    """What a call gives, and nothing but errors of ours; their messages say something."""
    said = None
    try:
        return f(*args, **options)
    except TinyError as error:
        said = str(error)
    except TypeError as error:
        if not BINDING.search(str(error)):
            raise
    assert said is None or len(said) > 10, said
    return None


def test_there_are_five_thousand():
    assert sum(CALLS[inspect.isclass(f)] for f in FUNCTIONS.values()) > 5000


def test_what_is_left_out_is_there():
    names = {*ALL, *(name.rpartition(".")[2] for name in ALL)}
    assert sorted(set(LEFT_OUT) - names) == []


@pytest.mark.parametrize("name", FUNCTIONS)
def test_only_our_errors_come_out(name):
    f = FUNCTIONS[name]
    in_place = name.endswith(("_", "vector_to_parameters"))

    @settings(
        max_examples=CALLS[inspect.isclass(f)],
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(calls(f), INPUTS)
    def check(call, inputs):
        args, options = call
        operands = [*args, *options.values(), *inputs]
        before = [x for value in operands for x in copies(value)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = attempt(f, args, options)
            if isinstance(made, nn.Module):
                attempt(made, inputs[:1], {})
                attempt(made, inputs, {})
        after = [x for value in operands for x in copies(value)]
        if not in_place:
            for a, b in zip(before, after, strict=True):
                np.testing.assert_array_equal(a, b)

    check()


# -- what a message names -------------------------------------------------------------------------

PAIRS = {
    name: f
    for name, f in FUNCTIONS.items()
    if hasattr(f, "op") and len(f.op.operands) == 2 and not f.op.variadic and name != "tile"
}
ALONE = {  # refused for one operand alone, whatever the other is
    *("take", "take_along_axis", "embedding", "searchsorted", "isin", "solve", "grid_sample"),
    *("multi_margin_loss", "multilabel_margin_loss", "nll_loss", "cross_entropy"),
}


@each("name", PAIRS)
def test_a_message_names_both_shapes(name):
    for shapes in (((2, 3), (4, 5)), ((2, 3, 7), (5,)), ((2, 0), (3, 3)), ((0,), (4,))):
        a, b = (tx.ones(shape) for shape in shapes)
        said = None
        with warnings.catch_warnings(), suppress(TinyError):  # others are about their dtypes
            warnings.simplefilter("ignore")
            try:
                PAIRS[name](a, b)
            except ShapeError as error:
                said = str(error)
        if said and PAIRS[name].op.name not in ALONE:
            assert all(str(shape) in said for shape in shapes), said


@each("name", PAIRS)
def test_a_message_names_both_backends(name):
    pytest.importorskip("array_api_strict", reason="needs a second backend")
    a = tx.ones((3, 3))
    with tx.backend("strict"):
        b = tx.ones((3, 3))
    for pair in ((a, b), (b, a)):
        with pytest.raises(BackendError, match=r"'numpy'.*'strict'|'strict'.*'numpy'"):
            PAIRS[name](*pair)


# -- methods, operators and keys ------------------------------------------------------------------

METHODS = [name for name in dir(tx.Tensor) if name[0] != "_" and callable(getattr(tx.Tensor, name))]
METHODS += ["__len__", "__bool__", "__int__", "__float__", "__complex__", "__index__", "__iter__"]
OPERATORS = [
    "add",
    "sub",
    "mul",
    "truediv",
    "floordiv",
    "mod",
    "pow",
    "matmul",
    "and_",
    "or_",
    "xor",
]
OPERATORS += ["lshift", "rshift", "eq", "lt"]
KEYS = [None, Ellipsis, slice(None, None, -1), slice(None, None, 0), slice("a"), -1, 10**20, 1.5]
KEYS += ["a", [0, 1], [[0], [5]], (0,) * 5, (slice(None), None), object(), {}, np.arange(2)]
KEYS = TENSORS | st.sampled_from([*KEYS, np.array([True, False])])
KEYS |= st.tuples(KEYS, KEYS)
few = settings(max_examples=12, deadline=None, database=None, derandomize=True)


@each("name", METHODS)
def test_methods(name):
    @few
    @given(TENSORS, st.lists(VALUES, max_size=2))
    def check(x, args):
        before = x.numpy()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            attempt(getattr(x, name), () if name[0] == "_" or name == "relu" else args, {})
        if name[-1] != "_" or name[0] == "_":
            np.testing.assert_array_equal(x.numpy(), before)

    check()


@pytest.mark.parametrize("name", OPERATORS)
def test_operators(name):
    @few
    @given(TENSORS, VALUES, st.booleans())
    def check(x, other, first):
        if name == "pow" and isinstance(other, int) and abs(other) > 100:
            return
        pair = (x, other) if first else (other, x)
        before = [*copies(x), *copies(other)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            attempt(getattr(operator, name), pair, {})
        for a, b in zip(before, [*copies(x), *copies(other)], strict=True):
            np.testing.assert_array_equal(a, b)

    check()


@settings(few, max_examples=200)
@given(TENSORS, KEYS, VALUES)
def test_keys(x, key, value):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        attempt(operator.getitem, (x, key), {})
        attempt(operator.setitem, (x.detach(), key, value), {})
