"""What the tests read from the registry: every operation with its example inputs."""

import zlib

import numpy as np

import tinyxp as tx
from tinyxp.operation import OPS
from tinyxp.primitive import Primitive


def differentiable():
    """(name, number of the example) for every operation that has a gradient."""
    return [
        (name, i)
        for name, op in sorted(OPS.items())
        if not (isinstance(op, Primitive) and op.why)
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


def tensors(operands):
    """Arrays as Tensors of the backend in use, everything else as it is."""
    return [tx.asarray(x) if isinstance(x, np.ndarray) else x for x in operands]


def call(name, operands, static):
    return OPS[name].call(tuple(operands), dict(static))
