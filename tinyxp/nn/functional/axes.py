"""Functions that exist for one, two and three axes: one definition, and a public name for each."""

import functools
import inspect

from tinyxp.core.foreign_errors import typed


def over_axes(function, n):
    """Decorate a stub, whose name and docstring stay: it becomes ``function(name, n, ...)``, a
    public function over n axes with the other parameters of ``function``."""
    signature = inspect.signature(function)
    signature = signature.replace(parameters=list(signature.parameters.values())[2:])

    def public(stub):
        @functools.wraps(stub)
        def call(*args, **options):
            return function(stub.__name__, n, *args, **options)

        call.__signature__ = signature
        return typed(call)

    return public
