"""The command line: ``tinyxp train``, ``resume``, ``generate``, ``summary``, ``info`` …

A command is a module of this folder with a ``HELP`` line, ``EXAMPLES``, ``run(args)`` and perhaps
``arguments(parser)``. It imports what it needs when it runs.
"""

import contextlib
import importlib
import pkgutil
import sys
from collections.abc import Container
from typing import Any

import tinyxp as tx
from tinyxp.commands import output
from tinyxp.errors import MilestoneError, TinyError
from tinyxp.train.interrupts import Stopped
from tinyxp.train.run import Run, RunExists
from tinyxp.train.shell import command_line

# in the help; other commands follow
ORDER = ("train", "resume", "generate", "summary", "doctor", "check", "bench", "selftest", "info")


def commands() -> dict[str, Any]:
    """The modules of all commands, by name."""
    names = [each.name for each in pkgutil.iter_modules(__path__)]
    names.sort(key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))
    modules = {name: importlib.import_module(f"{__name__}.{name}") for name in names}
    return {name: module for name, module in modules.items() if hasattr(module, "HELP")}


def parser(chosen: Container[str]) -> output.Help:
    """The parser of the command line; the ``chosen`` commands have their arguments."""
    main = output.Help(prog="tinyxp", description="deep learning on the Python Array API")
    main.add_argument("--version", action="version", version=f"tinyxp {tx.__version__}")
    subparsers = main.add_subparsers(dest="command", required=True)
    for name, module in commands().items():
        command = subparsers.add_parser(name, help=module.HELP)
        if name in chosen:
            command.module = module
            if hasattr(module, "arguments"):
                module.arguments(command)
            command.add_argument(
                "--backend", help="numpy, cupy, torch or strict (default: TINY_BACKEND, or numpy)"
            )
    return main


def main(argv: list[str] | None = None) -> int:
    """Run a command and return the exit code: 0 for success, 1 if what it tests failed, 2 after a
    line that says what is wrong, 128 plus the signal's number if it was stopped or its reader left.
    """
    output.prepare()
    try:
        try:
            return _run(sys.argv[1:] if argv is None else argv)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # as in: tinyxp info | head -1
        output.silence(sys.stdout)
        return output.BROKEN
    except OSError as error:
        output.silence(sys.stdout)
        place = error.filename or "cannot write the output"
        return _fail(2, f"{place}: {error.strerror or error}")


def _run(argv: list[str]) -> int:
    args = parser(argv[:1]).parse_args(argv)
    command = commands()[args.command]
    trains = getattr(command, "TRAINS", False)
    Run.begun = None
    try:
        if args.backend:
            tx.use_backend(args.backend)
        with output.surviving() if trains else contextlib.nullcontext():
            return command.run(args) or 0
    except MilestoneError as error:
        return _fail(1, error)
    except Stopped as error:
        again = command_line("resume", error.folder)
        return _fail(128 + error.signal, f"{error.text}; continue with: {again}", "\n")
    except RunExists as error:
        return _fail(2, f"{error.text}: {command_line('resume', error.folder)}")
    except TinyError as error:
        return _fail(2, error)
    except KeyboardInterrupt:  # also after the training, while the model is tested
        hint = ""
        if trains and Run.begun is not None:
            hint = f"; continue with: {command_line('resume', Run.begun.folder)}"
        return _fail(130, f"stopped{hint}", "\n")


def _fail(code: int, message: object, before: str = "") -> int:
    print(f"{before}tinyxp: {message}", file=sys.stderr)
    return code
