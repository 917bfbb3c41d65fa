"""The tests of gradients, tested: every vjp broken on purpose must be caught, by name.

A mutant that changes nothing (minus zero, for the gradient of ``sign``) proves nothing and is
passed over; but every vjp has at least one that does.
"""

import numpy as np

import tinyxp as tx
from tests.autograd.test_gradients import test_kernel_equals_formula as kernel_equals_formula
from tests.compare import as_one
from tests.helpers import each
from tests.registry import (
    call,
    differentiable,
    example,
    gradient_cases,
    tensors,
)
from tinyxp import backends
from tinyxp.core.operation import OPS
from tinyxp.core.primitive import Primitive
from tinyxp.errors import GradientError


def one_dropped(g):
    """Without its largest element."""
    sizes = np.abs(np.asarray(g.detach() if isinstance(g, tx.Tensor) else g))
    return g * (np.arange(sizes.size).reshape(sizes.shape) != sizes.argmax()).astype("float64")


def detached(g):
    """A gradient that cannot be differentiated again."""
    return g.detach() if isinstance(g, tx.Tensor) else g


def conjugated(g):
    if "complex" not in str(g.dtype):
        return g
    return tx.conj(g) if isinstance(g, tx.Tensor) else np.conj(g)


MUTANTS = {
    "scaled": lambda g: g * 1.001,
    "negated": lambda g: -g,
    "zeroed": lambda g: g * 0.0,
    "shifted": lambda g: g + 0.001,
    "one dropped": one_dropped,
    "conjugated": conjugated,
    "detached": detached,
}


class Mutant:
    """``vjp`` with its gradient put through ``change``; of a variadic operation's, number ``k``."""

    def __init__(self, vjp, change, k):
        self.vjp, self.change, self.k = vjp, change, k
        self.sources = vjp.sources
        self.acts = False

    def rule(self, xp, *context):
        g = self.vjp.rule(xp, *context)
        if not isinstance(g, (list, tuple)):
            return self.changed(g)
        parts = list(g)
        parts[self.k] = self.changed(parts[self.k])
        return parts

    def changed(self, g):
        new = self.change(g)
        if isinstance(g, tx.Tensor):
            self.acts |= g.requires_grad and not new.requires_grad
            self.acts |= not np.array_equal(new.detach().numpy(), g.detach().numpy())
        else:
            self.acts |= not np.array_equal(new, g)
        return new


def first_complaint(name):
    """What the gradient check says of an operation, or None."""
    for operands, static in gradient_cases(name):
        try:
            tx.gradcheck(
                lambda *xs, static=static: call(name, xs, static),
                *tensors(operands),
                order=2,
                name=name,
            )
        except GradientError as error:
            return str(error)
    return None


VJPS = [  # of a variadic operation's gradients, the first and the last
    (name, k)
    for name, op in sorted(OPS.items())
    if isinstance(op, Primitive) and op.vjps
    for k in ((0, -1) if op.variadic else sorted(op.vjps))
]


@each(("name", "k"), VJPS)
def test_a_broken_vjp_is_caught_and_named(name, k, monkeypatch):
    op, which = OPS[name], max(k, 0)
    acting = 0
    for what, change in MUTANTS.items():
        mutant = Mutant(op.vjps[which], change, k)
        with monkeypatch.context() as patch:
            patch.setitem(op.vjps, which, mutant)
            complaint = first_complaint(name)
        acting += mutant.acts
        if mutant.acts:
            assert complaint, f"the vjp of {name} for operand {k}, {what}, survives the tests"
            assert complaint.removeprefix("gradient of ").startswith(f"{name} d/dx"), complaint
    assert acting, f"no mutant of the vjp of {name} for operand {k} changes anything"


KERNELS = [(name, i) for name, i in differentiable() if name in backends.get("numpy").kernels]


@each("name", sorted({name for name, _ in KERNELS}))
@each("change", ["scaled", "negated", "zeroed", "shifted", "one dropped"])
def test_a_broken_kernel_is_caught_and_named(name, change, monkeypatch):
    """The value, and each of the gradients."""
    kernels = backends.get("numpy").kernels
    kernel = as_one(kernels[name])
    width = max(len(example(n, i)[0]) for n, i in KERNELS if n == name)

    def forward(*arrays, **static):
        result = kernel.forward(*arrays, **static)
        return result if result is NotImplemented else (MUTANTS[change](result[0]), result[1])

    def breaking(k):
        def vjp(*args):
            parts = list(kernel.vjp(*args))
            if k < len(parts) and parts[k] is not None:
                seen.append(k)
                parts[k] = MUTANTS[change](parts[k])
            return tuple(parts)

        return vjp

    seen = []
    broken = [(type(kernel)(forward, kernel.vjp), None)]
    broken += [(type(kernel)(kernel.forward, breaking(k)), k) for k in range(width)]
    for mutant, k in broken:
        with monkeypatch.context() as patch:
            patch.setitem(kernels, name, mutant)
            complaints = [complaint_of_kernel(name, i) for n, i in KERNELS if n == name]
        if k is None or k in seen:
            assert any(complaints), f"the kernel of {name}, {change} at {k}, survives the tests"
            assert all(c.startswith(f"{name}: ") for c in complaints if c), complaints


def complaint_of_kernel(name, i):
    try:
        kernel_equals_formula("numpy", name, i)
    except AssertionError as error:
        return str(error)
    return None
