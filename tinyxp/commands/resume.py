"""``tinyxp resume``: continue a run from its last checkpoint."""

import argparse

from tinyxp.errors import DataError
from tinyxp.train.run import Run

HELP = "continue a run that was stopped"
EXAMPLES = ("tinyxp resume runs/quick",)
TRAINS = True


def arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("run", metavar="RUN", help="its folder")


def run(args: argparse.Namespace) -> None:
    from tinyxp.models import STORIES, story

    run = Run(args.run, resumed=True)
    name = run.config().get("model")
    if name not in STORIES:
        raise DataError(
            f"tinyxp resumes runs of {', '.join(STORIES)}, and {args.run} is one of {name!r}; "
            f"continue it in your program: Trainer(…, run=Run({str(args.run)!r}, resumed=True))"
        )
    run.rename_setting("graph", "capture")  # its name in earlier versions
    story(name).train(run.settings(story(name).Config), run)
