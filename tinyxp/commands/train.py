"""``tinyxp train``: train a milestone's model, or all of them with a table at the end."""

import argparse
import textwrap
from typing import Any

from tinyxp import backends
from tinyxp.errors import ArgumentError, MilestoneError, TinyError
from tinyxp.train.run import Run, run_folder

HELP = "train a milestone's model"
EXAMPLES = (
    "tinyxp train transformer --steps 200 --name quick",
    "tinyxp train transformer --text novel.txt --set n_layer=6 --no-control",
    "tinyxp train mlp --set hidden=64 --seed 3",
    "tinyxp train finetune --from FOLDER --text novel.txt     # a GPT-2",
)
TRAINS = True  # its run survives a lost output, and can be resumed
SETTINGS = ("steps", "seed", "text", "precision", "capture", "control", "start")  # with options


def arguments(command: argparse.ArgumentParser) -> None:
    from tinyxp.models import STORIES
    from tinyxp.models.settings import add_set_option

    add = command.add_argument
    add("model", choices=[*STORIES, "all"])
    add("--text", metavar="FILE", help="text for a language model, UTF-8 (default: Shakespeare)")
    products = "of a language model's products (default: float32)"
    add("--precision", choices=["bfloat16", "float16"], help=products)
    add("--steps", type=int, help="training steps (default: the model's, below)")
    add("--seed", type=int, help="seed of weights and batches (default: the model's, below)")
    add("--name", help="name of the run's folder under runs/ (default: MODEL-DATE-TIME)")
    replays = "replay captured steps (transformer, finetune)"
    add("--capture", action="store_true", default=None, help=replays)
    alone = "train the model alone, without the control beside it (mlp, cnn, transformer)"
    add("--no-control", dest="control", action="store_false", default=None, help=alone)
    add("--from", dest="start", metavar="FOLDER", help="the GPT-2 checkpoint (finetune)")
    add_set_option(command)


def details() -> list[str]:
    """The settings of all models, for the help."""
    from tinyxp.models import STORIES, story
    from tinyxp.models.settings import defaults

    lines = ["what --set takes, with its defaults:"]
    for name in STORIES:
        settings = f"  {name}: {defaults(story(name).Config)}"
        lines += textwrap.wrap(settings, 79, subsequent_indent="    ")
    return [*lines, ""]


def run(args: argparse.Namespace) -> None:
    from tinyxp.models import MILESTONES, story
    from tinyxp.models.milestone import table

    chosen = MILESTONES if args.model == "all" else (args.model,)
    if args.set and args.model == "all":
        raise ArgumentError("--set is for one milestone; train that alone, or leave --set out")
    configs = {name: configuration(name, args, alone=len(chosen) == 1) for name in chosen}
    backend = backends.current()
    print(f"{backend.name}{backend.about()}")  # other kernels round differently
    results: list[Any] = []
    for name, config in configs.items():
        folder = None
        if args.name is not None:
            folder = run_folder(args.name if len(chosen) == 1 else f"{args.name}-{name}")
        Run.begun = None
        try:
            results.append(story(name).train(config, folder))
        except MilestoneError as error:
            if len(chosen) == 1:
                raise
            results.append(str(error))
        except TinyError:
            if Run.begun is not None:
                Run.begun.remove_unused()
            raise
    if len(chosen) > 1:
        print(f"\n{table(results)}")
        failed = [result for result in results if isinstance(result, str)]
        if failed:
            raise MilestoneError(f"{len(failed)} of {len(chosen)} milestones failed")


def configuration(name: str, args: argparse.Namespace, *, alone: bool) -> Any:
    """The settings of a model from ``--set`` and from the options that have names of their own.

    Raises ArgumentError for a setting given in two ways, and, if the model is trained ``alone``,
    for an option that it does not have.
    """
    from tinyxp.models import STORIES, story
    from tinyxp.models.settings import parse

    kind = story(name).Config
    given = {key: getattr(args, key) for key in SETTINGS if getattr(args, key) is not None}
    known = {key: value for key, value in given.items() if key in kind.__dataclass_fields__}
    if alone and (ignored := given.keys() - known):
        key = min(ignored)
        option = {"control": "--no-control", "start": "--from"}.get(key, f"--{key}")
        *others, last = [s for s in STORIES if key in story(s).Config.__dataclass_fields__]
        which = f"{', '.join(others)} and {last}" if others else last
        raise ArgumentError(f"{option} applies to {which} only, not to {name}")
    settings = parse(kind, args.set)
    if twice := settings.keys() & known:
        raise ArgumentError(f"{min(twice)} is given twice, by --set and by --{min(twice)}")
    return kind(**settings | known)
