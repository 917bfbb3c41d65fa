"""Call sites: lines of the user's code, and the modules that were running."""

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
MODELS = os.path.join(ROOT, "models") + os.sep  # examples, which count as a user's code
BLOCKS = contextlib.__file__  # runs between a with statement and the library
NUMPY = os.path.dirname(np.__file__) + os.sep
FUNCTIONS = os.path.join(ROOT, "nn", "functional") + os.sep
HOOKS = os.path.join(ROOT, "nn", "hooks.py")  # holds the __call__ of modules


@dataclass(frozen=True)
class Site:
    """A line of the user's code, and the function that it called.

    ``called`` is the name of the library's function, or empty if the line itself is meant;
    ``function_called`` is the running function of ``nn.functional``; ``modules`` are the running
    modules, outermost first.

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
        """The text of the line, or an empty string."""
        return linecache.getline(self.file, self.line).strip()

    def __str__(self) -> str:
        return f"{display_path(self.file)}:{self.line}"

    def __repr__(self) -> str:
        return f"Site({str(self)!r})"


@functools.cache
def of_library(file: str) -> bool:
    """Whether a file belongs to tinyxp, or to a library between it and the user."""
    path = os.path.abspath(file)
    return path.startswith((ROOT, NUMPY, BLOCKS)) and not path.startswith(MODELS)


def display_path(file: str) -> str:
    """The path relative to the working folder, if it lies below; for a notebook cell, In[3]."""
    return cell(file) or _cached_relative(file)


def relative(file: str) -> str:
    """The path relative to the working folder, if it lies below."""
    try:
        path = os.path.relpath(file)
    except ValueError:  # it is on another drive
        return file
    return file if path.startswith(os.pardir) else path


_cached_relative = functools.cache(relative)


def cell(file: str) -> str:
    """The cell that IPython runs from ``file``, as In[3], or an empty string."""
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module is not None else None
    cells = getattr(getattr(shell, "compile", None), "_filename_map", {})
    return f"In[{cells[file]}]" if file in cells else ""


def site(depth: int = 1) -> Site:
    """The nearest line of the user's code, at least ``depth`` frames up."""
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
