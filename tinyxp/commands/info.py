"""``tinyxp info``: the versions, the backends and their devices on this machine."""

import argparse
import platform

from tinyxp import backends
from tinyxp.errors import BackendError
from tinyxp.version import __version__

HELP = "what this machine offers"
EXAMPLES = ("tinyxp info",)


def run(args: argparse.Namespace) -> None:
    advice: list[str] = []
    print(f"tinyxp {__version__}, Python {platform.python_version()}, {platform.platform()}")
    for name in backends.names():
        try:
            backend = backends.get(name)
            print(f"{name}: devices {', '.join(backend.devices())}{backend.about()}")
            advice += backend.advice()
        except BackendError as error:
            print(f"{name}: {error}")
            advice += getattr(error, "__notes__", [])
    print(*advice, sep="\n", end="\n" if advice else "")
