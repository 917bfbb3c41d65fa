"""Which functions of the user's ran, and the names that they use."""

import dis
import sys
import sysconfig
import types
from collections.abc import Callable, Iterator
from functools import cache
from os import path
from typing import Any

from tinyxp.debug.sites import Site, of_library
from tinyxp.errors import TinyError

STANDARD = tuple(path.abspath(sysconfig.get_path(name)) for name in ("stdlib", "purelib"))
LOADS = ("LOAD_ATTR", "LOAD_METHOD")
GLOBALS = ("LOAD_GLOBAL", "STORE_GLOBAL", "LOAD_NAME")
UNSEEN = ("globals", "eval", "exec", "__import__")
ANY_NAME = {"getattr", "setattr", "vars", "hasattr", "locals"}  # by which all attributes are used


class CalledCode:
    """The functions of the user's that ran in a call."""

    def __init__(self) -> None:
        self.codes: set[types.CodeType] = set()

    def run(self, f: Callable[[], Any]) -> Any:
        """``f()``, noting which functions run."""
        before = sys.getprofile()

        def note(frame: types.FrameType, event: str, arg: Any) -> None:
            if event == "call" and not foreign(frame.f_code.co_filename):
                self.codes.add(frame.f_code)

        sys.setprofile(note)
        try:
            return f()
        finally:
            sys.setprofile(before)

    def names(self, *instructions: str) -> dict[str, str]:
        """The names in some instructions, and the line of the first with each."""
        found: dict[str, str] = {}
        for code in list(self.codes):  # other threads may add to them
            line = code.co_firstlineno
            for step in dis.get_instructions(code):
                line = step.starts_line or line
                if step.opname in instructions:
                    found.setdefault(step.argval, f"{path.basename(code.co_filename)}:{line}")
        return found

    def unseen(self) -> str | None:
        """A function that they use and that reads names which their code does not contain."""
        names = self.names("LOAD_GLOBAL", "LOAD_NAME")
        if found := {"environ", "getenv"} & self.names(*LOADS).keys():
            return f"os.{found.pop()}"
        return next((f"{name}()" for name in UNSEEN if name in names), None)

    def attributes(self) -> set[str] | None:
        """The attributes that they use; None if it may be any."""
        if not ANY_NAME.isdisjoint(self.names("LOAD_GLOBAL", "LOAD_NAME")):
            return None
        return {"training", "forward", *self.names(*LOADS, "STORE_ATTR")}


def global_names(code: types.CodeType) -> Iterator[str]:
    """The globals that a function, and the functions inside it, may use."""
    for step in dis.get_instructions(code):
        if step.opname in GLOBALS:
            yield step.argval
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from global_names(inner)


@cache
def foreign(file: str) -> bool:
    """Whether a file belongs to a library, whose globals are not looked at."""
    if not file or file.startswith("<frozen "):
        return True
    return of_library(file) or path.abspath(file).startswith(STANDARD)


def of_user_module(module: types.ModuleType) -> bool:
    """Whether a module is the user's own."""
    file = getattr(module, "__file__", None)
    return module.__name__ not in sys.stdlib_module_names if file is None else not foreign(file)


def _file(cls: type) -> str | None:
    return getattr(sys.modules.get(cls.__module__), "__file__", None)


def of_user(cls: type) -> bool:
    """Whether a class is the user's own."""
    file = _file(cls)
    return cls.__module__ == "__main__" if file is None else not foreign(file)


def of_package(cls: type) -> bool:
    """Whether a class is tinyxp's, or NumPy's: changes in such objects are known in other ways."""
    file = _file(cls)
    return file is not None and of_library(file) and not cls.__module__.startswith("numpy.random")


def with_line(error: TinyError) -> TinyError:
    """The error with the line of the user's code that raised it."""
    trace, line = error.__traceback__, ""
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not foreign(file):
            found = Site(file, trace.tb_lineno, trace.tb_frame.f_code.co_name)
            line = f" ({found}: {found.code})"
        trace = trace.tb_next
    return type(error)(f"{error}{line}")
