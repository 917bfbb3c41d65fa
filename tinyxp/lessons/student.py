"""A student's file: loaded, asked, and its own mistakes told with the line that made them."""

import functools
import inspect
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from tinyxp.core.tensor import Tensor
from tinyxp.lessons.comparing import said, shown
from tinyxp.lessons.points import Lesson, NotYet, Outcome

MODULE = "student"
RUNS = "the file runs"
SMALL = 12  # numbers of an argument that are all shown
WORDS = 400  # of a message: no flood
TELLING = {
    SystemExit: "put what ends the program under if __name__ == '__main__':",
    EOFError: "input() waits for a keyboard, and a check has none",
    ModuleNotFoundError: "the file may use tinyxp, NumPy and Python's own library",
    IndentationError: "indent by four blanks, and do not mix them with tabs",
    SyntaxError: "look at this line and the one above it: a bracket, a colon, a quote?",
    RecursionError: "a function calls itself without an end",
    KeyboardInterrupt: "nobody pressed Ctrl-C here: the code raises it itself; leave that out",
}


def load(path: Path) -> Any:
    """The module that a file makes; what is under ``if __name__ == "__main__"`` does not run."""
    spec = spec_from_file_location(MODULE, path)
    assert spec is not None and spec.loader is not None, "the caller asked for a .py file"
    module = module_from_spec(spec)
    sys.path.insert(0, str(path.parent))  # for what it imports, as python FILE.py does
    sys.modules[MODULE] = module  # where dataclasses look
    spec.loader.exec_module(module)
    return module


def missed(error: BaseException, path: Path) -> NotYet:
    """What an exception of the student's code means."""
    if isinstance(error, NotYet):
        return error
    hint = next((told for kind, told in TELLING.items() if isinstance(error, kind)), "")
    if isinstance(error, SyntaxError):
        return NotYet("Python code", f"{type(error).__name__}: {error.msg}, line {error.lineno}: "
                      f"{(error.text or '').strip()}", hint)  # fmt: skip
    lines = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
    where = f" (line {lines[-1].lineno}: {lines[-1].line})" if lines else ""
    text = str(error)
    text = text if len(text) <= WORDS else f"{text[:WORDS]} ..."
    return NotYet("no error", f"{type(error).__name__}: {text}{where}", hint)


class Asked:
    """A student's module, whose functions remember what they were called with last."""

    def __init__(self, module: Any) -> None:
        self._module, self._last = module, ""

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._module, name)
        if not inspect.isfunction(value):
            return value

        @functools.wraps(value)
        def call(*args: Any, **options: Any) -> Any:
            told = [*map(input_of, args), *(f"{k}={input_of(v)}" for k, v in options.items())]
            self._last = f"{name}({', '.join(told)})"
            return value(*args, **options)

        return call


def input_of(value: Any) -> str:
    """An argument in a few letters: all numbers of a small one."""
    if isinstance(value, Tensor) and value.size <= SMALL:
        return shown(value.detach().numpy())
    return said(value)


def titles(lesson: Lesson) -> list[str]:
    """What is asked in a lesson, in order."""
    found = [RUNS]
    for name, parameters in lesson.functions.items():
        found.append(f"{name}({parameters}): is there")
        found += [f"{name}: {point.says}" for point in lesson.points if point.function == name]
    return found


def examine(
    lesson: Lesson,
    path: Path,
    tell: Callable[[str, Outcome | None], None] = lambda *_: None,
    known: Sequence[Outcome] = (),
    look: Callable[[], None] = lambda: None,
) -> list[Outcome]:
    """Every point of a lesson, in order, but for those of which the outcome is ``known``; ``tell``
    hears of each before it and after. ``look`` is called after each, and may raise NotYet."""
    outcomes: list[Outcome] = []
    failed: set[str] = set()
    before = {outcome.title: outcome for outcome in known if outcome.title != RUNS}
    module: Any = None

    def attempt(title: str, ask: Callable[[], None], *, after: set[str], name: str) -> None:
        if title in before:
            outcomes.append(before[title])
            if before[title].state == "not ok":
                failed.add(name)
            return
        outcome = Outcome(title)
        if after & failed:
            outcome.state = "later"
        else:
            tell(title, None)
            try:
                ask()
                look()
            except BaseException as error:
                fault = missed(error, path)
                called = getattr(module, "_last", "")
                outcome = Outcome(title, "not ok", fault.expected, fault.came, fault.hint, called)
                failed.add(name)
        outcomes.append(outcome)
        tell(title, outcome)

    def read() -> None:
        nonlocal module
        module = Asked(load(path))

    def asked(check: Callable[[Any], None]) -> None:
        module._last = ""
        check(module)

    attempt(RUNS, read, after=set(), name="")
    for name, parameters in lesson.functions.items():
        attempt(
            f"{name}({parameters}): is there",
            lambda name=name, parameters=parameters: defined(module._module, name, parameters),  # type: ignore[misc]
            after={""},
            name=name,
        )
        for point in (point for point in lesson.points if point.function == name):
            attempt(
                f"{name}: {point.says}",
                lambda point=point: asked(point.check),  # type: ignore[misc]
                after={"", *point.needs},
                name=name,
            )
    return outcomes


def defined(module: Any, name: str, parameters: str) -> None:
    """Raise NotYet unless the module has ``name`` and it can be called so."""
    wanted = f"{name}({parameters})"
    made = getattr(module, name, None)
    if not callable(made):
        near = [own for own in vars(module) if own.lower() == name.lower()]
        came = "a value, not a function" if made is not None else "no such name in your file"
        hint = f"you have {near[0]}: capitals count" if near and made is None else ""
        raise NotYet(f"def {wanted}" if name[0].islower() else f"class {name}", came, hint)
    try:
        inspect.signature(made).bind(*[p for p in parameters.split(", ") if p])
    except TypeError as error:
        came = f"{name}{inspect.signature(made)}"
        raise NotYet(wanted, came, f"calling it so gives: {error}") from None
