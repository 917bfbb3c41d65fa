"""The command line: ``tinyxp train``, ``resume``, ``generate``, ``summary``, ``info`` …"""

import argparse
import contextlib
import importlib
import sys
import textwrap
from pathlib import Path
from typing import Any

import tinyxp as tx
from tinyxp import backends
from tinyxp.commands import output, targets
from tinyxp.debug.pictures.picture import expect_ending
from tinyxp.errors import (
    ArgumentError,
    DataError,
    MilestoneError,
    TinyError,
)
from tinyxp.models.settings import listed, parsed
from tinyxp.train.interrupts import Stopped
from tinyxp.train.run import Run, RunExists, run_folder
from tinyxp.train.shell import command_line

MILESTONES = ("perceptron", "xor", "mlp", "cnn", "transformer")
STORIES = (*MILESTONES, "finetune")  # what can be trained
SHAPES = (*MILESTONES, "gpt2")  # what a summary knows
LANGUAGE_MODELS = ("transformer", "gpt2", "finetune")
OPTIONS = ("steps", "seed", "text", "precision", "capture", "control", "start")  # of train


def train(args: argparse.Namespace) -> None:
    """Train one milestone; or all, with a table at the end."""
    from tinyxp.models.milestone import table

    chosen = MILESTONES if args.model == "all" else (args.model,)
    if args.set and args.model == "all":
        raise ArgumentError("--set is for one milestone; train that alone, or leave --set out")
    configs = {name: configuration(name, args, alone=len(chosen) == 1) for name in chosen}
    backend = backends.current()
    print(f"{backend.name}{backend.about()}")  # other kernels round otherwise
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
    """The settings of a story, from ``--set`` and from the options that have names of their own.

    Raises ArgumentError for an option that this story would not look at, where it is asked for
    ``alone``, or for a setting that is given in two ways.
    """
    kind = story(name).Config
    given = {key: getattr(args, key) for key in OPTIONS if getattr(args, key) is not None}
    known = {key: value for key, value in given.items() if key in kind.__dataclass_fields__}
    if alone and (ignored := given.keys() - known):
        word = {"control": "--no-control", "start": "--from"}.get(key := min(ignored), f"--{key}")
        having = [s for s in STORIES if key in story(s).Config.__dataclass_fields__]
        *others, last = having
        which = f"{', '.join(others)} and {last}" if others else last
        raise ArgumentError(f"{word} applies to {which} only, not to {name}")
    settings = parsed(kind, args.set)
    if twice := settings.keys() & known:
        raise ArgumentError(f"{min(twice)} is given twice, by --set and by --{min(twice)}")
    return kind(**settings | known)


def resume(args: argparse.Namespace) -> None:
    """Go on with a run where its last checkpoint stands: the story is told again, and everything
    that was trained already is taken from there."""
    run = Run(args.run, resumed=True)
    name = run.config().get("model")
    if name not in STORIES:
        raise DataError(
            f"{args.run} is no run of one of {', '.join(STORIES)}, but of {name!r}; a program of "
            f"your own goes on with it: Trainer(…, run=Run({str(args.run)!r}, resumed=True))"
        )
    run.rename_setting("graph", "capture")  # its name in earlier versions
    story(name).train(run.settings(story(name).Config), run)


def generate(args: argparse.Namespace) -> None:
    from tinyxp.nn.generation import write

    if args.tokens < 0:
        raise ArgumentError(f"--tokens must be 0 or more, got {args.tokens}")
    config = Run(args.run).config()
    name = config.get("model") or config.get("model_type")
    if name not in LANGUAGE_MODELS:
        raise DataError(f"expected one of the models {', '.join(LANGUAGE_MODELS)}, got {name!r}")
    model, tokenizer = story(name).load(args.run)
    options = {"temperature": args.temperature, "top_k": args.top_k, "top_p": args.top_p}
    options["heading"] = f"{args.run} goes on from {args.prompt!r}, {args.tokens} symbols:"
    write(model, tokenizer, args.prompt, args.tokens, seed=args.seed, **options)


def story(name: str) -> Any:
    """The module of ``models/`` that tells of a model."""
    return importlib.import_module(f"tinyxp.models.{name}")


def summary(args: argparse.Namespace) -> None:
    print(tx.nn.summary(*example(args)))


def example(args: argparse.Namespace) -> tuple[Any, ...]:
    """A model that a user names, and what to call it with, if that is known."""
    if args.integers and not args.input:
        raise ArgumentError("--integers says what --input holds; give the shape of an --input too")
    if args.model in SHAPES:
        if args.input:
            raise ArgumentError(f"--input is for a model of yours; {args.model} knows its own")
        module = story(args.model)
        made: tuple[Any, ...] = module.example(module.Config(**parsed(module.Config, args.set)))
        return made
    if args.set:
        raise ArgumentError(f"--set is for the models {', '.join(SHAPES)}, not for {args.model!r}")
    if not args.model.endswith(".py") and ":" not in args.model:
        raise ArgumentError(
            f"expected a model {', '.join(SHAPES)}, or yours as FILE.py:NAME or MODULE:NAME, got "
            f"{args.model!r}"
        )
    kinds = (targets.is_model, targets.makes_a_model, targets.is_function)
    model = targets.found(args.model, kinds, "model, nor a function that makes one")
    if not isinstance(model, tx.nn.Module):
        model = targets.called(model, args.model)
    dtype = tx.int64 if args.integers else tx.float32
    return model, *(tx.zeros(shape, dtype=dtype) for shape in args.input)


def shape(text: str) -> tuple[int, ...]:
    """``"8,1,28,28"`` as a shape."""
    return tuple(int(n) for n in text.split(",") if n.strip())


def doctor(args: argparse.Namespace) -> int:
    """Examine what a user's function returns; 1 if something was found."""
    if args.graph:
        expect_ending(args.graph)  # before the work
        if not (folder := Path(args.graph).parent).is_dir():
            raise ArgumentError(f"there is no folder {folder} for --graph {args.graph}; make it")
    make = targets.found(args.target, (targets.is_function,), "function that takes no arguments")
    with tx.doctor.watch():
        found = targets.called(make, args.target)
    parts = found if isinstance(found, tuple) else (found,)
    if len(parts) not in (2, 3):
        raise ArgumentError(
            f"{args.target} must return (loss, model) or (loss, model, optimizer), "
            f"got {type(found).__name__}"
        )
    report = tx.doctor(*parts)
    print(report)
    if args.graph:
        tx.graph(parts[0], parts[1]).save(args.graph)
        print(f"picture: {args.graph}")
    return 0 if report.healthy else 1


def check(args: argparse.Namespace) -> int:
    """Test a student's solution of a lesson in docs/lessons; 1 if it misses a point."""
    from tinyxp import lessons

    limit = lessons.LIMIT if args.limit is None else args.limit
    verdict = lessons.check(args.lesson, args.file, limit)
    print(verdict)
    return 0 if verdict.passed else 1


def bench(args: argparse.Namespace) -> int:
    from tinyxp.bench.cli import run

    return run(args)


def selftest(args: argparse.Namespace) -> int:
    """Prove on this machine what tinyxp promises about faults; 1 if a check fails."""
    from tinyxp import selftest

    outcomes = selftest.run(args.check, args.tries)
    print(selftest.table(outcomes))
    return 1 if any(outcome.failures for outcome in outcomes) else 0


def info(args: argparse.Namespace) -> None:
    from tinyxp.train.machine import machine

    for line in machine():
        print(line)


def of_train() -> str:
    """What --set takes, for each model, and examples."""
    lines = ["what --set takes, with its defaults:"]
    for name in STORIES:
        lines += textwrap.wrap(
            f"  {name}: {listed(story(name).Config)}", 79, subsequent_indent="    "
        )
    examples = output.told(
        "tinyxp train transformer --steps 200 --name quick",
        "tinyxp train transformer --text novel.txt --set n_layer=6 --no-control",
        "tinyxp train mlp --set hidden=64 --seed 3",
        "tinyxp train finetune --from FOLDER --text novel.txt     # a GPT-2",
    )
    return "\n".join([*lines, "", examples()])


def build() -> argparse.ArgumentParser:
    from tinyxp.selftest import CHECKS

    parser = output.Help(prog="tinyxp", description="deep learning on the Python Array API")
    parser.add_argument("--version", action="version", version=f"tinyxp {tx.__version__}")
    commands = parser.add_subparsers(dest="command", required=True)

    command = commands.add_parser("train", help="train a milestone's model")
    command.examples = of_train
    command.add_argument("model", choices=[*STORIES, "all"])
    command.add_argument(
        "--text", metavar="FILE", help="text for a language model, UTF-8 (default: Shakespeare)"
    )
    command.add_argument(
        "--precision", choices=["bfloat16", "float16"],
        help="of a language model's products (default: float32)",
    )  # fmt: skip
    command.add_argument("--steps", type=int, help="training steps (default: the model's, below)")
    command.add_argument(
        "--seed", type=int, help="seed of weights and batches (default: the model's, below)"
    )
    command.add_argument(
        "--name", help="name of the run's folder under runs/ (default: MODEL-DATE-TIME)"
    )
    command.add_argument(
        "--capture", action="store_true", default=None, help="replay captured steps (transformer)"
    )
    command.add_argument(
        "--no-control", dest="control", action="store_false", default=None,
        help="train the model alone, without the control beside it (mlp, cnn, transformer)",
    )  # fmt: skip
    command.add_argument(
        "--from", dest="start", metavar="FOLDER", help="the GPT-2 checkpoint (finetune)"
    )
    command.add_argument("--set", action="append", default=[], metavar="NAME=VALUE",
                         help="any setting, as --set n_layer=6; may be repeated")  # fmt: skip
    command.set_defaults(run_command=train)

    command = commands.add_parser("resume", help="go on with a run that was stopped")
    command.examples = output.told("tinyxp resume runs/quick")
    command.add_argument("run", metavar="RUN", help="its folder")
    command.set_defaults(run_command=resume)

    command = commands.add_parser("generate", help="continue a text with a trained model")
    command.examples = output.told(
        "tinyxp generate runs/quick --prompt 'ROMEO:' --tokens 200",
        "tinyxp generate runs/quick --temperature 0     # the likeliest symbol each time",
    )
    command.add_argument("run", metavar="RUN", help="a run's folder, or a GPT-2 checkpoint's")
    command.add_argument(
        "--prompt", default="\n", help="the text to continue (default: an empty line)"
    )
    command.add_argument("--tokens", type=int, default=500, help="how many symbols (default: 500)")
    command.add_argument(
        "--temperature", type=float, default=0.8, help="0 takes the likeliest (default: 0.8)"
    )
    command.add_argument("--top-k", type=int, help="draw from the k likeliest only (default: all)")
    command.add_argument(
        "--top-p", type=float, help="draw from the likeliest that add up to p (default: 1)"
    )
    command.add_argument("--seed", type=int, help="seed of the draws (default: another each time)")
    command.set_defaults(run_command=generate)

    command = commands.add_parser("summary", help="a table of a model's modules and parameters")
    command.examples = output.told(
        "tinyxp summary cnn --set channels=8",
        "tinyxp summary mine.py:Net --input 8,1,28,28",
        "tinyxp summary mine.py     # where the file has one model",
    )
    command.add_argument(
        "model", metavar="MODEL",
        help=f"{', '.join(SHAPES)}; or yours: FILE.py:NAME, FILE.py or MODULE:NAME",
    )  # fmt: skip
    command.add_argument("--set", action="append", default=[], metavar="NAME=VALUE",
                         help="any setting, as --set n_layer=6; may be repeated")  # fmt: skip
    command.add_argument("--input", action="append", default=[], type=shape, metavar="SHAPE",
                         help="shape of an input of your model, as 8,1,28,28")  # fmt: skip
    command.add_argument("--integers", action="store_true", help="inputs are integers (indices)")
    command.set_defaults(run_command=summary)

    command = commands.add_parser("doctor", help="why a model does not learn, with the line")
    command.examples = output.told(
        "tinyxp doctor mine.py:one_step     # def one_step(): ... return loss, model, optimizer",
        "tinyxp doctor mine.py --graph why.svg     # where the file has one such function",
    )
    command.add_argument(
        "target", metavar="FILE.py:FUNCTION", help="returns (loss, model), or an optimizer too"
    )
    command.add_argument("--graph", metavar="FILE", help="draw the graph too: .svg, .mmd or .dot")
    command.set_defaults(run_command=doctor)

    command = commands.add_parser("check", help="test your solution of a lesson (docs/lessons)")
    command.examples = output.told("tinyxp check lesson1 my_tensors.py")
    command.add_argument("lesson", metavar="LESSON", help="lesson1 to lesson7")
    command.add_argument("file", metavar="FILE", help="your .py file")
    command.add_argument("--limit", type=float, help="seconds for one point (default: 30)")
    command.set_defaults(run_command=check)

    command = commands.add_parser("bench", help="time training steps beside other libraries")
    command.examples = output.told(
        "tinyxp bench --workload W3,W4 --rounds 5",
        "tinyxp bench --peers none --backends numpy,torch --json mine.json",
    )
    from tinyxp.bench.cli import add_arguments

    add_arguments(command)
    command.set_defaults(run_command=bench)

    command = commands.add_parser("selftest", help="prove that nothing is lost, on this machine")
    command.examples = output.told("tinyxp selftest", "tinyxp selftest kill fuzz --tries 5")
    command.add_argument("check", nargs="*", metavar="CHECK",
                         help=f"{', '.join(CHECKS)}, or all (default: all)")  # fmt: skip
    usual = ", ".join(f"{tries} of {name}" for name, tries in CHECKS.items())
    command.add_argument("--tries", type=int, help=f"how often (default: {usual})")
    command.set_defaults(run_command=selftest)

    command = commands.add_parser("info", help="what this machine offers")
    command.examples = output.told("tinyxp info")
    command.set_defaults(run_command=info)

    for command in commands.choices.values():
        command.add_argument(
            "--backend", help="numpy, cupy, torch or strict (default: TINY_BACKEND, or numpy)"
        )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run a command: 0 if it went well, 1 if what it tests failed, 2 after one line that says what
    was wrong; 128 and the signal's number if it was stopped, or its reader left."""
    output.prepare()
    try:
        try:
            return obey(argv)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # as in: tinyxp info | head -1
        output.silence(sys.stdout)
        return output.BROKEN
    except OSError as error:
        output.silence(sys.stdout)
        print(
            f"tinyxp: {error.filename or 'cannot write the output'}: {error.strerror or error}",
            file=sys.stderr,
        )
        return 2


def obey(argv: list[str] | None) -> int:
    args = build().parse_args(argv)
    lasting = args.command in ("train", "resume")
    Run.begun = None
    try:
        if args.backend:
            tx.use_backend(args.backend)
        with output.surviving() if lasting else contextlib.nullcontext():
            return args.run_command(args) or 0
    except MilestoneError as error:
        print(f"tinyxp: {error}", file=sys.stderr)
        return 1
    except Stopped as error:
        again = command_line("resume", error.folder)
        print(f"\ntinyxp: {error.said}; continue with: {again}", file=sys.stderr)
        return 128 + error.signal
    except RunExists as error:
        again = command_line("resume", error.folder)
        print(f"tinyxp: {error.said}: {again}", file=sys.stderr)
        return 2
    except TinyError as error:
        print(f"tinyxp: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:  # also while a model that was trained is tested, and writes
        hint = ""
        if lasting and Run.begun is not None:
            hint = f"; continue with: {command_line('resume', Run.begun.folder)}"
        print(f"\ntinyxp: stopped{hint}", file=sys.stderr)
        return 130
