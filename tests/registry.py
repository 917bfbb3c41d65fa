"""What the tests read from the registry: every operation with its example inputs."""

import functools
import zlib

import numpy as np

import tinyxp as tx
from tinyxp.core.operation import OPS
from tinyxp.core.primitive import Primitive


@functools.cache
def differentiable():
    """(name, number of the example) for every operation that has a gradient."""
    return [
        (name, i)
        for name, op in sorted(OPS.items())
        if not (isinstance(op, Primitive) and op.no_gradient)
        for i in range(max(1, len(op.examples)))
    ]


def example(name, i):
    """The operands (NumPy arrays and numbers) and static parameters of an example."""
    op = OPS[name]
    assert op.examples, f"{name} has no example: declare one with @{name}.example"
    # crc32, not hash(): the same inputs in every run
    operands = op.examples[i](np.random.default_rng(zlib.crc32(name.encode()) + i))
    static = {}
    if isinstance(operands[-1], dict):
        *operands, static = operands
    return list(operands), static


def is_floating(x):
    """Whether an operand of an example is differentiated."""
    return isinstance(x, np.ndarray) and x.dtype.kind in "fc"


def complex_example(name, i, only=None):
    """The example made complex, its zeros kept, or None if it has no real array.

    ``only``: of its real arrays just that one.
    """
    operands, static = example(name, i)
    rng = np.random.default_rng(1)
    arrays = [
        k for k, x in enumerate(operands) if isinstance(x, np.ndarray) and x.dtype == "float64"
    ]
    if len(arrays) <= (only or 0):
        return None
    turned = list(operands)
    for k in arrays if only is None else arrays[only : only + 1]:
        turned[k] = turned[k] + 1j * np.where(
            turned[k] == 0, 0, rng.normal(size=turned[k].shape) / 2
        )
    wide = {k: tx.complex128 if v is tx.float64 else v for k, v in static.items()}
    return turned, wide


@functools.cache
def complex_cases():
    """The cases of ``differentiable`` for operations that take complex numbers."""
    return [
        (name, i) for name, i in differentiable() if not OPS[name].real and complex_example(name, i)
    ]


@functools.cache
def mixed_cases():
    """Those of them with several real arrays, which are promoted to one dtype."""
    return [
        (name, i)
        for name, i in complex_cases()
        if getattr(OPS[name], "promote", 0) is not None and complex_example(name, i, only=1)
    ]


def gradient_cases(name):
    """(operands, static parameters) of all examples: real; complex; and complex beside real
    operands, which are promoted to one dtype."""
    cases = [example(n, i) for n, i in differentiable() if n == name]
    cases += [complex_example(n, i) for n, i in complex_cases() if n == name]
    for n, i in mixed_cases():
        if n == name:
            static = example(name, i)[1]
            cases += [(complex_example(name, i, only)[0], static) for only in (0, 1)]
    return cases


def real_only():
    """Operations with a gradient that refuse complex numbers."""
    return sorted({name for name, _ in differentiable() if OPS[name].real})


def tensors(operands):
    """Arrays as Tensors of the backend in use, everything else as it is."""
    return [tx.asarray(x) if isinstance(x, np.ndarray) else x for x in operands]


def call(name, operands, static):
    return OPS[name].call(tuple(operands), dict(static))


def slopes(f, operands):
    """The value of an elementwise function of ours and its derivatives, as NumPy arrays."""
    xs = [tx.asarray(x.copy()) for x in operands]
    leaves = [x.requires_grad_() for x in xs if x.dtype.kind == "real floating"]
    y = f(*xs)
    tx.sum(y).backward()
    zeros = np.zeros(y.shape)  # of what the result does not hang on
    return {"y": y.detach().numpy()} | {
        f"d{i}": zeros if x.grad is None else x.grad.numpy() for i, x in enumerate(leaves, 1)
    }
