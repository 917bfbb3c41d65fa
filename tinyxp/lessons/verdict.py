"""``tinyxp check``: run a student's file in a child process with a time limit."""

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
from tinyxp.lessons.lesson import Lesson, Outcome
from tinyxp.lessons.student import all_points

LESSONS = tuple(f"lesson{i}" for i in range(1, 8))
LIMIT = 30.0  # seconds for one point
REPORT, TRACE = "report.jsonl", "trace.txt"
PRINTED_LINES = 12  # how much of the file's own output is shown


@dataclass
class Verdict:
    """The outcomes of a check; ``print`` it."""

    title: str
    outcomes: list[Outcome]
    printed: str = ""  # by the student's file

    @property
    def passed(self) -> bool:
        return all(outcome.state == "ok" for outcome in self.outcomes)

    def __str__(self) -> str:
        right = sum(outcome.state == "ok" for outcome in self.outcomes)
        advice = "Well done!" if self.passed else "Fix the first 'not ok' and check again."
        output = self.printed.splitlines()
        lines = [f"  | {line[:76]}" for line in output[:PRINTED_LINES]]
        if len(output) > PRINTED_LINES:
            lines.append(f"  | ... and {len(output) - PRINTED_LINES} more lines")
        if lines:
            lines.insert(0, "your file printed:")
        last = f"{right} of {len(self.outcomes)} points. {advice}"
        text = "\n".join([self.title, *map(str, self.outcomes), *lines, last])
        return text.encode("ascii", "replace").decode()  # prints in any code page


def load_lesson(name: str) -> Lesson:
    """The points of ``"lesson3"``."""
    lesson: Lesson = importlib.import_module(f"tinyxp.lessons.{name}").LESSON
    return lesson


def check(lesson: str, file: str | Path, limit: float = LIMIT) -> Verdict:
    """Test the values, the gradients and the training of a student's file.

    The file runs in a child process without a keyboard. If a point takes longer than ``limit``
    seconds or ends the process, its outcome names the line that was running, and another process
    checks the points that do not depend on it. Raises ArgumentError for an unknown lesson, a bad
    limit or a file that cannot be read.
    """
    if lesson not in LESSONS:
        raise ArgumentError(f"unknown lesson {lesson!r}; choose one of {', '.join(LESSONS)}")
    path = Path(file).resolve()
    if not path.is_file():
        raise ArgumentError(f"there is no file {file}; give the path of your solution")
    if path.suffix != ".py":
        raise ArgumentError(
            f"expected a Python file, got {path.name}; convert a notebook with "
            "File > Save as > .py, or jupytext --to py"
        )
    if not 0 < limit <= 24 * 3600:
        raise ArgumentError(f"limit must be above 0 seconds and at most a day, got {limit}")
    outcomes: list[Outcome] = []
    printed, done = "", False
    while not done:
        new, done, output = run_child(lesson, path, limit, outcomes)
        printed = printed or output
        known = {outcome.title for outcome in outcomes}
        outcomes += [outcome for outcome in new if outcome.title not in known]
        done = done or outcomes[0].state != "ok"
    order = [point.title for point in all_points(load_lesson(lesson))]
    outcomes.sort(key=lambda outcome: order.index(outcome.title))
    return Verdict(f"{lesson}: {path.name}", outcomes, printed)


def run_child(
    lesson: str, path: Path, limit: float, known: list[Outcome]
) -> tuple[list[Outcome], bool, str]:
    """Run one process. Return its outcomes besides the ``known`` ones, whether it checked all
    points, and what the student's file printed."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        # the child imports the same modules as this process, and none from the working folder
        modules = [p for p in sys.path if p and Path(p).resolve() != Path.cwd()]
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join([*modules, str(Path(__file__).parents[2])]),
            "PYTHONIOENCODING": "utf-8",
            "TINY_BACKEND": backends.current().name,
            "OPENBLAS_NUM_THREADS": "1",  # on small matrices more threads only wait
            "OMP_NUM_THREADS": "1",
        }
        key = secrets.token_hex()
        with open(folder / "printed.txt", "wb") as printed:
            child = subprocess.run(
                [sys.executable, "-P", "-m", "tinyxp.lessons.child"]
                + [lesson, str(path), temporary, str(limit)],
                input=json.dumps({"key": key, "known": [vars(o) for o in known]}).encode(),
                stdout=printed,
                stderr=subprocess.PIPE,
                env=environment,
                check=False,
            )
        output = (folder / "printed.txt").read_text("utf-8", errors="replace")
        return *read_report(folder, path, limit, child, key), output


def read_report(
    folder: Path, path: Path, limit: float, child: "subprocess.CompletedProcess[bytes]", key: str
) -> tuple[list[Outcome], bool]:
    """The child's outcomes, one for an early end included, and whether it checked all points."""
    report = folder / REPORT
    text = report.read_text("utf-8", errors="replace") if report.is_file() else ""
    lines = [line for line in (verify(key, line) for line in text.splitlines()) if line]
    if not lines:
        raise TinyError(f"the check did not start: {child.stderr.decode(errors='replace')}")
    outcomes = [Outcome(**line["outcome"]) for line in lines if "outcome" in line]
    if lines[-1] == {"end": True}:
        return outcomes, True
    title = next(line["start"] for line in reversed(lines) if "start" in line)
    trace = (folder / TRACE).read_text("utf-8", errors="replace")
    if trace:
        line = re.search(rf'File "{re.escape(str(path))}", line (\d+)', trace)
        got = f"it was still running after {limit:g} s" + (f", at line {line[1]}" if line else "")
        hint = "is there an endless loop? A while loop must end; a Python loop over pixels is slow"
    elif child.returncode >= 0:
        got = f"the program ended there, with exit code {child.returncode}"
        hint = "os._exit() ends Python, and the check with it, at once: remove it"
    else:
        got = f"a signal ended the program: {signal.strsignal(-child.returncode)}"
        hint = "did a list or a recursion use all memory, or does the code call os.kill()?"
    return [*outcomes, Outcome(title, "not ok", "a result", got, hint)], False


def sign(key: str, line: dict[str, Any]) -> str:
    """A line of the report with a signature that needs the key."""
    text = json.dumps(line)
    return f"{_signature(key, text)} {text}"


def verify(key: str, line: str) -> dict[str, Any] | None:
    """The content of a signed line, or None if the signature is wrong."""
    signature, _, text = line.partition(" ")
    if not hmac.compare_digest(signature.encode(), _signature(key, text).encode()):
        return None
    content: dict[str, Any] = json.loads(text)
    return content


def _signature(key: str, text: str) -> str:
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()
