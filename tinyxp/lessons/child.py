"""The process in which a student's file runs: ``python -m tinyxp.lessons.child``.

It is told by standard input what is known already, and a key: each line of its report is signed, so
that a line which somebody else writes there counts for nothing.
"""

import faulthandler
import json
import sys
from pathlib import Path

from tinyxp.lessons.checking import REPORT, TRACE, lesson_of, signed
from tinyxp.lessons.guard import Guard
from tinyxp.lessons.points import Outcome
from tinyxp.lessons.student import examine


def main(name: str, file: str, folder: str, limit: str) -> None:
    """Examine ``file`` and write a line before and after each point into ``folder``."""
    lesson, told = lesson_of(name), json.loads(sys.stdin.read())
    key, known = told["key"], [Outcome(**outcome) for outcome in told["known"]]
    sys.argv = [file]
    guard = Guard()
    with open(Path(folder, REPORT), "a", encoding="utf-8") as report, \
            open(Path(folder, TRACE), "w", encoding="utf-8") as trace:  # fmt: skip

        def tell(title: str, outcome: Outcome | None) -> None:
            if outcome is None:
                # it ends the process, whatever that is busy with, and leaves the line behind
                faulthandler.dump_traceback_later(float(limit), exit=True, file=trace)
                print(signed(key, {"begun": title}), file=report, flush=True)
            else:
                faulthandler.cancel_dump_traceback_later()
                print(signed(key, {"outcome": vars(outcome)}), file=report, flush=True)

        guard.close()
        examine(lesson, Path(file), tell, known, guard.look)
        print(signed(key, {"end": True}), file=report, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
