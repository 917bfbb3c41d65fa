"""``tinyxp check``: a student's file, in a process of its own, with a time limit."""

import hashlib
import hmac
import importlib
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyxp import backends
from tinyxp.errors import ArgumentError, TinyError
from tinyxp.lessons.points import Lesson, Outcome
from tinyxp.lessons.student import titles

LESSONS = tuple(f"lesson{i}" for i in range(1, 8))
LIMIT = 30.0  # seconds for one point
DAY = 86_400.0
REPORT, TRACE = "report.jsonl", "trace.txt"
PRINTED = 12  # lines of what a file prints that are shown


@dataclass
class Verdict:
    """What a check found; ``print`` it."""

    title: str
    outcomes: list[Outcome]
    printed: str = ""  # by the student's file

    @property
    def passed(self) -> bool:
        return all(outcome.state == "ok" for outcome in self.outcomes)

    def __str__(self) -> str:
        right, n = sum(outcome.state == "ok" for outcome in self.outcomes), len(self.outcomes)
        last = f"{right} of {n} points. "
        last += "Well done!" if self.passed else "Mend the first 'not ok' and check again."
        title = self.title.encode("ascii", "replace").decode()
        said = self.printed.encode("ascii", "replace").decode().splitlines()
        lines = [f"  | {line[:76]}" for line in said[:PRINTED]]
        if len(said) > PRINTED:
            lines.append(f"  | ... and {len(said) - PRINTED} lines more")
        shown = ["your file printed:", *lines] if lines else []
        return "\n".join([title, *map(str, self.outcomes), *shown, last])


def lesson_of(name: str) -> Lesson:
    """The points of ``"lesson3"``."""
    lesson: Lesson = importlib.import_module(f"tinyxp.lessons.{name}").LESSON
    return lesson


def check(lesson: str, file: str | Path, limit: float = LIMIT) -> Verdict:
    """Test a student's file: its values, its gradients, its learning.

    The file runs in a child process without a keyboard. A point that takes longer than ``limit``
    seconds, or ends the process, is named with the line that was at work; another process looks at
    what does not depend on it. Raises ArgumentError for an unknown lesson or a file that cannot be
    read.
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
    if not 0 < limit <= DAY:
        raise ArgumentError(f"the limit must be above 0 seconds, and a day at most, got {limit}")
    outcomes: list[Outcome] = []
    printed = ""
    while True:
        found, over, said = once(lesson, path, limit, outcomes)
        printed = printed or said
        known = {outcome.title for outcome in outcomes}
        outcomes += [outcome for outcome in found if outcome.title not in known]
        if over or outcomes[0].state != "ok":
            break
    order = titles(lesson_of(lesson))
    outcomes.sort(key=lambda outcome: order.index(outcome.title))
    return Verdict(f"{lesson}: {path.name}", outcomes, printed)


def once(
    lesson: str, path: Path, limit: float, known: list[Outcome]
) -> tuple[list[Outcome], bool, str]:
    """One process: what it found out beside what is ``known``, whether it came to its end, and
    what the student's file printed."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        # what the child imports is what is imported here, and nothing of the working folder
        home = str(Path(__file__).parents[2])
        path_of_modules = [p for p in sys.path if p and Path(p).resolve() != Path.cwd()]
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join([*path_of_modules, home]),
            "PYTHONIOENCODING": "utf-8",
            "TINY_BACKEND": backends.current().name,
            "OPENBLAS_NUM_THREADS": "1",  # on small matrices more threads only wait
            "OMP_NUM_THREADS": "1",
        }
        command = [sys.executable, "-P", "-m", "tinyxp.lessons.child"]
        key = secrets.token_hex()
        told = {"key": key, "known": [vars(outcome) for outcome in known]}
        with open(folder / "printed.txt", "wb") as printed:
            ended = subprocess.run(
                [*command, lesson, str(path), made, str(limit)],
                input=json.dumps(told).encode(),
                stdout=printed,
                stderr=subprocess.PIPE,
                env=environment,
                check=False,
            )
        outcomes, over = outcomes_of(folder, path, limit, ended, key)
        said = (folder / "printed.txt").read_text("utf-8", errors="replace")
    return outcomes, over, said


def outcomes_of(
    folder: Path, path: Path, limit: float, ended: "subprocess.CompletedProcess[bytes]", key: str
) -> tuple[list[Outcome], bool]:
    """What the child wrote down, and what its end means if that came too early."""
    report = folder / REPORT
    text = report.read_text("utf-8", errors="replace") if report.is_file() else ""
    lines = [line for line in (signed_by(key, line) for line in text.splitlines()) if line]
    if not lines:
        raise TinyError(f"the check did not start: {ended.stderr.decode(errors='replace')}")
    outcomes = [Outcome(**line["outcome"]) for line in lines if "outcome" in line]
    if lines[-1] == {"end": True}:
        return outcomes, True
    title = next(line["begun"] for line in reversed(lines) if "begun" in line)
    trace = (folder / TRACE).read_text("utf-8", errors="replace")
    if trace:
        at = re.search(rf'File "{re.escape(str(path))}", line (\d+)', trace)
        where = f", and was at line {at[1]}" if at else ""
        hint = "an endless loop? a while must come to its end; a Python loop over pixels is slow"
        came = f"it still ran after {limit:g} s{where}"
        outcomes.append(Outcome(title, "not ok", "an end", came, hint))
    else:
        came, hint = end_of(ended.returncode)
        outcomes.append(Outcome(title, "not ok", "an answer", came, hint))
    return outcomes, False


def end_of(code: int) -> tuple[str, str]:
    """What the end of a process says, and what usually is behind it."""
    if code >= 0:
        came = f"the program ended there, with code {code}"
        return came, "os._exit() ends Python at once, and the check with it: leave it out"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    if name == "SIGKILL":
        return f"it was ended from outside ({name})", "did it take all memory? try smaller arrays"
    return f"Python crashed ({name})", "a list or a recursion without an end, or os.kill()?"


def signed(key: str, line: dict[str, Any]) -> str:
    """A line of the report that only who knows the key can write."""
    text = json.dumps(line)
    return f"{_seal(key, text)} {text}"


def signed_by(key: str, line: str) -> dict[str, Any] | None:
    """What a signed line says, or None for another's."""
    seal, _, text = line.partition(" ")
    if not hmac.compare_digest(seal.encode(), _seal(key, text).encode()):
        return None
    found: dict[str, Any] = json.loads(text)
    return found


def _seal(key: str, text: str) -> str:
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()
