"""The rules of the Array API 2025.12, which its own suite checks, as tests of every run.

This file has signatures, dtypes and special values; test_standard_values.py has the values, and
test_namespace.py names, inspection and interchange. ``tests/array_api.sh`` runs the suite itself.
"""

import inspect
import math
import operator

import numpy as np
import pytest

import tinyxp as tx
from tests.helpers import each
from tests.ops.standard import (
    ARITHMETIC,
    ATTRIBUTES,
    BITS,
    COMPARE,
    COMPLEX,
    COMPLEXES,
    CONSTANTS,
    DTYPES,
    FLOATING,
    INTEGERS,
    ODD,
    REAL,
    REALS,
    SIGNATURES,
    SIGNED,
    UNSIGNED,
    special,
)


def find(path):
    found = tx
    for part in path.split("."):
        found = getattr(found, part)
    return found


# -- signatures --------------------------------------------------------------------------------


def parameters(text):
    scope = {}
    exec(f"def f({text}): pass", {"inf": math.inf}, scope)  # our own table
    return list(inspect.signature(scope["f"]).parameters.values())


@each("text", SIGNATURES)
def test_signatures(text):
    """Every call that the standard allows: ours may take more, but not demand it."""
    for path in SIGNATURES[text].split():
        ours = list(inspect.signature(find(path)).parameters.values())
        named = {p.name: p for p in ours}
        for i, p in enumerate(parameters(text)):
            what = f"{path}({text}): {p}"
            if p.kind is p.POSITIONAL_ONLY:
                assert ours[i].kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD), what
                assert p.default in (p.empty, ours[i].default), what
            elif p.kind is p.VAR_POSITIONAL:
                assert ours[i].kind is p.kind, what
            else:
                assert p.name in named, what
                assert named[p.name].kind in (p.kind, p.POSITIONAL_OR_KEYWORD), what
                assert p.default in (p.empty, named[p.name].default), what
                if p.kind is p.POSITIONAL_OR_KEYWORD:
                    assert ours[i].name == p.name, what
        known = {p.name for p in parameters(text)}
        for p in ours[len([p for p in parameters(text) if p.kind is p.POSITIONAL_ONLY]) :]:
            optional = p.default is not p.empty or p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
            assert p.name in known or optional, f"{path}: {p}"


def test_attributes_and_constants():
    x = tx.ones((2, 3))
    assert [name for name in ATTRIBUTES if not hasattr(x, name)] == []
    for name, value in CONSTANTS.items():
        found = getattr(tx, name)
        assert found is value or found == value or math.isnan(value), name
    assert math.isnan(tx.nan)
    assert (x.T.shape, x.mT.shape, x.size, x.ndim) == ((3, 2), (3, 2), 6, 2)
    assert tx.__array_api_version__ == "2025.12"


# -- promotion ---------------------------------------------------------------------------------


def meet(a, b):
    """The dtype of an operation on two, by the standard's two lattices; None where it is silent."""
    if a is b:
        return a
    for family in (SIGNED, UNSIGNED):
        if a in family and b in family:
            return family[max(family.index(a), family.index(b))]
    if a in FLOATING and b in FLOATING:
        wide = tx.float64 in (a, b) or tx.complex128 in (a, b)
        return (COMPLEXES if a in COMPLEXES or b in COMPLEXES else REALS)[wide]
    if a in UNSIGNED:
        a, b = b, a
    if a in SIGNED and b in UNSIGNED:
        i = max(SIGNED.index(a), UNSIGNED.index(b) + 1)
        return SIGNED[i] if i < len(SIGNED) else None
    return None


PAIRS = [(a, b, meet(a, b)) for a in DTYPES for b in DTYPES if meet(a, b)]
DUNDERS = {name: getattr(operator, f"__{d}__") for name, d in (ARITHMETIC | BITS | COMPARE).items()}
ANY = ["equal", "not_equal"]
REAL_ONLY = [
    "floor_divide",
    "remainder",
    "less",
    "less_equal",
    "greater",
    "greater_equal",
    "maximum",
    "minimum",
]
FLOAT_ONLY = ["divide", "atan2", "copysign", "hypot", "logaddexp", "nextafter"]


def allowed(name, dtype):
    """Whether the standard defines a binary function for this dtype."""
    if name in ANY:
        return True
    if name.startswith("logical"):
        return dtype is tx.bool
    if name in BITS:
        return dtype in INTEGERS or (dtype is tx.bool and "shift" not in name)
    if dtype is tx.bool or (name == "divide" and dtype in INTEGERS):
        return False
    if name in FLOAT_ONLY:
        return dtype in (FLOATING if name == "divide" else REALS)
    return name not in REAL_ONLY or dtype not in COMPLEXES


BINARY = [*ARITHMETIC, *BITS, *COMPARE, *REAL_ONLY[-2:], *FLOAT_ONLY[1:]]
BINARY += ["logical_and", "logical_or", "logical_xor"]


@each("name", BINARY)
def test_binary_functions_promote(name, backend):
    for a, b, expected in PAIRS:
        if not allowed(name, expected):
            continue
        x, y = tx.ones((2, 1), dtype=a), tx.ones((3,), dtype=b)
        boolean = name in COMPARE or name.startswith("logical")
        results = [getattr(tx, name)(x, y)]
        if name in DUNDERS:
            results.append(DUNDERS[name](x, y))
        for z in results:
            assert z.dtype is (tx.bool if boolean else expected), f"{name}({a!r}, {b!r}): {z!r}"
            assert z.shape == (2, 3)


@each("name", DUNDERS)
def test_python_numbers_take_the_dtype_of_the_array(name, backend):
    op = DUNDERS[name]
    for dtype in DTYPES:
        if not allowed(name, dtype):
            continue
        numbers = [True] if dtype is tx.bool else [1]
        numbers += [1.0] if dtype in FLOATING else []
        numbers += [1 + 0j] if dtype in COMPLEXES else []
        x = tx.ones(2, dtype=dtype)
        for number in numbers:
            for z in (op(x, number), op(number, x), getattr(tx, name)(x, number)):
                what = f"{name}, {dtype!r}, {number}"
                assert z.dtype is (tx.bool if name in COMPARE else dtype), what
                assert z.shape == (2,), what


def test_complex_numbers_beside_real_arrays(backend):
    for dtype, expected in zip(REALS, COMPLEXES, strict=True):
        assert (tx.ones(2, dtype=dtype) * 1j).dtype is expected


def test_result_type_and_can_cast(backend):
    for a, b, expected in PAIRS:
        assert tx.result_type(a, b) is expected
        assert tx.result_type(tx.ones(1, dtype=a), b) is expected
        assert tx.can_cast(a, expected) and tx.can_cast(b, expected)
    assert tx.result_type(tx.float32, 1.0, 2) is tx.float32
    assert tx.result_type(tx.ones(1, dtype=tx.int8), 7) is tx.int8
    assert not tx.can_cast(tx.int64, tx.int32) and not tx.can_cast(tx.float64, tx.int64)


@pytest.mark.parametrize("name", ["concat", "stack", "where", "matmul", "tensordot", "vecdot"])
def test_other_functions_promote(name, backend):
    calls = {
        "concat": lambda x, y: tx.concat([x, y]),
        "stack": lambda x, y: tx.stack([x, y]),
        "tensordot": lambda x, y: tx.tensordot(x, y, axes=1),
        "where": lambda x, y: tx.where(tx.asarray([True, False]), x, y),
    }
    for a, b, expected in PAIRS:
        if expected is tx.bool and name not in ("concat", "stack", "where"):
            continue
        x, y = tx.ones(2, dtype=a), tx.ones(2, dtype=b)
        assert calls.get(name, getattr(tx, name))(x, y).dtype is expected, f"{name}, {a!r}, {b!r}"


# -- result dtypes of functions of one array -----------------------------------------------------

KEPT = "abs ceil floor negative positive round sign square trunc clip diff flip "
KEPT += "max min roll sort expand_dims reshape tile repeat unique_values tril"
FLOATS = "acos asin atan atanh cos cosh cumulative_sum exp expm1 log log10 log1p log2 mean prod "
FLOATS += "reciprocal sin sinh sqrt square sum tan tanh"
CALLS = {
    "clip": lambda x: tx.clip(x, 0, 1),
    "diff": tx.diff,
    "expand_dims": lambda x: tx.expand_dims(x, axis=0),
    "flip": tx.flip,
    "repeat": lambda x: tx.repeat(x, 2),
    "reshape": lambda x: tx.reshape(x, (-1,)),
    "roll": lambda x: tx.roll(x, 1),
    "tile": lambda x: tx.tile(x, (2,)),
    "tril": lambda x: tx.tril(tx.stack([x, x])),
}


@each("dtype", INTEGERS + REALS)
def test_dtypes_of_results(dtype, backend):
    x = tx.ones(3, dtype=dtype)
    found = {name: CALLS.get(name, getattr(tx, name))(x).dtype for name in KEPT.split()}
    assert {name: d for name, d in found.items() if d is not dtype} == {}
    wide = tx.uint64 if dtype in UNSIGNED else tx.int64 if dtype in SIGNED else dtype
    for name in ("sum", "prod", "cumulative_sum", "cumulative_prod"):
        assert getattr(tx, name)(x).dtype is wide, name
        assert getattr(tx, name)(x, dtype=tx.float64).dtype is tx.float64, name
        assert getattr(tx, name)(x, dtype=dtype).dtype is dtype, name
    for name in ("argmax", "argmin", "argsort", "count_nonzero"):
        assert getattr(tx, name)(x).dtype is tx.int64, name
    for name in ("isfinite", "isinf", "isnan", "all", "any"):
        assert getattr(tx, name)(x).dtype is tx.bool, name


@pytest.mark.parametrize("dtype", FLOATING)
def test_dtypes_of_floating_results(dtype, backend):
    x = tx.ones(3, dtype=dtype) / 2
    part = REALS[FLOATING.index(dtype) % 2]
    for name in FLOATS.split():
        assert getattr(tx, name)(x).dtype is dtype, name
    for name in ("abs", "imag", "real") if dtype in COMPLEXES else ("std", "var", "max"):
        assert getattr(tx, name)(x).dtype is part, name
    assert tx.conj(x).dtype is dtype


# -- special values ------------------------------------------------------------------------------


def fits(found, expected):
    """Equal, the sign of zero included; NaN is NaN."""
    (value, either), found = expected, float(found)
    if math.isnan(value):
        return math.isnan(found)
    if either:
        found, value = abs(found), abs(value)
    return math.isclose(found, value, rel_tol=1e-12) and (
        math.copysign(1, found) == math.copysign(1, value)
    )


def asked(table):
    """The cases of a table by function."""
    found = {}
    for name, operands, result in special(table):
        found.setdefault(name, []).append((operands, result))
    return found


def check_special(name, cases, call):
    bad = []
    for operands, result in cases:
        found = call(operands)
        if not all(map(fits, found, result)):
            bad.append(f"{name}{tuple(operands)}: {found}, expected {[v for v, _ in result]}")
    assert not bad, "\n".join(bad)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@each("name", REAL)
def test_special_real_values(name, backend):
    def call(operands):
        return [getattr(tx, name)(*(tx.asarray([v], dtype=tx.float64) for v in operands))[0]]

    check_special(name, asked(REAL)[name], call)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", [name for name in REAL if name in DUNDERS])
def test_special_real_values_of_operators(name, backend):
    def call(operands):
        return [DUNDERS[name](*(tx.asarray([v], dtype=tx.float64) for v in operands))[0]]

    check_special(name, asked(REAL)[name], call)


def mirrored(z, parts):
    return [v if sign > 0 else -v for v, sign in zip(z, parts, strict=True)]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@each("name", COMPLEX)
def test_special_complex_values(name, backend):
    """With their mirror images: f(conj z) = conj f(z), and f(-z) = -f(z) for the odd functions."""
    turns = [(1, 1)] + [(1, -1)] * (name != "sign") + [(-1, -1), (-1, 1)] * (name in ODD)
    for turn in turns:

        def call(operands, turn=turn):
            z = np.asarray([0j])
            z.real, z.imag = mirrored(operands, turn)
            w = getattr(tx, name)(tx.asarray(z)).numpy()[0]
            return [w] if name == "abs" else mirrored([w.real, w.imag], turn)

        check_special(name, asked(COMPLEX)[name], call)
