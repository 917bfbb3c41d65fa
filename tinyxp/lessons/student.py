"""A student's file: load it, check its points, and explain its errors with their lines."""

import functools
import inspect
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from tinyxp.core.tensor import Tensor
from tinyxp.lessons.comparison import describe, format_array
from tinyxp.lessons.lesson import Lesson, NotYet, Outcome, Point

MODULE = "student"
RUNS = "the file runs"
SMALL = 12  # an argument with at most so many numbers is shown in full
MESSAGE_LENGTH = 400  # a longer message is cut off
HINTS = {
    SystemExit: "move the code that ends the program under if __name__ == '__main__':",
    EOFError: "input() waits for a keyboard, and the check has none",
    ModuleNotFoundError: "the file may use tinyxp, NumPy and Python's standard library",
    IndentationError: "indent by four spaces, and do not mix them with tabs",
    SyntaxError: "look at this line and the one above: is a bracket, colon or quote missing?",
    RecursionError: "a function calls itself without end",
    KeyboardInterrupt: "nobody pressed Ctrl-C; the code raises this itself, so remove that",
}


class Student:
    """A student's module, whose functions remember their last call."""

    def __init__(self, path: Path) -> None:
        self._module: Any = None
        self._path, self._last = path, ""

    def _load(self) -> None:
        """Run the file; code under ``if __name__ == "__main__"`` does not run."""
        spec = spec_from_file_location(MODULE, self._path)
        assert spec is not None and spec.loader is not None, "the caller checked for a .py file"
        module = module_from_spec(spec)
        sys.path.insert(0, str(self._path.parent))  # for its imports, as python FILE.py does
        sys.modules[MODULE] = module  # where dataclasses look
        spec.loader.exec_module(module)
        self._module = module

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._module, name)
        if not inspect.isfunction(value):
            return value

        @functools.wraps(value)
        def call(*args: Any, **options: Any) -> Any:
            inputs = [*map(_input, args), *(f"{k}={_input(v)}" for k, v in options.items())]
            self._last = f"{name}({', '.join(inputs)})"
            return value(*args, **options)

        return call


def _input(value: Any) -> str:
    """An argument in a few words; a small one with all its numbers."""
    if isinstance(value, Tensor) and value.size <= SMALL:
        return format_array(value.detach().numpy())
    return describe(value)


def require_function(name: str, parameters: str, student: Student) -> None:
    """Raise NotYet unless the student's file has ``name`` and takes these parameters."""
    value = getattr(student._module, name, None)
    if not callable(value):
        similar = [own for own in vars(student._module) if own.lower() == name.lower()]
        got = "a value, not a function" if value is not None else "no such name in your file"
        hint = f"you have {similar[0]}: capitals count" if similar and value is None else ""
        raise NotYet(f"def {name}({parameters})" if name[0].islower() else f"class {name}",
                     got, hint)  # fmt: skip
    try:
        inspect.signature(value).bind(*[p for p in parameters.split(", ") if p])
    except TypeError as error:
        got = f"{name}{inspect.signature(value)}"
        raise NotYet(f"{name}({parameters})", got, f"such a call gives: {error}") from None


def all_points(lesson: Lesson) -> list[Point]:
    """The points in the order of the report: the file runs; each function is there and right."""
    points = [Point(RUNS, "", Student._load, frozenset())]
    for name, parameters in lesson.functions.items():
        there = functools.partial(require_function, name, parameters)
        points.append(Point(f"{name}({parameters}): is there", name, there, frozenset({""})))
        points += [point for point in lesson.points if point.function == name]
    return points


def examine(
    lesson: Lesson,
    path: Path,
    tell: Callable[[str, Outcome | None], None] = lambda *_: None,
    known: Sequence[Outcome] = (),
    look: Callable[[], None] = lambda: None,
) -> list[Outcome]:
    """The outcomes of all points, in order; ``known`` ones are not checked again.

    ``tell`` is called before and after each check. ``look`` is called at the end of each, and may
    raise NotYet.
    """
    before = {outcome.title: outcome for outcome in known if outcome.title != RUNS}
    outcomes: list[Outcome] = []
    failed: set[str] = set()
    student = Student(path)
    for point in all_points(lesson):
        outcome = before.get(point.title, Outcome(point.title))
        if point.title not in before:
            if point.needs & failed:
                outcome.state = "later"
            else:
                tell(point.title, None)
                student._last = ""
                try:
                    point.check(student)
                    look()
                except BaseException as error:
                    fault = explain(error, path)
                    outcome = Outcome(point.title, "not ok", fault.expected, fault.got, fault.hint)
                    outcome.called = student._last
            tell(point.title, outcome)
        if outcome.state == "not ok":
            failed.add(point.function)
        outcomes.append(outcome)
    return outcomes


def explain(error: BaseException, path: Path) -> NotYet:
    """What an exception of the student's code means."""
    if isinstance(error, NotYet):
        return error
    hint = next((hint for kind, hint in HINTS.items() if isinstance(error, kind)), "")
    if isinstance(error, SyntaxError):
        return NotYet("Python code", f"{type(error).__name__}: {error.msg}, line {error.lineno}: "
                      f"{(error.text or '').strip()}", hint)  # fmt: skip
    lines = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
    where = f" (line {lines[-1].lineno}: {lines[-1].line})" if lines else ""
    text = str(error)
    text = text if len(text) <= MESSAGE_LENGTH else f"{text[:MESSAGE_LENGTH]} ..."
    return NotYet("no error", f"{type(error).__name__}: {text}{where}", hint)
