"""Inputs for the gradient tests, in short: ``add.example(normal((3, 4), (4,)))``.

Each function takes the operands' shapes and the static parameters, and returns what an operation's
``example`` takes: a function of a random generator.
"""


def normal(*shapes, **static):
    """Operands with standard normal elements; a shape of None stands for an absent operand."""
    return lambda rng: (*[s if s is None else rng.normal(size=s) for s in shapes], static)


def complex_normal(*shapes, **static):
    """Operands whose real and imaginary parts are standard normal."""

    def make(rng):
        parts = [(rng.normal(size=shape), rng.normal(size=shape)) for shape in shapes]
        return (*[re + 1j * im for re, im in parts], static)

    return make


def uniform(low, high, /, *shapes, **static):
    """Operands with elements between ``low`` and ``high``, such as inside a domain."""
    return lambda rng: (*[rng.uniform(low, high, size=shape) for shape in shapes], static)
