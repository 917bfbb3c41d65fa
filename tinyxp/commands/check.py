"""``tinyxp check``: test a student's solution of a lesson."""

import argparse

HELP = "test your solution of a lesson (docs/lessons)"
EXAMPLES = ("tinyxp check lesson1 my_tensors.py",)


def arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("lesson", metavar="LESSON", help="lesson1 to lesson7")
    command.add_argument("file", metavar="FILE", help="your .py file")
    command.add_argument("--limit", type=float, help="seconds for one point (default: 30)")


def run(args: argparse.Namespace) -> int:
    from tinyxp import lessons

    limit = lessons.LIMIT if args.limit is None else args.limit
    verdict = lessons.check(args.lesson, args.file, limit)
    print(verdict)
    return 0 if verdict.passed else 1
