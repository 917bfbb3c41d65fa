"""The shell line that runs ``tinyxp``: hints print it, so it must work where it is printed."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from tinyxp.debug.sites import relative


def command_line(*words: str | os.PathLike[str]) -> str:
    """The shell line that runs ``tinyxp`` with these words in the current folder, whether or not
    the environment is activated.

    >>> from tinyxp.train.shell import command_line
    >>> command_line("generate", "runs/a", "--prompt", "To be").endswith(
    ...     "tinyxp generate runs/a --prompt 'To be'")
    True
    """
    line = [*_program(), *(os.fspath(word) for word in words)]
    return subprocess.list2cmdline(line) if os.name == "nt" else shlex.join(line)


def _program() -> list[str]:
    """``tinyxp`` if the shell finds this environment's, else its path, else Python's."""
    script = Path(sys.executable).with_name("tinyxp.exe" if os.name == "nt" else "tinyxp")
    found = shutil.which("tinyxp")
    if found is not None and script.is_file() and os.path.samefile(found, script):
        return ["tinyxp"]
    if script.is_file():
        return [_from_here(script)]
    return [_from_here(Path(sys.executable)), "-m", "tinyxp"]


def _from_here(path: Path) -> str:
    """A program's path relative to the current folder, if it lies below; else in full."""
    near = relative(str(path))
    return near if os.sep in near else os.path.join(os.curdir, near)
