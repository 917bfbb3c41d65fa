"""What a user names on the command line: FILE.py:NAME, FILE.py or MODULE:NAME."""

import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tinyxp.debug.sites import of_library, shown
from tinyxp.errors import ArgumentError
from tinyxp.nn.module import Module


def found(target: str, kinds: tuple[Callable[[Any, str], bool], ...], what: str) -> Any:
    """What ``target`` names; of a file alone, the only thing in it of the first of ``kinds`` that
    it has. Raises ArgumentError, with the line of the user's code where that is at fault."""
    if target.endswith(".py"):
        module = loaded(target)
        for fits in kinds:
            names = [
                name
                for name, value in vars(module).items()
                if not name.startswith("_") and fits(value, module.__name__)
            ]
            if len(names) > 1:
                more = ", ".join(f"{target}:{name}" for name in names)
                raise ArgumentError(f"{target} has several of these; say which: {more}")
            if names:
                return getattr(module, names[0])
        raise ArgumentError(f"{target} has no {what}; name what you mean: {target}:NAME")
    home, colon, name = target.rpartition(":")
    if not colon or not home or not name:
        raise ArgumentError(f"expected FILE.py:NAME or FILE.py, got {target!r}")
    if home.endswith(".py"):
        module = loaded(home)
        if not hasattr(module, name):
            own = [n for n, v in vars(module).items() if made_in(v, module.__name__)]
            has = f"; it has {', '.join(own)}" if own else ""
            raise ArgumentError(f"{home} has no {name!r}{has}")
        return getattr(module, name)
    if not all(part.isidentifier() for part in home.split(".")):
        raise ArgumentError(f"expected FILE.py:NAME or MODULE:NAME, got {target!r}")
    sys.path.insert(0, "")  # where python -m finds modules, but not a console script
    try:
        return getattr(run(lambda: importlib.import_module(home)), name)
    except (ArgumentError, AttributeError) as error:
        cause = error.__cause__ or error
        if isinstance(cause, (ImportError, AttributeError)):
            raise ArgumentError(f"cannot import {target!r}: {cause}") from error
        raise


def loaded(file: str) -> Any:
    """The module that a file makes; what is under ``if __name__ == "__main__"`` does not run."""
    path = Path(file).resolve()
    if not path.is_file():
        raise ArgumentError(f"there is no file {file}")
    name = path.stem if path.stem not in sys.modules else f"{path.stem}_of_yours"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None, "it ends with .py"
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent))  # for what it imports, as python FILE.py does
    sys.modules[name] = module  # where dataclasses and pickle look
    run(lambda: spec.loader.exec_module(module))  # type: ignore[union-attr]
    return module


def called(make: Any, target: str) -> Any:
    """What a user's function gives. Raises ArgumentError if it wants arguments, or fails."""
    if not callable(make):
        raise ArgumentError(f"{target} is no function, but {make!r:.60}")
    if needs := needed(make):
        raise ArgumentError(
            f"{target} needs {', '.join(needs)}; give what is missing a default, or name a "
            "function that takes nothing and calls it"
        )
    return run(make)


def needed(make: Any) -> list[str]:
    """The arguments without which a function cannot be called."""
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    try:
        parameters = inspect.signature(make).parameters.values()
    except (TypeError, ValueError):
        return []
    return [p.name for p in parameters if p.default is p.empty and p.kind not in kinds]


def made_in(value: Any, module: str) -> bool:
    """Whether a class or function was written in this module."""
    return (inspect.isfunction(value) or inspect.isclass(value)) and value.__module__ == module


def is_model(value: Any, module: str) -> bool:
    return isinstance(value, Module)


def makes_a_model(value: Any, module: str) -> bool:
    """Whether it is a class of modules, written in this file, that needs no arguments."""
    own = inspect.isclass(value) and value.__module__ == module
    return own and issubclass(value, Module) and not needed(value)


def is_function(value: Any, module: str) -> bool:
    """Whether it is a function, written in this file, that needs no arguments."""
    return inspect.isfunction(value) and value.__module__ == module and not needed(value)


def run(act: Callable[[], Any]) -> Any:
    """What a user's code gives; an error of it in one line, with the line that made it."""
    try:
        return act()
    except SyntaxError as error:
        place = f"{shown(error.filename or '?')}:{error.lineno}"
        raise ArgumentError(f"{place}: {type(error).__name__}: {error.msg}") from error
    except SystemExit as error:
        raise ArgumentError(
            "your file ends the program; put what does so under if __name__ == '__main__':"
        ) from error
    except Exception as error:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if _users(f.filename)]
        last = frames[-1] if frames else None
        place = f"{shown(last.filename)}:{last.lineno}: " if last else ""
        code = f" ({last.line})" if last and last.line else ""
        text = " ".join(str(error).split())
        raise ArgumentError(f"{place}{type(error).__name__}: {text}{code}") from error


def _users(file: str) -> bool:
    """Whether a file is neither tinyxp's nor the machinery's that imports others."""
    return not (of_library(file) or file.startswith("<frozen"))
