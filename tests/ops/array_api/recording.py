"""tinyxp with recording on: every floating tensor that the suite makes requires grad.

For array-api-tests, whose whole namespace then runs on the tape: ``ARRAY_API_TESTS_MODULE`` names
this module, and importing it gives tinyxp itself with these functions in their recording form.
"""

import functools
import sys

import tinyxp

CREATION = [
    *("arange", "asarray", "empty", "empty_like", "eye", "from_dlpack", "full", "full_like"),
    *("linspace", "ones", "ones_like", "zeros", "zeros_like"),
]


def recording(create):
    """The creation function ``create``, its floating results at the end of a graph."""

    @functools.wraps(create)
    def made(*args, **options):
        x = create(*map(values, args), **options)
        if x.requires_grad or not x.dtype.kind.endswith("floating"):
            return x
        return tinyxp.clone(x.requires_grad_())  # no leaf, which refuses to be changed in place

    return made


def values(arg):
    """Nested lists of tensors, in which the suite writes what it expects, cut from the graph."""
    if isinstance(arg, list):
        return [x.detach() if isinstance(x, tinyxp.Tensor) else values(x) for x in arg]
    return arg


for name in CREATION:
    setattr(tinyxp, name, recording(getattr(tinyxp, name)))
sys.modules[__name__] = tinyxp
