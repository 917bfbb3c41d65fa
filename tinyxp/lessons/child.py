"""The process in which a student's file runs: ``python -m tinyxp.lessons.child``."""

import faulthandler
import json
import sys
from pathlib import Path

from tinyxp.lessons.checking import REPORT, TRACE, lesson_of, written
from tinyxp.lessons.points import Outcome
from tinyxp.lessons.student import examine


def main(name: str, file: str, folder: str, limit: str) -> None:
    """Examine ``file`` and write a line before and after each point into ``folder``."""
    lesson = lesson_of(name)
    with open(Path(folder, REPORT), "w", encoding="utf-8") as report, \
            open(Path(folder, TRACE), "w", encoding="utf-8") as trace:  # fmt: skip

        def tell(title: str, outcome: Outcome | None) -> None:
            if outcome is None:
                # it ends the process, whatever that is busy with, and leaves the line behind
                faulthandler.dump_traceback_later(float(limit), exit=True, file=trace)
                print(json.dumps({"begun": title}), file=report, flush=True)
            else:
                faulthandler.cancel_dump_traceback_later()
                print(written(outcome), file=report, flush=True)

        examine(lesson, Path(file), tell)
        print(json.dumps({"end": True}), file=report, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
