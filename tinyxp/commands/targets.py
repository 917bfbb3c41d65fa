"""Models and functions that a user names: FILE.py:NAME, FILE.py or MODULE:NAME."""

import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tinyxp.debug.sites import display_path, of_library
from tinyxp.errors import ArgumentError
from tinyxp.nn.module import Module


def resolve(target: str, kinds: tuple[Callable[[Any, str], bool], ...], what: str) -> Any:
    """The object that ``target`` names; for a file alone, the only object of the first of
    ``kinds`` that it has. Raises ArgumentError, with the line of the user's code if that failed."""
    if target.endswith(".py"):
        return _only_one(target, kinds, what)
    home, _, name = target.rpartition(":")
    if not home or not name:
        raise ArgumentError(f"expected FILE.py:NAME or FILE.py, got {target!r}")
    if home.endswith(".py"):
        module = load_file(home)
        if not hasattr(module, name):
            own = [n for n, v in vars(module).items() if defined_in(v, module.__name__)]
            has = f"; it has {', '.join(own)}" if own else ""
            raise ArgumentError(f"{home} has no {name!r}{has}")
        return getattr(module, name)
    if not all(part.isidentifier() for part in home.split(".")):
        raise ArgumentError(f"expected FILE.py:NAME or MODULE:NAME, got {target!r}")
    sys.path.insert(0, "")  # python -m does this, a console script does not
    try:
        return getattr(evaluate(lambda: importlib.import_module(home)), name)
    except (ArgumentError, AttributeError) as error:
        cause = error.__cause__ or error
        if isinstance(cause, (ImportError, AttributeError)):
            raise ArgumentError(f"cannot import {target!r}: {cause}") from error
        raise


def _only_one(file: str, kinds: tuple[Callable[[Any, str], bool], ...], what: str) -> Any:
    module = load_file(file)
    public = {name: value for name, value in vars(module).items() if not name.startswith("_")}
    for fits in kinds:
        names = [name for name, value in public.items() if fits(value, module.__name__)]
        if len(names) > 1:
            more = ", ".join(f"{file}:{name}" for name in names)
            raise ArgumentError(f"{file} has several of these; say which: {more}")
        if names:
            return public[names[0]]
    raise ArgumentError(f"{file} has no {what}; name what you mean: {file}:NAME")


def load_file(file: str) -> Any:
    """Import a file as a module that is not ``__main__``."""
    path = Path(file).resolve()
    if not path.is_file():
        raise ArgumentError(f"there is no file {file}")
    name = path.stem if path.stem not in sys.modules else f"{path.stem}_of_yours"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None, "it ends with .py"
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent))  # for its own imports, as python FILE.py does
    sys.modules[name] = module  # dataclasses and pickle look there
    evaluate(lambda: spec.loader.exec_module(module))  # type: ignore[union-attr]
    return module


def call(make: Any, target: str) -> Any:
    """Call a user's function. Raises ArgumentError if it needs arguments, or fails."""
    if not callable(make):
        raise ArgumentError(f"{target} is no function, but {make!r:.60}")
    if needs := required_arguments(make):
        raise ArgumentError(
            f"{target} needs {', '.join(needs)}; give them defaults, or name a function without "
            "arguments that calls it"
        )
    return evaluate(make)


def required_arguments(make: Any) -> list[str]:
    """The names of the arguments without a default."""
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    try:
        parameters = inspect.signature(make).parameters.values()
    except (TypeError, ValueError):
        return []
    return [p.name for p in parameters if p.default is p.empty and p.kind not in kinds]


def defined_in(value: Any, module: str) -> bool:
    """Whether it is a class or function that this module defines."""
    return (inspect.isfunction(value) or inspect.isclass(value)) and value.__module__ == module


def is_model(value: Any, module: str) -> bool:
    """Whether it is a model."""
    return isinstance(value, Module)


def makes_a_model(value: Any, module: str) -> bool:
    """Whether it is a Module class of this module that needs no arguments."""
    own = inspect.isclass(value) and defined_in(value, module)
    return own and issubclass(value, Module) and not required_arguments(value)


def is_function(value: Any, module: str) -> bool:
    """Whether it is a function of this module that needs no arguments."""
    own = inspect.isfunction(value) and defined_in(value, module)
    return own and not required_arguments(value)


def evaluate(act: Callable[[], Any]) -> Any:
    """Run a user's code. Raises ArgumentError with the line of theirs that failed."""
    try:
        return act()
    except SyntaxError as error:
        place = f"{display_path(error.filename or '?')}:{error.lineno}"
        raise ArgumentError(f"{place}: {type(error).__name__}: {error.msg}") from error
    except SystemExit as error:
        raise ArgumentError(
            "your file ends the program; put what does so under if __name__ == '__main__':"
        ) from error
    except Exception as error:
        frames = [
            frame
            for frame in traceback.extract_tb(error.__traceback__)
            if not (of_library(frame.filename) or frame.filename.startswith("<frozen"))
        ]
        last = frames[-1] if frames else None
        place = f"{display_path(last.filename)}:{last.lineno}: " if last else ""
        code = f" ({last.line})" if last and last.line else ""
        text = " ".join(str(error).split())
        raise ArgumentError(f"{place}{type(error).__name__}: {text}{code}") from error
