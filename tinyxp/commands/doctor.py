"""``tinyxp doctor``: examine a training step of the user's and explain why it does not learn."""

import argparse
from pathlib import Path

import tinyxp as tx
from tinyxp.commands import targets
from tinyxp.errors import ArgumentError

HELP = "why a model does not learn, with the line"
EXAMPLES = (
    "tinyxp doctor mine.py:one_step     # def one_step(): ... return loss, model, optimizer",
    "tinyxp doctor mine.py --graph why.svg     # if the file has one such function",
)


def arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "target", metavar="FILE.py:FUNCTION", help="returns (loss, model), or an optimizer too"
    )
    command.add_argument("--graph", metavar="FILE", help="draw the graph too: .svg, .mmd or .dot")


def run(args: argparse.Namespace) -> int:
    from tinyxp.debug.pictures.picture import expect_ending

    if args.graph:
        expect_ending(args.graph)  # before the work
        if not (folder := Path(args.graph).parent).is_dir():
            raise ArgumentError(f"there is no folder {folder} for --graph {args.graph}; make it")
    step = targets.resolve(args.target, (targets.is_function,), "function without arguments")
    with tx.doctor.watch():
        result = targets.call(step, args.target)
    parts = result if isinstance(result, tuple) else (result,)
    if len(parts) not in (2, 3):
        raise ArgumentError(
            f"{args.target} must return (loss, model) or (loss, model, optimizer), "
            f"got {type(result).__name__}"
        )
    report = tx.doctor(*parts)
    print(report)
    if args.graph:
        tx.graph(parts[0], parts[1]).save(args.graph)
        print(f"picture: {args.graph}")
    return 0 if report.healthy else 1
