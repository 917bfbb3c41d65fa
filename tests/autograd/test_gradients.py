"""Every differentiable operation of the registry against finite differences in float64, on numpy:
the rules are one for all backends, and tests/backends/test_parity.py has the others' numbers."""

import pytest

import tinyxp as tx
from tests.compare import agree_with_formula
from tests.conftest import PRESENT
from tests.helpers import each
from tests.registry import (
    call,
    complex_cases,
    complex_example,
    differentiable,
    example,
    gradient_cases,
    real_only,
    tensors,
)
from tinyxp import backends
from tinyxp.core.operation import OPS
from tinyxp.core.primitive import Primitive
from tinyxp.errors import DTypeError, GradientError


@pytest.mark.parametrize("name", sorted({name for name, _ in differentiable()}))
def test_gradient_orders_1_and_2(name):
    @each(("operands", "static"), gradient_cases(name))
    def check(operands, static):
        tx.gradcheck(lambda *xs: call(name, xs, static), *tensors(operands), order=2, name=name)

    check()


SAMPLE = [
    *("abs", "acosh", "atan2", "divide", "exp", "log1p", "maximum", "pow", "sqrt", "tanh", "where"),
    *("cumulative_prod", "logsumexp", "max", "prod", "std", "var", "sort", "take_along"),
    *("matmul", "tensordot", "vecdot", "reshape", "pad", "concat", "fft", "irfft"),
    *("cholesky", "det", "eigvalsh", "inv", "qr", "solve", "svdvals", "matrix_norm"),
    *("attention", "cross_entropy", "gelu", "layer_norm", "softmax"),
]


@pytest.mark.parametrize("name", SAMPLE)
def test_gradient_order_3(name):
    cases = [example(name, 0)]
    if (name, 0) in complex_cases():
        cases.append(complex_example(name, 0))
    for operands, static in cases:
        tx.gradcheck(
            lambda *xs, static=static: call(name, xs, static),
            *tensors(operands),
            order=3,
            rtol=1e-4,  # differences of larger numbers
            name=name,
        )


@each("name", real_only())
def test_complex_operands_are_refused(name, backend):
    operands, static = complex_example(name, 0)
    with pytest.raises(DTypeError, match=f"{name} is for real numbers, got tinyxp.complex128"):
        call(name, tensors(operands), static)


def with_kernels():
    """(backend, name, number of the example) for every kernel of a backend that is here."""
    return [
        (backend, name, i)
        for backend in PRESENT
        for name, i in differentiable()
        if name in backends.get(backend).kernels
    ]


@pytest.mark.parametrize(("backend", "name", "i"), with_kernels(), indirect=["backend"])
def test_kernel_equals_formula(backend, name, i):
    """A fused kernel is only an acceleration: same value, same gradients, in both precisions."""
    operands, static = example(name, i)
    for dtype, tolerance in (("float64", 1e-12), ("float32", 2e-5)):
        xs = [x.astype(dtype) if getattr(x, "dtype", 0) == "float64" else x for x in operands]
        what = f"{name}: {dtype}, {backend}, part "
        agree_with_formula(lambda *xs: call(name, xs, static), xs, tolerance, what)


def test_every_operation_has_a_gradient_or_says_why():
    for name, op in OPS.items():
        if isinstance(op, Primitive):
            assert op.vjps or op.no_gradient, f"{name}: no vjp and no reason"


def test_a_wrong_gradient_is_named():
    def broken(x):
        return x**2 + x.detach()  # the graph does not know of the second term

    with pytest.raises(
        GradientError, match=r"broken d/dx0, float64, backend numpy: error .* at \(0,\)"
    ):
        tx.gradcheck(broken, tx.asarray([1.0, 2.0], dtype=tx.float64))
