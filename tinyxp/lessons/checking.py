"""``tinyxp check``: a student's file, in a process of its own, with a time limit."""

import importlib
import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from tinyxp import backends
from tinyxp.backends.errors import ArgumentError, TinyError
from tinyxp.lessons.points import Lesson, Outcome

LESSONS = tuple(f"lesson{i}" for i in range(1, 8))
LIMIT = 30.0  # seconds for one point
REPORT, TRACE = "report.jsonl", "trace.txt"


@dataclass
class Verdict:
    """What a check found; ``print`` it."""

    title: str
    outcomes: list[Outcome]

    @property
    def passed(self) -> bool:
        return all(outcome.state == "ok" for outcome in self.outcomes)

    def __str__(self) -> str:
        right, n = sum(outcome.state == "ok" for outcome in self.outcomes), len(self.outcomes)
        last = f"{right} of {n} points. "
        last += "Well done!" if self.passed else "Mend the first 'not ok' and check again."
        title = self.title.encode("ascii", "replace").decode()
        return "\n".join([title, *map(str, self.outcomes), last])


def lesson_of(name: str) -> Lesson:
    """The points of ``"lesson3"``."""
    lesson: Lesson = importlib.import_module(f"tinyxp.lessons.{name}").LESSON
    return lesson


def check(lesson: str, file: str | Path, limit: float = LIMIT) -> Verdict:
    """Test a student's file: its values, its gradients, its learning.

    The file runs in a child process without a keyboard, and what it prints is dropped; a point that
    takes longer than ``limit`` seconds is stopped and named with the line that was at work. Raises
    ArgumentError for an unknown lesson or a file that cannot be read.
    """
    if lesson not in LESSONS:
        raise ArgumentError(f"unknown lesson {lesson!r}; choose one of {', '.join(LESSONS)}")
    path = Path(file).resolve()
    if not path.is_file():
        raise ArgumentError(f"there is no file {file}; give the path of your solution")
    if path.suffix != ".py":
        raise ArgumentError(
            f"expected a Python file, got {path.name}; a notebook becomes one by "
            "File > Save as > .py, or jupytext --to py"
        )
    if not limit > 0:
        raise ArgumentError(f"the limit must be above 0 seconds, got {limit}")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        # what the child imports is what is imported here, and nothing of the working folder
        home = str(Path(__file__).parents[2])
        known = [part for part in sys.path if part and Path(part).resolve() != Path.cwd()]
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join([*known, home]),
            "TINY_BACKEND": backends.current().name,
            "OPENBLAS_NUM_THREADS": "1",  # on small matrices more threads only wait
            "OMP_NUM_THREADS": "1",
        }
        command = [sys.executable, "-P", "-m", "tinyxp.lessons.child"]
        ended = subprocess.run(
            [*command, lesson, str(path), made, str(limit)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment,
            check=False,
        )
        outcomes = outcomes_of(folder, path, limit, ended)
    return Verdict(f"{lesson}: {path.name}", outcomes)


def outcomes_of(
    folder: Path, path: Path, limit: float, ended: "subprocess.CompletedProcess[bytes]"
) -> list[Outcome]:
    """What the child wrote down, and what its end means if that came too early."""
    report = folder / REPORT
    if not report.is_file() or not report.stat().st_size:
        raise TinyError(f"the check did not start: {ended.stderr.decode(errors='replace')}")
    lines = [json.loads(line) for line in report.read_text("utf-8").splitlines()]
    outcomes = [Outcome(**line["outcome"]) for line in lines if "outcome" in line]
    if lines and lines[-1] == {"end": True}:
        return outcomes
    title = lines[-1]["begun"]
    trace = (folder / TRACE).read_text("utf-8", errors="replace")
    if trace:
        at = re.search(rf'File "{re.escape(str(path))}", line (\d+)', trace)
        where = f", and was at line {at[1]}" if at else ""
        hint = "an endless loop? a while must come to its end; a Python loop over pixels is slow"
        came = f"it still ran after {limit:g} s{where}"
        outcomes.append(Outcome(title, "not ok", "an end", came, hint))
    else:
        last = ended.stderr.decode(errors="replace").strip().splitlines()[-1:]
        came = f"Python ended with code {ended.returncode}: {''.join(last)}"
        outcomes.append(Outcome(title, "not ok", "an answer", came, "leave out os._exit()"))
    return outcomes


def written(outcome: Outcome) -> str:
    """An outcome as a line of the report."""
    return json.dumps({"outcome": asdict(outcome)})
