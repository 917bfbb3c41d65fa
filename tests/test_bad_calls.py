"""Calls that make no sense: only errors of ours come out, and no operand is changed.

Every public function is called with operands and options drawn without regard to what it expects.
"""

import inspect
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tinyxp as tx
from tinyxp.backends.errors import TinyError
from tinyxp.nn import functional as F

SPACES = {"": tx, "linalg": tx.linalg, "fft": tx.fft, "nn.functional": F}
LEFT_OUT = {  # they change what is global, want files, or call what they are given
    *("use_backend", "backend", "manual_seed", "set_num_threads", "keep_memory", "save", "load"),
    *("checkpoint", "detect_anomaly", "doctor", "graph", "set_grad_enabled", "grad", "vjp", "jvp"),
    *("value_and_grad", "jacobian", "hessian", "hvp", "gradcheck", "no_grad", "enable_grad"),
    *("from_dlpack", "set_default_dtype", "is_grad_enabled", "compile"),
}


def functions():
    found = {}
    for space, module in SPACES.items():
        for name in dir(module):
            thing = getattr(module, name)
            if name in LEFT_OUT or inspect.isclass(thing) or "_" in (name[0], name[-1]):
                continue
            if callable(thing) and not inspect.ismodule(thing):
                found[f"{space}.{name}".lstrip(".")] = thing
    return found


FUNCTIONS = functions()
CALLS = 20  # of each
SIZES = [(), (0,), (1,), (3,), (2, 3), (3, 2), (3, 3), (2, 0), (1, 2, 3), (2, 2, 4, 4)]
DTYPES = ["float32", "float64", "int64", "int8", "uint8", "bool", "complex64"]
ODD = [None, True, -1, 0, 2, 7, 10**20, 0.5, -1.5, float("nan"), 1j, "", "mean", "valid", b"x"]
ODD += [(), (1,), (-7,), (2, 2), (0, 1, 2), ("a",), [1, [2]], {}, object(), slice(2), np.float32(2)]
ODD += [tx.float32, tx.int64, [None], range(3)]


def tensor(shape, dtype, seed):
    x = np.random.default_rng(seed).normal(size=shape) * 3
    return tx.asarray(np.asarray(x).astype(dtype))


TENSORS = st.builds(tensor, st.sampled_from(SIZES), st.sampled_from(DTYPES), st.integers(0, 3))
VALUES = TENSORS | TENSORS | st.sampled_from(ODD) | st.lists(TENSORS, max_size=3)


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


def test_there_are_five_thousand():
    assert len(FUNCTIONS) * CALLS > 5000


@pytest.mark.parametrize("name", FUNCTIONS)
def test_only_our_errors_come_out(name):
    f = FUNCTIONS[name]

    @settings(
        max_examples=CALLS,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(calls(f))
    def check(call):
        args, options = call
        operands = [*args, *options.values()]
        told = []
        before = [x for value in operands for x in copies(value)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                f(*args, **options)
            except TinyError as error:
                told.append(str(error))
            except TypeError as error:
                if "argument" not in str(error):  # Python's own: too many, or a missing one
                    raise
        assert all(len(line) > 10 for line in told), told
        after = [x for value in operands for x in copies(value)]
        for a, b in zip(before, after, strict=True):
            np.testing.assert_array_equal(a, b)

    check()
