"""``tinyxp bench``: time training steps of tinyxp and of other libraries."""

import argparse

HELP = "time training steps beside other libraries"
EXAMPLES = (
    "tinyxp bench --workload W3,W4 --rounds 5",
    "tinyxp bench --peers none --backends numpy,torch --json mine.json",
)


def arguments(command: argparse.ArgumentParser) -> None:
    from tinyxp.bench.cli import add_arguments

    add_arguments(command)


def run(args: argparse.Namespace) -> int:
    from tinyxp.bench.cli import run

    return run(args)
