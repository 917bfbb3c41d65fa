"""The command line: ``tinyxp train``, ``resume``, ``generate``, ``summary``, ``info`` …"""

import argparse
import importlib.util
import platform
import sys
import typing
from pathlib import Path
from typing import Any

import tinyxp as tx
from tinyxp import backends
from tinyxp.backends import cuda_setup
from tinyxp.backends.errors import (
    ArgumentError,
    BackendError,
    DataError,
    MilestoneError,
    TinyError,
)
from tinyxp.interrupts import Stopped

MILESTONES = ("perceptron", "xor", "mlp", "cnn", "transformer")
LANGUAGE_MODELS = ("transformer", "gpt2")


def parse_settings(kind: type[Any], settings: list[str]) -> dict[str, Any]:
    """``["n_layer=6"]`` as values for the dataclass ``kind``; ArgumentError names the fault."""
    types = typing.get_type_hints(kind)
    found = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or name not in types:
            raise ArgumentError(
                f"unknown setting {setting!r}; --set takes {', '.join(types)}, as n=1"
            )
        options = [kind for kind in typing.get_args(types[name]) if kind is not type(None)]
        wanted = options[0] if options else types[name]  # int, of int | None
        try:
            if wanted is bool:
                found[name] = {"true": True, "1": True, "false": False, "0": False}[value.lower()]
            else:
                found[name] = wanted(value)
        except (KeyError, ValueError):
            raise ArgumentError(f"{name} expects {wanted.__name__}, got {value!r}") from None
    return found


def train(args: argparse.Namespace) -> None:
    """Train one milestone; or all, with a table at the end."""
    from tinyxp.milestone import table

    chosen = MILESTONES if args.model == "all" else (args.model,)
    if args.set and args.model == "all":
        raise ArgumentError("--set is for one milestone; train that alone, or leave --set out")
    if args.graph and args.model != "transformer":
        raise ArgumentError(
            f"--graph is for the transformer; {args.model} trains in less time than it would save"
        )
    backend = backends.current()
    print(f"{backend.name}{backend.about()}")  # other kernels round otherwise
    results: list[Any] = []
    for name in chosen:
        module = importlib.import_module(f"tinyxp.models.{name}")
        given = {"steps": args.steps, "seed": args.seed, "graph": args.graph or None}
        if name == "transformer":
            given |= {"text": args.text, "precision": args.precision}
        settings = {key: value for key, value in given.items() if value is not None}
        config = module.Config(**parse_settings(module.Config, args.set) | settings)
        folder = None
        if args.name is not None:
            folder = Path("runs") / (args.name if len(chosen) == 1 else f"{args.name}-{name}")
        try:
            results.append(module.train(config, folder))
        except MilestoneError as error:
            if len(chosen) == 1:
                raise
            results.append(str(error))
    if len(chosen) > 1:
        print(f"\n{table(results)}")
        failed = [result for result in results if isinstance(result, str)]
        if failed:
            raise MilestoneError(f"{len(failed)} of {len(chosen)} milestones failed")


def resume(args: argparse.Namespace) -> None:
    """Go on with a run where its last checkpoint stands: the story is told again, and everything
    that was trained already is taken from there."""
    from tinyxp.runs import Run

    run = Run(args.run, resumed=True)
    name = run.config().get("model")
    if name not in MILESTONES:
        raise DataError(f"{args.run} is no run of one of {', '.join(MILESTONES)}, but of {name!r}")
    module = importlib.import_module(f"tinyxp.models.{name}")
    module.train(run.settings(module.Config), run)


def generate(args: argparse.Namespace) -> None:
    from tinyxp.generation import continue_text
    from tinyxp.runs import Run

    config = Run(args.run).config()
    model, tokenizer = story(config.get("model") or config.get("model_type")).load(args.run)
    options = {"temperature": args.temperature, "top_k": args.top_k, "top_p": args.top_p}
    print(continue_text(model, tokenizer, args.prompt, args.tokens, args.seed, **options))


def story(name: Any) -> Any:
    """The module of ``models/`` that tells of a language model."""
    if name not in LANGUAGE_MODELS:
        raise DataError(f"expected one of the models {', '.join(LANGUAGE_MODELS)}, got {name!r}")
    return importlib.import_module(f"tinyxp.models.{name}")


def summary(args: argparse.Namespace) -> None:
    print(tx.nn.summary(*example(args)))


def example(args: argparse.Namespace) -> tuple[Any, ...]:
    """A model that a user names, and what to call it with, if that is known."""
    if args.model in LANGUAGE_MODELS:
        made: tuple[Any, ...] = story(args.model).example(configured(story(args.model), args.set))
        return made
    module, colon, name = args.model.partition(":")
    if not colon or args.set:
        raise ArgumentError(
            f"expected a model {', '.join(LANGUAGE_MODELS)}, which --set configures, or yours as "
            f"MODULE:NAME, got {args.model!r}"
        )
    sys.path.insert(0, "")  # where python -m finds modules, but not a console script
    try:
        make = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ArgumentError(f"cannot import {args.model!r}: {error}") from error
    dtype = tx.int64 if args.integers else tx.float32
    return make(), *(tx.zeros(shape, dtype=dtype) for shape in args.input)


def configured(module: Any, settings: list[str]) -> Any:
    """The configuration of a story, with settings."""
    return module.Config(**parse_settings(module.Config, settings))


def shape(text: str) -> tuple[int, ...]:
    """``"8,1,28,28"`` as a shape."""
    return tuple(int(n) for n in text.split(",") if n.strip())


def doctor(args: argparse.Namespace) -> int:
    """Examine what a user's function returns; 1 if something was found."""
    make = function(args.target)
    with tx.doctor.watch():
        found = make()
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


def function(target: str) -> Any:
    """The function that ``FILE.py:NAME`` names."""
    file, colon, name = target.rpartition(":")
    if not colon or not file.endswith(".py"):
        raise ArgumentError(f"expected FILE.py:FUNCTION, got {target!r}")
    path = Path(file).resolve()
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ArgumentError(f"there is no file {file}")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent))  # for what it imports, as python FILE.py does
    sys.modules[path.stem] = module  # where dataclasses and pickle look
    spec.loader.exec_module(module)
    if not callable(getattr(module, name, None)):
        raise ArgumentError(f"{file} has no function {name!r}")
    return getattr(module, name)


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
    print(f"tinyxp {tx.__version__}, Python {platform.python_version()}, {platform.platform()}")
    for name in backends.names():
        try:
            backend = backends.get(name)
            print(f"{name}: devices {', '.join(backend.devices())}{backend.about()}")
        except BackendError as error:
            print(f"{name}: {error}")
    for line in cuda_setup.advice(cuda_setup.look()):
        print(f"CUDA: {line}")


def build() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tinyxp", description="deep learning on the Python Array API"
    )
    parser.add_argument("--version", action="version", version=f"tinyxp {tx.__version__}")
    commands = parser.add_subparsers(dest="command", required=True)

    command = commands.add_parser("train", help="train a milestone's model")
    command.add_argument("model", choices=[*MILESTONES, "all"])
    command.add_argument(
        "--text", metavar="FILE", help="text for the transformer, UTF-8 (default: Shakespeare)"
    )
    command.add_argument(
        "--precision", choices=["bfloat16", "float16"], help="of the transformer's products"
    )
    command.add_argument("--steps", type=int, help="training steps")
    command.add_argument("--seed", type=int, help="seed of weights and batches")
    command.add_argument("--name", help="name of the run's folder under runs/")
    command.add_argument(
        "--graph", action="store_true", help="replay captured steps (the transformer)"
    )
    command.add_argument("--set", action="append", default=[], metavar="NAME=VALUE",
                         help="any setting, as --set n_layer=6")  # fmt: skip
    command.set_defaults(run_command=train)

    command = commands.add_parser("resume", help="go on with a run that was stopped")
    command.add_argument("run", metavar="RUN", help="its folder")
    command.set_defaults(run_command=resume)

    command = commands.add_parser("generate", help="continue a text with a trained model")
    command.add_argument("run", metavar="RUN", help="a run's folder, or a GPT-2 checkpoint's")
    command.add_argument("--prompt", default="\n", help="the text to continue")
    command.add_argument("--tokens", type=int, default=500, help="how many symbols")
    command.add_argument("--temperature", type=float, default=0.8, help="0 takes the likeliest")
    command.add_argument("--top-k", type=int, help="draw from the k likeliest only")
    command.add_argument("--top-p", type=float, help="draw from the likeliest that add up to p")
    command.add_argument("--seed", type=int, help="seed of the draws")
    command.set_defaults(run_command=generate)

    command = commands.add_parser("summary", help="a table of a model's modules and parameters")
    command.add_argument(
        "model", metavar="MODEL", help=f"{', '.join(LANGUAGE_MODELS)}, or yours as MODULE:NAME"
    )
    command.add_argument("--set", action="append", default=[], metavar="NAME=VALUE",
                         help="any setting, as --set n_layer=6")  # fmt: skip
    command.add_argument("--input", action="append", default=[], type=shape, metavar="SHAPE",
                         help="shape of an input of your model, as 8,1,28,28")  # fmt: skip
    command.add_argument("--integers", action="store_true", help="inputs are integers (indices)")
    command.set_defaults(run_command=summary)

    command = commands.add_parser("doctor", help="why a model does not learn, with the line")
    command.add_argument(
        "target", metavar="FILE.py:FUNCTION", help="returns (loss, model), or an optimizer too"
    )
    command.add_argument("--graph", metavar="FILE", help="draw the graph too: .svg, .mmd or .dot")
    command.set_defaults(run_command=doctor)

    command = commands.add_parser("check", help="test your solution of a lesson (docs/lessons)")
    command.add_argument("lesson", metavar="LESSON", help="lesson1 to lesson7")
    command.add_argument("file", metavar="FILE", help="your .py file")
    command.add_argument("--limit", type=float, help="seconds for one point")
    command.set_defaults(run_command=check)

    command = commands.add_parser("bench", help="time training steps beside other libraries")
    from tinyxp.bench.cli import add_arguments

    add_arguments(command)
    command.set_defaults(run_command=bench)

    command = commands.add_parser("selftest", help="prove that nothing is lost, on this machine")
    command.add_argument("check", nargs="*", metavar="CHECK",
                         help="kill, fuzz, disk, threads, memory, download, or all")  # fmt: skip
    command.add_argument("--tries", type=int, help="how often")
    command.set_defaults(run_command=selftest)

    command = commands.add_parser("info", help="what this machine offers")
    command.set_defaults(run_command=info)

    for command in commands.choices.values():
        command.add_argument("--backend", help="numpy, cupy, torch or strict (TINY_BACKEND)")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run a command: 0 if it went well, 1 if what it tests failed, 2 after one line that says what
    was wrong."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a console that lacks a letter shows '?', not a crash
            stream.reconfigure(errors="replace")
    args = build().parse_args(argv)
    try:
        if args.backend:
            tx.use_backend(args.backend)
        return args.run_command(args) or 0
    except MilestoneError as error:
        print(f"tinyxp: {error}", file=sys.stderr)
        return 1
    except Stopped as error:
        print(f"\ntinyxp: {error}", file=sys.stderr)
        return 128 + error.signal
    except TinyError as error:
        print(f"tinyxp: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\ntinyxp: stopped", file=sys.stderr)
        return 130
