"""The machine: its memory, and what it offers to tinyxp."""

import platform
import sys
from collections.abc import Iterator

from tinyxp import backends
from tinyxp.backends.cupy import setup as cuda_setup
from tinyxp.errors import BackendError
from tinyxp.version import __version__


def memory() -> str:
    """The most memory that this process has held, in words, or nothing where the system does not
    say.

    >>> from tinyxp.train.machine import memory
    >>> memory()  # doctest: +ELLIPSIS
    ', at most ... MB of memory'
    """
    try:
        import resource
    except ImportError:  # Windows
        return ""
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    unit = 1 if sys.platform == "darwin" else 1024
    return f", at most {held * unit / 1e6:,.0f} MB of memory"


def machine() -> Iterator[str]:
    """What this machine offers, line by line, each as soon as it is known."""
    yield f"tinyxp {__version__}, Python {platform.python_version()}, {platform.platform()}"
    for name in backends.names():
        try:
            backend = backends.get(name)
            yield f"{name}: devices {', '.join(backend.devices())}{backend.about()}"
        except BackendError as error:
            yield f"{name}: {error}"
    for line in cuda_setup.advice(cuda_setup.look()):
        yield f"CUDA: {line}"
