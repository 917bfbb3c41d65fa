"""``tinyxp info``: the versions, the backends and their devices on this machine."""

import argparse
import platform

from tinyxp import backends
from tinyxp.errors import BackendError
from tinyxp.version import __version__

HELP = "what this machine offers"
EXAMPLES = ("tinyxp info",)


def arguments(command: argparse.ArgumentParser) -> None:
    pass


def run(args: argparse.Namespace) -> None:
    from tinyxp.backends.cupy import setup

    print(f"tinyxp {__version__}, Python {platform.python_version()}, {platform.platform()}")
    for name in backends.names():
        try:
            backend = backends.get(name)
            print(f"{name}: devices {', '.join(backend.devices())}{backend.about()}")
        except BackendError as error:
            print(f"{name}: {error}")
    for line in setup.advice(setup.look()):
        print(f"CUDA: {line}")
