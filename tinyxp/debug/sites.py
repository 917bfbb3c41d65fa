"""Where in the user's code something was called, and inside which modules."""

import contextlib
import functools
import linecache
import os
import sys
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
MODELS = os.path.join(ROOT, "models") + os.sep  # stories: a user's code, though they come along
BLOCKS = contextlib.__file__  # between a with statement and what it calls
NUMPY = os.path.dirname(np.__file__) + os.sep
FUNCTIONS = os.path.join(ROOT, "nn", "functional") + os.sep
HOOKS = os.path.join(ROOT, "nn", "hooks.py")  # where a module's call stands


@dataclass(frozen=True)
class Site:
    """A line of the user's code, and what it called there.

    ``called`` names the library's function, or is empty if the line itself did it, and
    ``function_called`` the one of ``nn.functional`` that was running; ``modules`` are those whose
    call it was in, outermost first.

    >>> tx.debug.Site("net.py", 12, "forward")
    Site('net.py:12')
    """

    file: str
    line: int
    function: str
    called: str = field(default="", compare=False)
    function_called: str = field(default="", compare=False)
    modules: tuple[Any, ...] = field(default=(), compare=False)

    @property
    def code(self) -> str:
        """The line itself, or an empty string."""
        return linecache.getline(self.file, self.line).strip()

    def __str__(self) -> str:
        return f"{display_path(self.file)}:{self.line}"

    def __repr__(self) -> str:
        return f"Site({str(self)!r})"


@functools.cache
def of_library(file: str) -> bool:
    """Whether a file is tinyxp's own, or of what stands between it and the user."""
    path = os.path.abspath(file)
    return path.startswith((ROOT, NUMPY, BLOCKS)) and not path.startswith(MODELS)


def display_path(file: str) -> str:
    """A file relative to the folder in use, if it lies below; of a notebook, the cell: In[3]."""
    return cell(file) or _relative(file)


@functools.cache
def _relative(file: str) -> str:
    try:
        path = os.path.relpath(file)
    except ValueError:  # on another drive
        return file
    return file if path.startswith(os.pardir) else path


def cell(file: str) -> str:
    """The number of the cell that IPython runs from ``file``, as In[3], or an empty string."""
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module is not None else None
    cells = getattr(getattr(shell, "compile", None), "_filename_map", {})
    return f"In[{cells[file]}]" if file in cells else ""


def site(depth: int = 1) -> Site:
    """The nearest line of the user's code, ``depth`` frames up or further."""
    frame: FrameType | None = sys._getframe(depth)
    user: tuple[str, int, str] | None = None
    called, function, modules = "", "", []
    while frame is not None:
        code = frame.f_code
        if user is None:
            if of_library(code.co_filename):
                called = code.co_name
                if code.co_filename.startswith(FUNCTIONS):
                    function = code.co_name
            else:
                user = code.co_filename, frame.f_lineno, code.co_name
        if code.co_name == "__call__" and code.co_filename == HOOKS:
            modules.append(frame.f_locals["self"])
        frame = frame.f_back
    return Site(*(user or ("?", 0, "?")), called, function, tuple(reversed(modules)))
