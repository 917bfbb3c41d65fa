"""The process in which a student's file runs: ``python -m tinyxp.lessons.child``.

Its standard input gives it the known outcomes and a key. Each line of its report is signed with the
key, so that lines which the student's file writes there do not count.
"""

import faulthandler
import json
import sys
from pathlib import Path

from tinyxp.lessons.guard import Guard
from tinyxp.lessons.lesson import Outcome
from tinyxp.lessons.student import examine
from tinyxp.lessons.verdict import REPORT, TRACE, load_lesson, sign


def main(name: str, file: str, folder: str, limit: str) -> None:
    """Examine ``file`` and write a line before and after each point into ``folder``."""
    lesson, job = load_lesson(name), json.loads(sys.stdin.read())
    key, known = job["key"], [Outcome(**outcome) for outcome in job["known"]]
    sys.argv = [file]
    guard = Guard()
    with open(Path(folder, REPORT), "a", encoding="utf-8") as report, \
            open(Path(folder, TRACE), "w", encoding="utf-8") as trace:  # fmt: skip

        def tell(title: str, outcome: Outcome | None) -> None:
            if outcome is None:
                # ends the process even inside compiled code, and writes down the current line
                faulthandler.dump_traceback_later(float(limit), exit=True, file=trace)
                print(sign(key, {"start": title}), file=report, flush=True)
            else:
                faulthandler.cancel_dump_traceback_later()
                print(sign(key, {"outcome": vars(outcome)}), file=report, flush=True)

        guard.close()
        examine(lesson, Path(file), tell, known, guard.look)
        print(sign(key, {"end": True}), file=report, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
