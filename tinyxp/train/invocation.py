"""How a user starts tinyxp from where they are: what hints print must work as it stands."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path


def command(*words: str | os.PathLike[str]) -> str:
    """The line for a shell that runs ``tinyxp`` with these words in the present folder, whether or
    not the environment is activated.

    >>> from tinyxp.train.invocation import command
    >>> command("generate", "runs/a", "--prompt", "To be").endswith(
    ...     "tinyxp generate runs/a --prompt 'To be'")
    True
    """
    return joined([*_program(), *(os.fspath(word) for word in words)])


def joined(words: list[str]) -> str:
    """Words as one line for this system's shell."""
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)


def _program() -> list[str]:
    """``tinyxp`` where the shell finds this environment's, else its path, else Python's with -m."""
    script = Path(sys.executable).with_name("tinyxp.exe" if os.name == "nt" else "tinyxp")
    found = shutil.which("tinyxp")
    if found is not None and script.is_file() and os.path.samefile(found, script):
        return ["tinyxp"]
    if script.is_file():
        return [near(script)]
    return [near(Path(sys.executable)), "-m", "tinyxp"]


def near(path: Path) -> str:
    """A program's path from the present folder, if it lies below, and else in full."""
    try:
        relative = os.path.relpath(path)
    except ValueError:  # on another drive
        return str(path)
    if relative.startswith(os.pardir):
        return str(path)
    return relative if os.sep in relative else os.path.join(os.curdir, relative)
