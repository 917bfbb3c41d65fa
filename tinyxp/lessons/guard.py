"""Finds out whether a student's file changes the checker, which runs in the same process."""

import sys
from importlib.abc import MetaPathFinder
from typing import Any

from tinyxp.lessons.lesson import NotYet

HOME = "tinyxp.lessons"
LIBRARIES = ("tinyxp", "numpy", "builtins")
HINT = "a solution must not change Python, NumPy or tinyxp"


class Guard(MetaPathFinder):
    """The functions and classes of the libraries before a student's file runs.

    :meth:`close` hides the checker's own modules: a solution that imports them gets an ImportError.
    :meth:`look` raises NotYet if a function of a library, a method of one of its classes or the
    code of a function of the checker has been replaced.
    """

    def __init__(self) -> None:
        self.known: list[tuple[str, dict[str, Any], dict[str, Any]]] = []
        for name, module in sorted(sys.modules.items()):
            if name.partition(".")[0] in LIBRARIES and module is not None:
                self._keep(name, vars(module))
        self.codes = [
            (f"{name}.{key}", value, value.__code__)
            for name, _, kept in self.known
            if name.startswith(HOME)
            for key, value in kept.items()
            if hasattr(value, "__code__")
        ]
        self.hidden: list[Any] = []

    def _keep(self, name: str, space: dict[str, Any]) -> None:
        kept = {key: value for key, value in space.items() if callable(value)}
        self.known.append((name, space, kept))
        for key, value in kept.items():
            if isinstance(value, type) and value.__module__ == name:
                methods = {k: v for k, v in vars(value).items() if callable(v)}
                self.known.append((f"{name}.{key}", vars(value), methods))  # type: ignore[arg-type]

    def close(self) -> None:
        for name in [name for name in sys.modules if (name + ".").startswith(HOME + ".")]:
            self.hidden.append(sys.modules.pop(name))
        vars(sys.modules["tinyxp"]).pop("lessons", None)
        sys.meta_path.insert(0, self)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if (name + ".").startswith(HOME + "."):
            raise ImportError(f"a solution must not use the checker, {name}")

    def look(self) -> None:
        for name, space, kept in self.known:
            for key, value in kept.items():
                if space.get(key) is not value:
                    what = f"{name}.{key}".removeprefix("builtins.")
                    raise NotYet("unchanged libraries", f"{what} was replaced", HINT)
        for what, function, code in self.codes:
            if function.__code__ is not code:
                raise NotYet("unchanged libraries", f"{what} was changed", HINT)
